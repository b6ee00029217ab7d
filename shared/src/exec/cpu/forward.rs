//! The forward walk.

use super::batch_norm::{BatchStatistics, Moments};
use super::{Arena, Batch, Buffer, attention, batch_norm, conv, layer_norm, linear, rows};
use crate::exec::{Inputs, Mode};
use crate::graph::{Act, Graph, Op, ParamId, ParamRows, Step};

/// What a step keeps for the backward walk besides its result.
#[derive(Debug, Default)]
pub(super) enum Kept {
    /// Nothing.
    #[default]
    Nothing,
    /// The value before an activation, or attention probabilities.
    Buffer(Buffer),
    /// Moments of a batch normalisation.
    Moments(Moments),
}

impl Kept {
    /// Gives a buffer back.
    pub(super) fn give(self, arena: &mut Arena) {
        if let Self::Buffer(buffer) = self {
            arena.give(buffer);
        }
    }
}

/// A finished forward walk: the embeddings and what backward needs.
#[derive(Debug)]
pub struct Pass {
    pub(super) batch: Batch,
    pub(super) mode: Mode,
    pub(super) values: Vec<Buffer>,
    pub(super) kept: Vec<Kept>,
    statistics: Vec<(ParamId, ParamId, BatchStatistics)>,
}

impl Pass {
    /// The result (batch, embedding width), not normalised.
    pub fn embeddings(&self) -> &[f32] {
        self.values.last().map_or(&[], |v| v)
    }

    /// What a step gave, (batch × rows, columns).
    pub fn value(&self, step: usize) -> &[f32] {
        &self.values[step]
    }

    /// What the walk was made for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Running mean and variance parameters with this batch's statistics; empty unless training.
    pub fn statistics(&self) -> &[(ParamId, ParamId, BatchStatistics)] {
        &self.statistics
    }

    /// Gives all buffers back.
    pub fn recycle(self, arena: &mut Arena) {
        self.values.into_iter().for_each(|v| arena.give(v));
        self.kept.into_iter().for_each(|kept| kept.give(arena));
    }
}

/// Runs `graph` over a batch. `params` are aligned with [`Graph::params`].
///
/// # Panics
/// If inputs do not belong to this kind of graph.
pub fn forward(
    graph: &Graph,
    params: &[&[f32]],
    inputs: Inputs<'_>,
    mode: Mode,
    arena: &mut Arena,
) -> Pass {
    let batch = Batch::new(graph, inputs);
    let steps = graph.steps();
    let mut walk = Walk::new(params, inputs, mode, arena, &batch);
    let mut values: Vec<Buffer> = Vec::with_capacity(steps.len());
    let mut kept = Vec::with_capacity(steps.len());
    for step in steps {
        let (value, keep) = walk.step(step, &values, steps);
        values.push(value);
        kept.push(keep);
    }
    let statistics = walk.statistics;
    Pass { batch, mode, values, kept, statistics }
}

