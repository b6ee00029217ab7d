//! Linear layers and convolutions.

use super::Walk;
use crate::exec::cpu::forward::{Kept, conv_dims, linear_dims, rows_of};
use crate::exec::cpu::{Pass, conv, linear};
use crate::graph::{Op, ParamRows, Step};

impl Walk<'_> {
    pub(super) fn linear(&mut self, i: usize, pass: &Pass, dy: &[f32]) {
        let step = &self.graph.steps()[i];
        let &Op::Linear { weight, bias, act } = &step.op else { return };
        let x = &pass.values[step.inputs[0].index()];
        let d = linear_dims(&pass.batch, step, x.len() / pass.batch.all_rows(step));
        let before = match &pass.kept[i] {
            Kept::Buffer(pre) => act.map(|act| (act, &pre[..])),
            _ => None,
        };
        let saved =
            linear::Saved { x, weight: rows_of(self.params, weight, d.inner), activation: before };
        self.linear_like(step, d, &saved, dy, (weight, bias));
    }

    fn linear_like(
        &mut self,
        step: &Step,
        d: linear::Dims,
        saved: &linear::Saved<'_>,
        dy: &[f32],
        (weight, bias): (ParamRows, Option<ParamRows>),
    ) {
        if d.is_large() {
            return self.large_linear(step, d, saved, dy, (weight, bias));
        }
        let mut scratch = self.arena.take(linear::parts_len(d));
        let mut both = self.arena.zeros(d.out * (d.inner + 1));
        let mut dx = self.target(step.inputs[0], d.rows * d.inner);
        let into = dx.as_mut().map(|(dx, into)| (&mut dx[..], *into));
        linear::backward(d, saved, dy, into, &mut both, &mut scratch);
        let (dw, db) = both.split_at(d.out * d.inner);
        self.sinks.put(weight, d.inner, dw);
        if let Some(bias) = bias {
            self.sinks.put(bias, 1, db);
        }
        self.put(step.inputs[0], dx);
        self.arena.give(scratch);
        self.arena.give(both);
    }

    /// The same where the weight is too large for sums of its own in every part of the rows.
    fn large_linear(
        &mut self,
        step: &Step,
        d: linear::Dims,
        saved: &linear::Saved<'_>,
        dy: &[f32],
        (weight, bias): (ParamRows, Option<ParamRows>),
    ) {
        let gated = saved.activation.map(|(act, pre)| {
            let mut gated = self.arena.take(dy.len());
            linear::gate(d, act, dy, pre, &mut gated);
            gated
        });
        let dy = gated.as_deref().unwrap_or(dy);
        if let Some(bias) = bias {
            let mut db = self.arena.zeros(d.out);
            linear::sum_rows(d, dy, &mut db);
            self.sinks.put(bias, 1, &db);
            self.arena.give(db);
        }
        let mut dx = self.target(step.inputs[0], d.rows * d.inner);
        if let Some((dx, into)) = &mut dx {
            linear::large_dx(d, saved.weight, dy, *into, dx);
        }
        self.put(step.inputs[0], dx);
        let (dw, into) = self.sinks.part(weight, d.inner);
        linear::large_dw(d, saved.x, dy, into, dw);
        if let Some(gated) = gated {
            self.arena.give(gated);
        }
    }

    pub(super) fn conv(&mut self, step: &Step, pass: &Pass, dy: &[f32]) {
        let &Op::Conv2d { weight: id, .. } = &step.op else { return };
        let node = step.inputs[0];
        let d = conv_dims(pass.batch.size, step, Some(&self.graph.steps()[node.index()]));
        let (x, weight) = (&pass.values[node.index()], self.params[id.index()]);
        if d.is_linear() {
            let all = ParamRows { param: id, start: 0, len: d.output[2] };
            let saved = linear::Saved { x, weight, activation: None };
            return self.linear_like(
                step,
                linear_dims(&pass.batch, step, d.input[2]),
                &saved,
                dy,
                (all, None),
            );
        }
        let mut scratch = self.arena.take(d.parts_len());
        let mut dx = self.target(node, x.len());
        let into = dx.as_mut().map(|(dx, into)| (&mut dx[..], *into));
        conv::backward(d, (x, weight), dy, into, self.sinks.whole(id), &mut scratch);
        self.put(node, dx);
        self.arena.give(scratch);
    }
}
