//! From a graph to launches of kernels: which kernel, with what numbers, over which buffers. Nothing here needs a device.

mod products;

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::kernels::{self, Kernel, MOST_GROUPS, MOST_KEYS, code, each, folded};
use crate::exec::fusion::{self, Planned};
use crate::graph::{Act, Graph, Node, Op, ParamId, Row, Step};
use crate::{Error, Result};

/// Bytes of one buffer that every WebGPU device takes: more is refused on phones (trap G12).
pub(super) const MOST_BYTES: usize = 128 << 20;

/// What a kernel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// What another launch has computed, or the input.
    Value(usize),
    /// Parameters.
    Constant(usize),
    /// The row of the end of each text.
    End,
}

/// One kernel run.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub kernel: &'static Kernel,
    /// In the order of the kernel's own struct, by the names that it has there.
    pub uniforms: Vec<(&'static str, u32)>,
    pub reads: Vec<Source>,
    /// The value that it computes.
    pub writes: usize,
    /// Workgroups.
    pub grid: [usize; 3],
    /// Where in the encoder.
    pub path: String,
}

/// Parameters as they lie on the device.
#[derive(Debug)]
pub(super) enum Constant<'a> {
    Full(Cow<'a, [f32]>),
    /// An even number of them, as buffers have whole words.
    Half(Vec<f16>),
}

impl Constant<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Full(values) => bytemuck::cast_slice(values),
            Self::Half(values) => bytemuck::cast_slice(values.reinterpret_cast()),
        }
    }
}

/// A graph for one size of batch.
#[derive(Debug)]
pub(super) struct Lowered<'a> {
    /// Length of each value, for the whole batch; the first is the input.
    pub values: Vec<usize>,
    pub constants: Vec<Constant<'a>>,
    /// In order; the last one computes the embeddings.
    pub launches: Vec<Launch>,
    /// Token embeddings (vocabulary, D): looked up by the host, as the largest tables fit no buffer (trap G2).
    pub table: Option<&'a [f32]>,
}

/// Lowers `graph` with `params`, which are aligned with [`Graph::params`]. With `halves` the weights of a product that half
/// precision has are stored in it: that changes no value, and real checkpoints come in half precision.
///
/// # Errors
/// If a buffer or grid would be larger than what every device offers; says which step.
pub(super) fn lower<'a>(
    graph: &Graph,
    params: &[&'a [f32]],
    batch: usize,
    halves: bool,
) -> Result<Lowered<'a>> {
    let lowered = Lowered { values: vec![], constants: vec![], launches: vec![], table: None };
    let mut walk = Walk { graph, params, batch, halves, nodes: vec![], lowered };
    for (i, planned) in fusion::plan(graph).iter().enumerate() {
        let value = match planned {
            // Nobody reads it: it is computed by the step that it belongs to.
            Planned::Within => usize::MAX,
            Planned::Product(fused) => walk.product(fused, &graph.steps()[i])?,
            Planned::Alone => walk.step(&graph.steps()[i])?,
        };
        walk.nodes.push(value);
    }
    Ok(walk.lowered)
}

struct Walk<'a, 'g> {
    graph: &'g Graph,
    params: &'g [&'a [f32]],
    batch: usize,
    halves: bool,
    /// The value of each node.
    nodes: Vec<usize>,
    lowered: Lowered<'a>,
}

