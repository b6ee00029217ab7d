//! Operations that only move, add or average rows.

use std::rc::Rc;

use super::Walk;
use crate::exec::cpu::forward::picture;
use crate::exec::cpu::matmul::Into;
use crate::exec::cpu::simd::add_assign;
use crate::exec::cpu::{Buffer, Pass, rows};
use crate::graph::{Op, Step};

impl Walk<'_> {
    /// From the gradient of such a step to that of its input, and of its parameter.
    pub(super) fn move_rows(&mut self, step: &Step, pass: &Pass, dy: &Rc<Buffer>) {
        let node = step.inputs[0];
        let source = &self.graph.steps()[node.index()];
        let (rows_in, columns) = (pass.batch.rows(source), step.columns());
        let len = rows_in * columns;
        match &step.op {
            Op::AddParam(param) => {
                rows::add_examples(dy, len, &mut self.sinks.summed(*param)[..len]);
                return self.pass_on(node, dy);
            }
            Op::PrependParam(param) => {
                let d_param = self.sinks.summed(*param);
                dy.chunks_exact(len + columns).for_each(|dy| add_assign(d_param, &dy[..columns]));
            }
            Op::AppendParam(param) => {
                let d_param = self.sinks.summed(*param);
                dy.chunks_exact(len + d_param.len()).for_each(|dy| add_assign(d_param, &dy[len..]));
            }
            _ => {}
        }
        let Some((mut dx, into)) = self.target(node, pass.batch.len(source)) else { return };
        if let Op::AvgPool { size } = &step.op {
            rows::avg_pool_backward(dy, picture(Some(source)), *size, into == Into::Add, &mut dx);
            return self.put(node, Some((dx, into)));
        }
        if into == Into::Set {
            dx.fill(0.0);
        }
        let inverse = 1.0 / rows_in as f32;
        let spread = |dx: &mut [f32], row: &[f32]| {
            for dx in dx.chunks_exact_mut(columns) {
                dx.iter_mut().zip(row).for_each(|(d, g)| *d += g * inverse);
            }
        };
        let per_example = dy.len() / pass.batch.size;
        for (b, (dx, dy)) in dx.chunks_exact_mut(len).zip(dy.chunks_exact(per_example)).enumerate()
        {
            match &step.op {
                Op::MeanRows => spread(dx, dy),
                Op::Pick(row) => {
                    let at = pass.batch.row(*row, b) * columns;
                    add_assign(&mut dx[at..at + columns], dy);
                }
                Op::AppendParam(_) => add_assign(dx, &dy[..len]),
                Op::Head => add_assign(&mut dx[..dy.len()], dy),
                _ => {
                    add_assign(dx, &dy[columns..]);
                    if matches!(step.op, Op::PrependMean) {
                        spread(dx, &dy[..columns]);
                    }
                }
            }
        }
        self.put(node, Some((dx, into)));
    }
}
