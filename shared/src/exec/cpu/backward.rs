//! The backward walk: from the gradient of the embeddings to those of all parameters, and of the pixels if asked.

use super::forward::{Kept, attention_dims, conv_dims, is_relu, linear_dims, picture, rows_of};
use super::matmul::Into;
use super::sinks::Sinks;
use super::{Arena, Buffer, Pass, attention, batch_norm, conv, layer_norm, linear, rows};
use crate::exec::Mode;
use crate::graph::{Graph, Node, Op, ParamId, ParamRows, Step};
use std::rc::Rc;

/// Gradients of one backward walk.
#[derive(Debug)]
pub struct Gradients {
    /// Aligned with [`Graph::params`]; empty for statistics.
    pub params: Vec<Buffer>,
    /// Of the pixels, where they were asked for.
    pub pixels: Option<Buffer>,
}

impl Gradients {
    /// Gives all buffers back.
    pub fn recycle(self, arena: &mut Arena) {
        self.params.into_iter().chain(self.pixels).for_each(|b| arena.give(b));
    }
}

/// Walks `pass` backwards from `d_embeddings` (batch, width). `pixels` asks for their gradient too.
pub fn backward(
    graph: &Graph,
    params: &[&[f32]],
    pass: Pass,
    d_embeddings: &[f32],
    pixels: bool,
    arena: &mut Arena,
) -> Gradients {
    backward_from(graph, params, pass, (d_embeddings, &[]), pixels, arena)
}

/// The same where the loss reads other values besides the embeddings: gradients of what some steps gave, (batch × rows,
/// columns), each step below the last one.
pub fn backward_from(
    graph: &Graph,
    params: &[&[f32]],
    mut pass: Pass,
    (d_embeddings, inner): (&[f32], &[(Node, Vec<f32>)]),
    pixels: bool,
    arena: &mut Arena,
) -> Gradients {
    let steps = graph.steps();
    let sinks = Sinks::new(graph, arena);
    let mut top = arena.take(d_embeddings.len());
    top.copy_from_slice(d_embeddings);
    let mut grads: Vec<Option<Rc<Buffer>>> = steps.iter().map(|_| None).collect();
    grads[steps.len() - 1] = Some(Rc::new(top));
    for (node, gradient) in inner {
        let mut own = arena.take(gradient.len());
        own.copy_from_slice(gradient);
        grads[node.index()] = Some(Rc::new(own));
    }
    let needs = needs_gradient(graph, pixels);
    let mut walk = Walk { graph, params, needs, grads, sinks, arena };
    for i in (0..steps.len()).rev() {
        if let Some(dy) = walk.grads[i].take() {
            if matches!(steps[i].op, Op::Pixels) {
                walk.grads[i] = Some(dy);
                break;
            }
            walk.step(i, &pass, &dy);
            walk.give(dy);
        }
        // All readers of this value have been passed.
        walk.arena.give(std::mem::take(&mut pass.values[i]));
        if let Kept::Buffer(buffer) = std::mem::take(&mut pass.kept[i]) {
            walk.arena.give(buffer);
        }
    }
    let of_pixels = if pixels { walk.grads[0].take().and_then(Rc::into_inner) } else { None };
    let params = walk.sinks.into_buffers();
    pass.recycle(arena);
    Gradients { params, pixels: of_pixels }
}

/// Whether anything below a step is trained: the gradient of plain pixels is not computed.
fn needs_gradient(graph: &Graph, pixels: bool) -> Vec<bool> {
    let mut needs: Vec<bool> = Vec::new();
    for step in graph.steps() {
        let own = !matches!(
            step.op,
            Op::Pixels
                | Op::AvgPool { .. }
                | Op::Pick(_)
                | Op::Head
                | Op::MeanRows
                | Op::PrependMean
                | Op::Add { .. }
                | Op::Attention { .. }
                | Op::AttentionPool { .. }
        );
        let below = step.inputs.iter().any(|n| needs[n.index()]);
        needs.push(own || below || (pixels && matches!(step.op, Op::Pixels)));
    }
    needs
}