type Uniforms = Vec<(&'static str, u32)>;

impl<'a> Walk<'a, '_> {
    fn step(&mut self, step: &Step) -> Result<usize> {
        let input = |walk: &Self, i: usize| Source::Value(walk.nodes[step.inputs[i].index()]);
        let (rows, columns) = (step.rows(), step.columns());
        let len = self.batch * rows * columns;
        match &step.op {
            Op::Pixels => self.value(len, step),
            Op::Embed { table } => {
                self.lowered.table = Some(self.params[table.index()]);
                self.value(len, step)
            }
            Op::LayerNorm { gain, bias, eps } => {
                let rows = self.batch * rows;
                let uniforms = vec![
                    ("rows", rows as u32),
                    ("columns", columns as u32),
                    ("eps", eps.to_bits()),
                ];
                let reads =
                    vec![input(self, 0), self.param(*gain, step)?, self.param(*bias, step)?];
                self.launch(&kernels::LAYER_NORM, uniforms, reads, folded(rows), step, len)
            }
            Op::BatchNorm { act, .. } => {
                let (scale, shift) = self.affine(&step.op);
                let reads =
                    vec![input(self, 0), self.constant(scale, step)?, self.constant(shift, step)?];
                let uniforms = named([("len", len), ("columns", columns)], *act);
                self.launch(&kernels::AFFINE, uniforms, reads, each(len), step, len)
            }
            Op::Attention { heads, causal } => {
                let read = input(self, 0);
                let at = [3 * columns, 3 * columns, columns, 2 * columns];
                self.attention(step, [read; 2], [rows; 2], *heads, at, u32::from(*causal))
            }
            Op::AttentionPool { heads, causal_from } => {
                let visible = match causal_from {
                    None => 0,
                    Some(Row::First) => 2,
                    Some(Row::EndOfText) => 3,
                };
                let keys = self.rows(step.inputs[1]);
                let reads = [input(self, 0), input(self, 1)];
                let at = [columns, 2 * columns, 0, columns];
                self.attention(step, reads, [rows, keys], *heads, at, visible)
            }
            Op::Add { act } => {
                let reads = vec![input(self, 0), input(self, 1)];
                let uniforms = named([("len", len), ("period", len)], *act);
                self.launch(&kernels::ADD, uniforms, reads, each(len), step, len)
            }
            Op::AddParam(param) => {
                let reads = vec![input(self, 0), self.param(*param, step)?];
                let uniforms = named([("len", len), ("period", rows * columns)], None);
                self.launch(&kernels::ADD, uniforms, reads, each(len), step, len)
            }
            Op::PrependParam(param) => {
                let (first, x) = (self.param(*param, step)?, input(self, 0));
                self.join(step, [first, x], 1, [0, (rows - 1) * columns])
            }
            Op::AppendParam(param) => {
                let (x, last) = (input(self, 0), self.param(*param, step)?);
                let before = self.rows(step.inputs[0]);
                self.join(step, [x, last], before, [before * columns, 0])
            }
            Op::PrependMean => {
                let x = input(self, 0);
                let mean = self.means(step, x, [1, 1], [self.rows(step.inputs[0]), 1])?;
                let strides = [columns, (rows - 1) * columns];
                self.join(step, [Source::Value(mean), x], 1, strides)
            }
            Op::AvgPool { size } => {
                let out = [step.shape[0], step.shape[1]];
                self.means(step, input(self, 0), out, [*size; 2])
            }
            Op::MeanRows => {
                let window = [self.rows(step.inputs[0]), 1];
                self.means(step, input(self, 0), [1, 1], window)
            }
            Op::Pick(row) => self.pick(step, input(self, 0), *row == Row::EndOfText),
            Op::Head => self.pick(step, input(self, 0), false),
            Op::Linear { .. } | Op::Conv2d { .. } => unreachable!("planned as a product"),
        }
    }

    /// Batch normalisation with running statistics as scale and shift of each column.
    fn affine(&self, op: &Op) -> (Cow<'a, [f32]>, Cow<'a, [f32]>) {
        let &Op::BatchNorm { gain, bias, mean, var, eps, .. } = op else {
            unreachable!("only batch normalisation has running statistics")
        };
        let [gain, bias, mean, var] = [gain, bias, mean, var].map(|id| self.params[id.index()]);
        let scale: Vec<f32> = gain.iter().zip(var).map(|(g, v)| g / (v + eps).sqrt()).collect();
        let shift = bias.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        (Cow::Owned(scale), Cow::Owned(shift))
    }

    /// `at`: lengths of a row of queries and of a row of keys and values, and where its keys and values begin.
    fn attention(
        &mut self,
        step: &Step,
        [q, kv]: [Source; 2],
        [queries, keys]: [usize; 2],
        heads: usize,
        at: [usize; 4],
        visible: u32,
    ) -> Result<usize> {
        if keys > MOST_KEYS {
            return Err(refused(step, &format!("{keys} tokens; the most is {MOST_KEYS}")));
        }
        let columns = step.columns();
        let dim = columns / heads;
        let [query_stride, stride, key, value] = at.map(|n| n as u32);
        let uniforms = vec![
            ("queries", queries as u32),
            ("keys", keys as u32),
            ("heads", heads as u32),
            ("dim", dim as u32),
            ("scale", (dim as f32).powf(-0.5).to_bits()),
            ("query_stride", query_stride),
            ("stride", stride),
            ("key", key),
            ("value", value),
            ("visible", visible),
        ];
        let (grid, len) = ([queries, heads, self.batch], self.batch * queries * columns);
        self.launch(&kernels::ATTENTION, uniforms, vec![q, kv, Source::End], grid, step, len)
    }

    /// `before` rows of the first source, then those of the second; `strides` lie between examples.
    fn join(
        &mut self,
        step: &Step,
        reads: [Source; 2],
        before: usize,
        strides: [usize; 2],
    ) -> Result<usize> {
        let (rows, columns) = (step.rows(), step.columns());
        let len = self.batch * rows * columns;
        let uniforms = [
            ("len", len),
            ("rows", rows),
            ("columns", columns),
            ("before", before),
            ("first_stride", strides[0]),
            ("second_stride", strides[1]),
        ];
        let uniforms = uniforms.map(|(name, n)| (name, n as u32)).to_vec();
        self.launch(&kernels::JOIN, uniforms, reads.to_vec(), each(len), step, len)
    }

    /// As many rows as the step has, the first ones or from the end of the text on.
    fn pick(&mut self, step: &Step, x: Source, at_end: bool) -> Result<usize> {
        let (count, columns) = (step.rows(), step.columns());
        let (rows, len) = (self.rows(step.inputs[0]), self.batch * count * columns);
        let uniforms = [
            ("len", len),
            ("rows", rows),
            ("columns", columns),
            ("count", count),
            ("at_end", usize::from(at_end)),
        ];
        let uniforms = uniforms.map(|(name, n)| (name, n as u32)).to_vec();
        self.launch(&kernels::PICK, uniforms, vec![x, Source::End], each(len), step, len)
    }

    fn means(
        &mut self,
        step: &Step,
        x: Source,
        out: [usize; 2],
        window: [usize; 2],
    ) -> Result<usize> {
        let columns = step.columns();
        let len = self.batch * out[0] * out[1] * columns;
        let uniforms = [
            ("len", len),
            ("out_height", out[0]),
            ("out_width", out[1]),
            ("channels", columns),
            ("window_height", window[0]),
            ("window_width", window[1]),
        ];
        let uniforms = uniforms.map(|(name, n)| (name, n as u32)).to_vec();
        self.launch(&kernels::AVG_POOL, uniforms, vec![x], each(len), step, len)
    }

    fn rows(&self, node: Node) -> usize {
        self.graph.steps()[node.index()].rows()
    }

    fn param(&mut self, id: ParamId, step: &Step) -> Result<Source> {
        self.constant(Cow::Borrowed(self.params[id.index()]), step)
    }

    fn constant(&mut self, data: Cow<'a, [f32]>, step: &Step) -> Result<Source> {
        self.bound(Constant::Full(data), step)
    }

    fn bound(&mut self, constant: Constant<'a>, step: &Step) -> Result<Source> {
        fits(constant.bytes().len(), step)?;
        self.lowered.constants.push(constant);
        Ok(Source::Constant(self.lowered.constants.len() - 1))
    }

    fn value(&mut self, len: usize, step: &Step) -> Result<usize> {
        fits(len.saturating_mul(4), step)?;
        self.lowered.values.push(len);
        Ok(self.lowered.values.len() - 1)
    }

    fn launch(
        &mut self,
        kernel: &'static Kernel,
        uniforms: Uniforms,
        reads: Vec<Source>,
        grid: [usize; 3],
        step: &Step,
        len: usize,
    ) -> Result<usize> {
        if let Some(groups) = grid.iter().find(|groups| **groups > MOST_GROUPS) {
            return Err(refused(step, &format!("{groups} workgroups; the most is {MOST_GROUPS}")));
        }
        let writes = self.value(len, step)?;
        let path = step.path.clone();
        self.lowered.launches.push(Launch { kernel, uniforms, reads, writes, grid, path });
        Ok(writes)
    }
}

/// Numbers under their names, and the activation behind them.
fn named<const N: usize>(numbers: [(&'static str, usize); N], act: Option<Act>) -> Uniforms {
    let numbers = numbers.into_iter().map(|(name, n)| (name, n as u32));
    numbers.chain([("act", code(act))]).collect()
}

fn fits(bytes: usize, step: &Step) -> Result<()> {
    match bytes <= MOST_BYTES {
        true => Ok(()),
        false => {
            let mib = bytes >> 20;
            Err(refused(
                step,
                &format!("{mib} MiB in one buffer; the most is {}", MOST_BYTES >> 20),
            ))
        }
    }
}

fn refused(step: &Step, why: &str) -> Error {
    Error::input(
        format!("{}, for a graphics card", step.path),
        format!("{why}; take a smaller batch, or the CPU"),
    )
}
