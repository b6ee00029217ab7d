//! The backward walk: from the gradient of the embeddings to those of all parameters, and of the pixels if asked. Linear layers
//! and convolutions are in `products`, what only moves rows in `moves`.

mod moves;
mod products;

use super::forward::{Kept, attention_dims, is_relu};
use super::matmul::Into;
use super::sinks::Sinks;
use super::{Arena, Buffer, Pass, attention, batch_norm, layer_norm, rows};
use crate::exec::Mode;
use crate::graph::{Graph, Node, Op, ParamId, Step};
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

    /// The gradient of its one reader, with that of a loss that reads the value itself.
    fn put_first(&mut self, node: Node, mut gradient: Buffer) {
        if let Some(given) = self.grads[node.index()].take() {
            rows::accumulate(&mut gradient, &given);
            self.give(given);
        }
        self.put(node, Some((gradient, Into::Set)));
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

    /// The inputs of an attention have one reader: only a loss that reads them too has left a gradient there.
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
            self.put_first(step.inputs[0], dq);
        }
        self.put_first(packed, d_packed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::{forward, params_of};
    use crate::exec::{Inputs, Mode};
    use crate::graph::Init;
    use crate::seed::Seed;
    use crate::weights::Weights;

    /// Gradients are linear in what the loss gives, wherever it gives it.
    #[test]
    fn a_loss_may_read_what_an_attention_reads() {
        let mut g = Graph::new();
        let x = g.pixels(2);
        let x = g.prepend("class", x, 1.0);
        let packed = g.linear("qkv", x, 6, Init::Uniform(0.5), None);
        let y = g.attention("heads", packed, 1, false);
        g.mean_rows(y);
        let weights = Weights::init(g.params(), &Seed::new(0));
        let params = params_of(&g, &weights);
        let pixels: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
        let given: Vec<f32> = (0..5 * 6).map(|i| (i as f32).cos()).collect();
        let of = |top: [f32; 2], inner: &[(Node, Vec<f32>)]| {
            let (inputs, mode) = (Inputs::Pixels(&pixels), Mode::TrainFrozenStatistics);
            let mut arena = Arena::default();
            let pass = forward(&g, &params, inputs, mode, &mut arena);
            let found = backward_from(&g, &params, pass, (&top, inner), false, &mut arena);
            found.params.iter().map(|d| d.to_vec()).collect::<Vec<_>>().concat()
        };
        let inner = [(packed, given)];
        let (one, other, both) =
            (of([1.0, -2.0], &[]), of([0.0; 2], &inner), of([1.0, -2.0], &inner));
        assert!(other.iter().any(|d| d.abs() > 0.1), "{other:?}");
        for ((one, other), both) in one.iter().zip(&other).zip(&both) {
            assert!((one + other - both).abs() < 1e-5, "{one} + {other} is not {both}");
        }
    }
}