struct Walk<'a> {
    graph: &'a Graph,
    params: &'a [&'a [f32]],
    needs: Vec<bool>,
    grads: Vec<Option<Rc<Buffer>>>,
    sinks: Sinks,
    arena: &'a mut Arena,
}

impl Walk<'_> {
    /// The place for a gradient of `node`, to be set or added to; `None` where nobody needs it.
    fn target(&mut self, node: Node, len: usize) -> Option<(Buffer, Into)> {
        if !self.needs[node.index()] {
            return None;
        }
        let Some(shared) = self.grads[node.index()].take() else {
            return Some((self.arena.take(len), Into::Set));
        };
        Some(match Rc::try_unwrap(shared) {
            Ok(own) => (own, Into::Add),
            Err(shared) => {
                let mut copy = self.arena.take(len);
                copy.copy_from_slice(&shared);
                (copy, Into::Add)
            }
        })
    }

    fn put(&mut self, node: Node, gradient: Option<(Buffer, Into)>) {
        if let Some((buffer, _)) = gradient {
            self.grads[node.index()] = Some(Rc::new(buffer));
        }
    }

    /// Lets `node` share `dy` as it is.
    fn pass_on(&mut self, node: Node, dy: &Rc<Buffer>) {
        if !self.needs[node.index()] {
            return;
        }
        if self.grads[node.index()].is_none() {
            self.grads[node.index()] = Some(Rc::clone(dy));
        } else if let Some((mut buffer, _)) = self.target(node, dy.len()) {
            rows::accumulate(&mut buffer, dy);
            self.put(node, Some((buffer, Into::Add)));
        }
    }

    fn give(&mut self, gradient: Rc<Buffer>) {
        if let Some(buffer) = Rc::into_inner(gradient) {
            self.arena.give(buffer);
        }
    }

    fn step(&mut self, i: usize, pass: &Pass, dy: &Rc<Buffer>) {
        let step = &self.graph.steps()[i];
        match &step.op {
            Op::Pixels => {}
            Op::Embed { table } => {
                let table = self.sinks.summed(*table);
                rows::embed_backward(dy, step.columns(), &pass.batch.ids, table);
            }
            Op::Linear { .. } => self.linear(i, pass, dy),
            Op::Conv2d { .. } => self.conv(step, pass, dy),
            Op::LayerNorm { .. } => self.layer_norm(step, pass, dy),
            Op::BatchNorm { .. } => self.batch_norm(i, pass, dy),
            Op::Attention { .. } | Op::AttentionPool { .. } => self.attention(i, pass, dy),
            Op::Add { act } => {
                let gated = if is_relu(*act) {
                    let mut gated = self.arena.take(dy.len());
                    rows::gate(dy, &pass.values[i], &mut gated);
                    Rc::new(gated)
                } else {
                    Rc::clone(dy)
                };
                for &node in &step.inputs {
                    self.pass_on(node, &gated);
                }
                self.give(gated);
            }
            _ => self.move_rows(step, pass, dy),
        }
    }

    /// Operations that only move, add or average rows.
    fn move_rows(&mut self, step: &Step, pass: &Pass, dy: &Rc<Buffer>) {
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
                dy.chunks_exact(len + columns)
                    .for_each(|dy| super::simd::add_assign(d_param, &dy[..columns]));
            }
            Op::AppendParam(param) => {
                let d_param = self.sinks.summed(*param);
                dy.chunks_exact(len + d_param.len())
                    .for_each(|dy| super::simd::add_assign(d_param, &dy[len..]));
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
                    super::simd::add_assign(&mut dx[at..at + columns], dy);
                }
                Op::AppendParam(_) => super::simd::add_assign(dx, &dy[..len]),
                Op::Head => super::simd::add_assign(&mut dx[..dy.len()], dy),
                _ => {
                    super::simd::add_assign(dx, &dy[columns..]);
                    if matches!(step.op, Op::PrependMean) {
                        spread(dx, &dy[..columns]);
                    }
                }
            }
        }
        self.put(node, Some((dx, into)));
    }

    fn linear(&mut self, i: usize, pass: &Pass, dy: &[f32]) {
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

    fn conv(&mut self, step: &Step, pass: &Pass, dy: &[f32]) {
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

    fn layer_norm(&mut self, step: &Step, pass: &Pass, dy: &[f32]) {
        let &Op::LayerNorm { gain, bias, eps } = &step.op else { return };
        let x = &pass.values[step.inputs[0].index()];
        let width = step.columns();
        let mut scratch = self.arena.take(layer_norm::scratch(pass.batch.all_rows(step), width));
        let mut both = self.arena.zeros(2 * width);
        // Below a layer normalisation there is always something to train.
        if let Some((mut dx, into)) = self.target(step.inputs[0], x.len()) {
            let saved = (&x[..], self.params[gain.index()], eps);
            layer_norm::backward(saved, dy, (&mut dx, into), &mut both, &mut scratch);
            self.put(step.inputs[0], Some((dx, into)));
        }
        self.add_pair((gain, bias), &both);
        self.arena.give(scratch);
        self.arena.give(both);
    }

    fn add_pair(&mut self, (gain, bias): (ParamId, ParamId), both: &[f32]) {
        let (d_gain, d_bias) = both.split_at(both.len() / 2);
        for (param, gradient) in [(gain, d_gain), (bias, d_bias)] {
            self.sinks.put(self.graph.all_rows(param), 1, gradient);
        }
    }

    fn batch_norm(&mut self, i: usize, pass: &Pass, dy: &[f32]) {
        let step = &self.graph.steps()[i];
        let (&Op::BatchNorm { gain, bias, act, .. }, Kept::Moments(moments)) =
            (&step.op, &pass.kept[i])
        else {
            return;
        };
        let x = &pass.values[step.inputs[0].index()];
        let saved = batch_norm::Saved {
            x,
            relu: is_relu(act),
            moments,
            gain: self.params[gain.index()],
            bias: self.params[bias.index()],
            of_batch: pass.mode == Mode::Train,
        };
        let columns = step.columns();
        let mut scratch = self.arena.take(batch_norm::scratch(x.len() / columns, columns));
        let mut both = self.arena.zeros(2 * columns);
        let mut dx = self.target(step.inputs[0], x.len());
        let into = dx.as_mut().map(|(dx, into)| (&mut dx[..], *into));
        batch_norm::backward(&saved, dy, into, &mut both, &mut scratch);
        self.put(step.inputs[0], dx);
        self.add_pair((gain, bias), &both);
        self.arena.give(scratch);
        self.arena.give(both);
    }

    /// The packed input of an attention has one reader, so its gradient is set, never added to.
    fn attention(&mut self, i: usize, pass: &Pass, dy: &[f32]) {
        let step = &self.graph.steps()[i];
        let Kept::Buffer(p) = &pass.kept[i] else { return };
        let packed = *step.inputs.last().unwrap_or(&Node(0));
        let value = &pass.values[packed.index()];
        let d = attention_dims(
            &pass.batch,
            step,
            if step.inputs.len() == 1 { step } else { &self.graph.steps()[packed.index()] },
        );
        let mut d_packed = self.arena.take(value.len());
        if step.inputs.len() == 1 {
            attention::backward(d, value, p, dy, &mut d_packed);
        } else {
            let q = &pass.values[step.inputs[0].index()];
            let mut dq = self.arena.take(q.len());
            attention::pool_backward(d, (q, value, p), dy, &mut dq, &mut d_packed);
            self.put(step.inputs[0], Some((dq, Into::Set)));
        }
        self.put(packed, Some((d_packed, Into::Set)));
    }
}
