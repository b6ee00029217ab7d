//! The composition of candle primitives: the executor for other devices, and the oracle of the CPU's own operations.
//!
//! Only primitives with a correct backward are used: no fused layer norm or softmax, which have none
//! (traps C1, C2), and no built-in ReLU or GELU, whose gradients differ from PyTorch's (C24, C27).
//! In f64 on the CPU it tells rounding from mistakes.

mod ops;

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use self::ops::{Sequence, Value};
use super::{Inputs, Mode};
use crate::Error;
use crate::graph::{Graph, Node, Op, ParamId, ParamRows, Row, Step};

/// Where and in which precision a graph is run.
#[derive(Clone, Debug)]
pub struct Candle {
    /// CPU or CUDA.
    pub device: Device,
    /// `F32`, or `F64` where the device has it.
    pub dtype: DType,
}

/// The parameters of a graph on the device, for many walks that need no gradient.
#[derive(Clone, Debug)]
pub struct Resident(Vec<Tensor>);

/// Mean and variance per channel that one batch normalisation saw, and which statistics they update.
#[derive(Debug)]
pub struct Statistics {
    /// The parameters holding running mean and running variance.
    pub params: (ParamId, ParamId),
    /// Mean over the batch, (C).
    pub mean: Vec<f32>,
    /// Variance over the batch, divided by n − 1 as PyTorch does for the running variance, (C).
    pub var: Vec<f32>,
}

/// A finished forward walk; candle keeps what backward needs.
#[derive(Debug)]
pub struct Pass {
    params: Vec<Var>,
    pixels: Option<Var>,
    embeddings: Tensor,
    statistics: Vec<Statistics>,
}

/// Gradients of one backward walk.
#[derive(Debug)]
pub struct Gradients {
    /// Aligned with [`Graph::params`]; `None` where nothing reached the parameter, as for statistics.
    pub params: Vec<Option<Vec<f32>>>,
    /// Of the pixels (batch, size, size, 3); `None` for text.
    pub pixels: Option<Vec<f32>>,
}