/// One step after the other over a batch.
pub(super) struct Walk<'a> {
    params: &'a [&'a [f32]],
    inputs: Inputs<'a>,
    mode: Mode,
    arena: &'a mut Arena,
    batch: &'a Batch,
    statistics: Vec<(ParamId, ParamId, BatchStatistics)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        params: &'a [&'a [f32]],
        inputs: Inputs<'a>,
        mode: Mode,
        arena: &'a mut Arena,
        batch: &'a Batch,
    ) -> Self {
        Self { params, inputs, mode, arena, batch, statistics: vec![] }
    }

    /// The value of a step, and what backward needs of it.
    pub(super) fn step(
        &mut self,
        step: &Step,
        values: &[Buffer],
        steps: &[Step],
    ) -> (Buffer, Kept) {
        let mut y = self.arena.take(self.batch.len(step));
        let x: &[f32] = step.inputs.first().map_or(&[], |n| &values[n.index()]);
        let source = step.inputs.first().map(|n| &steps[n.index()]);
        let rows_in = source.map_or(0, |s| self.batch.rows(s));
        let columns = step.columns();
        let kept = match &step.op {
            Op::Pixels => {
                let Inputs::Pixels(pixels) = self.inputs else { panic!("this tower reads pixels") };
                y.copy_from_slice(pixels);
                Kept::Nothing
            }
            Op::Embed { table } => {
                rows::embed(self.params[table.index()], columns, &self.batch.ids, &mut y);
                Kept::Nothing
            }
            Op::Linear { weight, bias, act } => {
                self.linear(step, x, (*weight, *bias, *act), &mut y)
            }
            Op::Conv2d { weight, .. } => {
                let d = conv_dims(self.batch.size, step, source);
                let weight = self.params[weight.index()];
                if d.is_linear() {
                    linear::forward(
                        linear_dims(self.batch, step, d.input[2]),
                        x,
                        weight,
                        None,
                        None,
                        &mut y,
                    );
                } else {
                    conv::forward(d, x, weight, &mut y);
                }
                Kept::Nothing
            }
            Op::LayerNorm { gain, bias, eps } => {
                layer_norm::forward(
                    x,
                    self.params[gain.index()],
                    self.params[bias.index()],
                    *eps,
                    &mut y,
                );
                Kept::Nothing
            }
            Op::BatchNorm { .. } => self.batch_norm(step, x, &mut y),
            Op::Attention { .. } => {
                let d = attention_dims(self.batch, step, step);
                let mut p = self.arena.take(self.batch.size * d.probabilities());
                attention::forward(d, x, &mut y, &mut p);
                Kept::Buffer(p)
            }
            Op::AttentionPool { causal_from, .. } => {
                let packed = step.inputs[1].index();
                let d = attention_dims(self.batch, step, &steps[packed]);
                let mut p = self.arena.take(self.batch.size * d.heads * d.tokens);
                let visible =
                    |b: usize| causal_from.map_or(d.tokens, |row| self.batch.row(row, b) + 1);
                attention::pool_forward(d, x, &values[packed], visible, &mut y, &mut p);
                Kept::Buffer(p)
            }
            Op::Add { act } => {
                rows::sum(x, &values[step.inputs[1].index()], is_relu(*act), &mut y);
                Kept::Nothing
            }
            Op::AddParam(param) => {
                let len = self.batch.rows(step) * columns;
                rows::add_param(x, self.params[param.index()], len, &mut y);
                Kept::Nothing
            }
            Op::PrependParam(param) => {
                let param = self.params[param.index()];
                rows::prepend(x, rows_in, columns, &mut y, |_, row| row.copy_from_slice(param));
                Kept::Nothing
            }
            Op::AppendParam(param) => {
                rows::append(x, rows_in * columns, self.params[param.index()], &mut y);
                Kept::Nothing
            }
            Op::Head => {
                rows::head(x, rows_in * columns, self.batch.size, &mut y);
                Kept::Nothing
            }
            Op::PrependMean => {
                rows::prepend(x, rows_in, columns, &mut y, rows::mean_row);
                Kept::Nothing
            }
            Op::AvgPool { size } => {
                rows::avg_pool(x, picture(source), *size, &mut y);
                Kept::Nothing
            }
            Op::MeanRows => {
                let len = rows_in * columns;
                for (b, row) in y.chunks_exact_mut(columns).enumerate() {
                    rows::mean_row(&x[b * len..(b + 1) * len], row);
                }
                Kept::Nothing
            }
            Op::Pick(row) => {
                for (b, y) in y.chunks_exact_mut(columns).enumerate() {
                    let at = (b * rows_in + self.batch.row(*row, b)) * columns;
                    y.copy_from_slice(&x[at..at + columns]);
                }
                Kept::Nothing
            }
        };
        (y, kept)
    }

    fn linear(
        &mut self,
        step: &Step,
        x: &[f32],
        (weight, bias, act): (ParamRows, Option<ParamRows>, Option<Act>),
        y: &mut [f32],
    ) -> Kept {
        let d = linear_dims(self.batch, step, x.len() / self.batch.all_rows(step));
        let weight = rows_of(self.params, weight, d.inner);
        let bias = bias.map(|b| rows_of(self.params, b, 1));
        let Some(act) = act else {
            linear::forward(d, x, weight, bias, None, y);
            return Kept::Nothing;
        };
        let mut pre = self.arena.take(y.len());
        linear::forward(d, x, weight, bias, Some((act, &mut pre)), y);
        Kept::Buffer(pre)
    }

    fn batch_norm(&mut self, step: &Step, x: &[f32], y: &mut [f32]) -> Kept {
        let &Op::BatchNorm { gain, bias, mean, var, eps, act } = &step.op else {
            return Kept::Nothing;
        };
        let param = |id: ParamId| self.params[id.index()];
        let moments = if self.mode == Mode::Train {
            let (moments, statistics) = batch_norm::batch_moments(x, step.columns(), eps);
            self.statistics.push((mean, var, statistics));
            moments
        } else {
            batch_norm::running_moments(param(mean), param(var), eps)
        };
        batch_norm::forward(x, &moments, param(gain), param(bias), is_relu(act), y);
        Kept::Moments(moments)
    }
}

/// The part of a parameter that a layer uses, `inner` columns a row.
pub(super) fn rows_of<'a>(params: &[&'a [f32]], part: ParamRows, inner: usize) -> &'a [f32] {
    &params[part.param.index()][part.start * inner..(part.start + part.len) * inner]
}

pub(super) fn is_relu(act: Option<Act>) -> bool {
    assert!(
        matches!(act, None | Some(Act::Relu)),
        "only ReLU follows a sum or a batch normalisation"
    );
    act.is_some()
}

pub(super) fn linear_dims(batch: &Batch, step: &Step, inner: usize) -> linear::Dims {
    linear::Dims { rows: batch.all_rows(step), inner, out: step.columns() }
}

/// Sizes of an attention whose keys are rows of `keys`.
pub(super) fn attention_dims(batch: &Batch, step: &Step, keys: &Step) -> attention::Dims {
    let (heads, causal) = match step.op {
        Op::Attention { heads, causal } => (heads, causal),
        Op::AttentionPool { heads, .. } => (heads, false),
        _ => unreachable!("only attention has heads"),
    };
    attention::Dims { tokens: batch.rows(keys), width: step.columns(), heads, causal }
}

pub(super) fn picture(step: Option<&Step>) -> [usize; 3] {
    match step.map(|s| s.shape.as_slice()) {
        Some(&[h, w, c]) => [h, w, c],
        _ => unreachable!("the builder checked that this is a picture"),
    }
}

pub(super) fn conv_dims(batch: usize, step: &Step, source: Option<&Step>) -> conv::Dims {
    let Op::Conv2d { kernel, stride, pad, .. } = step.op else {
        unreachable!("only convolutions have windows")
    };
    conv::Dims { batch, input: picture(source), output: picture(Some(step)), kernel, stride, pad }
}