impl Candle {
    /// Single precision on the CPU.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32 }
    }

    /// Single precision on a GPU, 0 being the first. Products are not rounded to less on the way (trap N8).
    ///
    /// # Errors
    /// If there is no such GPU.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize) -> Result<Self> {
        candle_core::cuda::set_gemm_reduced_precision_f32(false);
        Ok(Self { device: Device::new_cuda(ordinal)?, dtype: DType::F32 })
    }

    /// Runs `graph` over a batch, with gradients of parameters and pixels. `params` are aligned with [`Graph::params`].
    ///
    /// # Errors
    /// If inputs and graph do not belong together, or the device refuses an operation.
    pub fn forward(
        &self,
        graph: &Graph,
        params: &[&[f32]],
        inputs: Inputs<'_>,
        mode: Mode,
    ) -> Result<Pass> {
        let pixels = self.pixels(graph, inputs)?.map(|x| Var::from_tensor(&x)).transpose()?;
        self.pass(graph, params, pixels, inputs, mode)
    }

    /// The same with gradients of the parameters alone.
    ///
    /// # Errors
    /// As [`Candle::forward`].
    pub fn train(
        &self,
        graph: &Graph,
        params: &[&[f32]],
        inputs: Inputs<'_>,
        mode: Mode,
    ) -> Result<Pass> {
        self.pass(graph, params, None, inputs, mode)
    }

    /// Puts parameters on the device. They are aligned with [`Graph::params`].
    ///
    /// # Errors
    /// If the device has no room.
    pub fn load(&self, graph: &Graph, params: &[&[f32]]) -> Result<Resident> {
        let all = graph.params().iter().zip(params);
        Ok(Resident(all.map(|(p, data)| self.tensor(data, &p.shape)).collect::<Result<_>>()?))
    }

    /// Embeddings (batch, width) under running statistics, not normalised.
    ///
    /// # Errors
    /// As [`Candle::forward`].
    pub fn embed(&self, graph: &Graph, params: &Resident, inputs: Inputs<'_>) -> Result<Vec<f32>> {
        let pixels = self.pixels(graph, inputs)?;
        let mode = Mode::TrainFrozenStatistics;
        host(&self.walk(graph, &params.0, pixels, inputs, mode)?.0)
    }

    fn pass(
        &self,
        graph: &Graph,
        params: &[&[f32]],
        pixels: Option<Var>,
        inputs: Inputs<'_>,
        mode: Mode,
    ) -> Result<Pass> {
        let params = self.load(graph, params)?.0;
        let params = params.iter().map(Var::from_tensor).collect::<Result<Vec<Var>>>()?;
        let tensors: Vec<Tensor> = params.iter().map(|p| p.as_tensor().clone()).collect();
        let given = match &pixels {
            Some(pixels) => Some(pixels.as_tensor().clone()),
            None => self.pixels(graph, inputs)?,
        };
        let (embeddings, statistics) = self.walk(graph, &tensors, given, inputs, mode)?;
        Ok(Pass { params, pixels, embeddings, statistics })
    }

    fn tensor(&self, data: &[f32], shape: &[usize]) -> Result<Tensor> {
        Tensor::from_slice(data, shape, &self.device)?.to_dtype(self.dtype)
    }

    /// The pictures of a batch (batch, size, size, 3); `None` for texts.
    fn pixels(&self, graph: &Graph, inputs: Inputs<'_>) -> Result<Option<Tensor>> {
        match (inputs, graph.steps().first()) {
            (Inputs::Pixels(data), Some(Step { op: Op::Pixels, shape, .. })) => {
                let batch = data.len() / shape.iter().product::<usize>();
                self.tensor(data, &[&[batch], shape.as_slice()].concat()).map(Some)
            }
            (Inputs::Tokens { .. }, Some(Step { op: Op::Embed { .. }, .. })) => Ok(None),
            _ => bail!("the inputs are of the other tower"),
        }
    }

    fn walk(
        &self,
        graph: &Graph,
        params: &[Tensor],
        pixels: Option<Tensor>,
        inputs: Inputs<'_>,
        mode: Mode,
    ) -> Result<(Tensor, Vec<Statistics>)> {
        let sequence = match inputs {
            Inputs::Pixels(_) => None,
            Inputs::Tokens { ids, end } => Some(Sequence::new(ids, end, &self.device)?),
        };
        let mut walk = Walk { params, pixels, sequence, mode, statistics: vec![] };
        let mut values: Vec<Value> = Vec::with_capacity(graph.steps().len());
        for step in graph.steps() {
            let value = walk.step(step, &values).map_err(|e| e.context(step.path.clone()))?;
            values.push(value);
        }
        let Some(last) = values.pop() else { bail!("an empty graph has no output") };
        Ok((last.0.flatten_from(1)?, walk.statistics))
    }
}

/// What a device refused, as a line of this crate's own.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub fn refused(error: candle_core::Error) -> Error {
    let text = error.to_string();
    Error::Device(text.lines().next().unwrap_or("it does not say why").to_owned())
}

impl Pass {
    /// The result (batch, embedding width), not normalised.
    ///
    /// # Errors
    /// If the device cannot copy it to the host.
    pub fn embeddings(&self) -> Result<Vec<f32>> {
        host(&self.embeddings)
    }

    /// What each batch normalisation saw; empty unless training.
    pub fn statistics(&self) -> &[Statistics] {
        &self.statistics
    }

    /// Gradients of Σ embeddings · `d_embeddings`: the chain rule with the loss's gradient given.
    ///
    /// # Errors
    /// If the sizes differ, or the device refuses an operation.
    pub fn backward(&self, d_embeddings: &[f32]) -> Result<Gradients> {
        let given =
            Tensor::from_slice(d_embeddings, self.embeddings.dims(), self.embeddings.device())?;
        let given = given.to_dtype(self.embeddings.dtype())?;
        let grads = (&self.embeddings * given)?.sum_all()?.backward()?;
        let of = |v: &Var| grads.get(v.as_tensor()).map(host).transpose();
        let params = self.params.iter().map(of).collect::<Result<_>>()?;
        let pixels = self.pixels.as_ref().map(of).transpose()?.flatten();
        Ok(Gradients { params, pixels })
    }
}

fn host(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

struct Walk<'a> {
    params: &'a [Tensor],
    pixels: Option<Tensor>,
    sequence: Option<Sequence>,
    mode: Mode,
    statistics: Vec<Statistics>,
}

impl Walk<'_> {
    fn step(&mut self, step: &Step, values: &[Value]) -> Result<Value> {
        let input = |i: usize| {
            let node: Node = step.inputs[i];
            &values[node.index()]
        };
        match &step.op {
            Op::Pixels => Ok(Value(self.pixels()?.clone())),
            Op::Embed { table } => self.sequence()?.look_up(self.param(*table)),
            Op::Linear { weight, bias, act } => {
                let bias = bias.map(|b| self.rows(b)).transpose()?;
                input(0).linear(&self.rows(*weight)?, bias.as_ref())?.act(*act)
            }
            Op::Conv2d { weight, stride, pad, .. } => {
                input(0).conv2d(self.param(*weight), *stride, *pad)
            }
            Op::LayerNorm { gain, bias, eps } => {
                input(0).layer_norm(self.param(*gain), self.param(*bias), *eps)
            }
            Op::BatchNorm { gain, bias, mean, var, eps, act } => {
                let x = input(0);
                let (m, v) = match self.mode {
                    Mode::Train => self.moments(x, (*mean, *var))?,
                    _ => (self.param(*mean).detach(), self.param(*var).detach()),
                };
                x.batch_norm(&m, &v, self.param(*gain), self.param(*bias), *eps)?.act(*act)
            }
            Op::Attention { heads, causal } => input(0).attention(*heads, *causal),
            Op::AttentionPool { heads, causal_from } => {
                let visible =
                    causal_from.map(|row| self.visible_from(row, input(1))).transpose()?;
                input(0).attention_pool(input(1), *heads, visible.as_ref())
            }
            Op::Add { act } => Value((&input(0).0 + &input(1).0)?).act(*act),
            Op::AddParam(param) => input(0).add_param(self.param(*param)),
            Op::PrependParam(param) => input(0).prepend(self.param(*param)),
            Op::AppendParam(param) => input(0).append(self.param(*param)),
            Op::Head => input(0).head(step.rows()),
            Op::PrependMean => input(0).prepend_mean(),
            Op::AvgPool { size } => input(0).avg_pool(*size),
            Op::MeanRows => input(0).mean_rows(),
            Op::Pick(Row::First) => input(0).first_row(),
            Op::Pick(Row::EndOfText) => self.sequence()?.end_rows(input(0)),
        }
    }

    fn pixels(&self) -> Result<&Tensor> {
        self.pixels
            .as_ref()
            .ok_or_else(|| candle_core::Error::Msg("this tower reads pixels".to_owned()))
    }

    fn sequence(&self) -> Result<&Sequence> {
        let missing = || candle_core::Error::Msg("this tower reads tokens".to_owned());
        self.sequence.as_ref().ok_or_else(missing)
    }

    fn param(&self, id: ParamId) -> &Tensor {
        &self.params[id.index()]
    }

    fn rows(&self, rows: ParamRows) -> Result<Tensor> {
        let all = self.param(rows.param);
        match all.dim(0)? == rows.len {
            true => Ok(all.clone()),
            false => all.narrow(0, rows.start, rows.len),
        }
    }

    /// Mean and biased variance of the batch; the unbiased one is noted for the running statistics.
    fn moments(&mut self, x: &Value, params: (ParamId, ParamId)) -> Result<(Tensor, Tensor)> {
        let (mean, var, count) = x.moments()?;
        let unbiased = (&var * (count as f64 / (count as f64 - 1.0).max(1.0)))?;
        self.statistics.push(Statistics { params, mean: host(&mean)?, var: host(&unbiased)? });
        Ok((mean, var))
    }

    /// 0 for keys that the query at `row` sees and −∞ for the others, (batch, 1, 1, T).
    fn visible_from(&self, row: Row, keys: &Value) -> Result<Tensor> {
        match row {
            Row::First => keys.visible(&vec![0; keys.0.dim(0)?]),
            Row::EndOfText => keys.visible(self.sequence()?.end()),
        }
    }
}
