//! Each operation of the graph as differentiable primitives over (batch, rows…, columns).

use candle_core::{D, Device, Result, Tensor};

use crate::graph::Act;

/// The value of one step for the whole batch: (batch, rows…, columns).
#[derive(Clone, Debug)]
pub(super) struct Value(pub Tensor);

/// Token ids of a batch and where each text ends.
pub(super) struct Sequence {
    /// (batch · T).
    ids: Tensor,
    end: Vec<u32>,
}

impl Sequence {
    pub(super) fn new(ids: &[u32], end: &[u32], device: &Device) -> Result<Self> {
        Ok(Self { ids: Tensor::from_slice(ids, ids.len(), device)?, end: end.to_vec() })
    }

    pub(super) fn end(&self) -> &[u32] {
        &self.end
    }

    /// Rows of `table` for every token.
    pub(super) fn look_up(&self, table: &Tensor) -> Result<Value> {
        let batch = self.end.len();
        let rows = table.index_select(&self.ids, 0)?;
        Ok(Value(rows.reshape((batch, self.ids.dim(0)? / batch, table.dim(1)?))?))
    }

    /// The end-of-text row of every example, (batch, 1, D).
    pub(super) fn end_rows(&self, x: &Value) -> Result<Value> {
        let (batch, length, columns) = x.0.dims3()?;
        let at: Vec<u32> =
            self.end.iter().enumerate().map(|(b, &e)| (b * length) as u32 + e).collect();
        let at = Tensor::from_slice(&at, batch, x.0.device())?;
        let rows = x.0.reshape((batch * length, columns))?.index_select(&at, 0)?;
        Ok(Value(rows.reshape((batch, 1, columns))?))
    }
}

impl Value {
    fn columns(&self) -> Result<usize> {
        self.0.dim(D::Minus1)
    }

    /// (batch, rows, columns), whatever shape the rows had.
    fn matrix(&self) -> Result<Tensor> {
        self.0.reshape((self.0.dim(0)?, (), self.columns()?))
    }

    /// (batch · rows, columns).
    fn flat(&self) -> Result<Tensor> {
        self.0.reshape(((), self.columns()?))
    }

    pub(super) fn act(self, act: Option<Act>) -> Result<Self> {
        let x = &self.0;
        Ok(Self(match act {
            None => return Ok(self),
            // A choice, not a product: the gradient at 0 is 0, and no infinity becomes NaN.
            Some(Act::Relu) => {
                let zeros = x.zeros_like()?;
                x.gt(&zeros)?.where_cond(x, &zeros)?
            }
            Some(Act::Gelu) => {
                let cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
                (x * (cdf * 0.5)?)?
            }
            // σ by tanh: the exponential of a large argument would make the gradient NaN.
            Some(Act::QuickGelu) => {
                let sigmoid = (((x * (1.702 / 2.0))?.tanh()? + 1.0)? * 0.5)?;
                (x * sigmoid)?
            }
        }))
    }

    pub(super) fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let out = weight.dim(0)?;
        let weight = weight.reshape((out, ()))?;
        let mut y = self.flat()?.matmul(&weight.t()?)?;
        if let Some(bias) = bias {
            y = y.broadcast_add(bias)?;
        }
        let mut shape = self.0.dims().to_vec();
        shape.pop();
        shape.push(out);
        Ok(Self(y.reshape(shape)?))
    }

    /// candle convolves (batch, C, H, W) with (out, in, k, k).
    pub(super) fn conv2d(&self, weight: &Tensor, stride: usize, pad: usize) -> Result<Self> {
        let first = |x: &Tensor| x.permute((0, 3, 1, 2))?.contiguous();
        let y = first(&self.0)?.conv2d(&first(weight)?, pad, stride, 1, 1)?;
        Ok(Self(y.permute((0, 2, 3, 1))?.contiguous()?))
    }

    pub(super) fn layer_norm(&self, gain: &Tensor, bias: &Tensor, eps: f32) -> Result<Self> {
        let x = &self.0;
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let y = centred.broadcast_div(&(var + f64::from(eps))?.sqrt()?)?;
        Ok(Self(y.broadcast_mul(gain)?.broadcast_add(bias)?))
    }

    /// Mean and biased variance per column over all rows of the batch, and their number.
    pub(super) fn moments(&self) -> Result<(Tensor, Tensor, usize)> {
        let x = self.flat()?;
        let mean = x.mean(0)?;
        let var = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
        Ok((mean, var, x.dim(0)?))
    }

    pub(super) fn batch_norm(
        &self,
        mean: &Tensor,
        var: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        eps: f32,
    ) -> Result<Self> {
        let y = self.0.broadcast_sub(mean)?.broadcast_div(&(var + f64::from(eps))?.sqrt()?)?;
        Ok(Self(y.broadcast_mul(gain)?.broadcast_add(bias)?))
    }

    pub(super) fn attention(&self, heads: usize, causal: bool) -> Result<Self> {
        let width = self.columns()? / 3;
        let part = |i: usize| self.0.narrow(2, i * width, width).and_then(|x| split(&x, heads));
        let rows: Vec<u32> = (0..self.0.dim(1)? as u32).collect();
        let mask = causal.then(|| visible(&rows, rows.len(), &self.0)).transpose()?;
        // One mask row a query, the same for every example.
        let mask = mask.map(|m| m.reshape((1, 1, rows.len(), rows.len()))).transpose()?;
        attend(&part(0)?, &part(1)?, &part(2)?, mask.as_ref())
    }

    /// `self` is the query (batch, 1, D), `keys` holds packed k, v (batch, T, 2·D).
    pub(super) fn attention_pool(
        &self,
        keys: &Self,
        heads: usize,
        mask: Option<&Tensor>,
    ) -> Result<Self> {
        let width = self.columns()?;
        let part = |i: usize| keys.0.narrow(2, i * width, width).and_then(|x| split(&x, heads));
        attend(&split(&self.0, heads)?, &part(0)?, &part(1)?, mask)
    }

    /// (batch, 1, 1, T): what a query at row `last[b]` of example b sees of these keys.
    pub(super) fn visible(&self, last: &[u32]) -> Result<Tensor> {
        let length = self.0.dim(1)?;
        visible(last, length, &self.0)?.reshape((last.len(), 1, 1, length))
    }

    pub(super) fn add_param(&self, param: &Tensor) -> Result<Self> {
        Ok(Self(self.0.broadcast_add(param)?))
    }

    pub(super) fn prepend(&self, param: &Tensor) -> Result<Self> {
        let x = self.matrix()?;
        let row = param.reshape((1, 1, ()))?.broadcast_as((x.dim(0)?, 1, x.dim(2)?))?;
        Ok(Self(Tensor::cat(&[&row.contiguous()?, &x], 1)?))
    }

    pub(super) fn append(&self, param: &Tensor) -> Result<Self> {
        let x = self.matrix()?;
        let (count, columns) = param.dims2()?;
        let rows = param.reshape((1, count, columns))?.broadcast_as((x.dim(0)?, count, columns))?;
        Ok(Self(Tensor::cat(&[&x, &rows.contiguous()?], 1)?))
    }

    pub(super) fn head(&self, rows: usize) -> Result<Self> {
        Ok(Self(self.matrix()?.narrow(1, 0, rows)?.contiguous()?))
    }

    pub(super) fn prepend_mean(&self) -> Result<Self> {
        let x = self.matrix()?;
        Ok(Self(Tensor::cat(&[&x.mean_keepdim(1)?, &x], 1)?))
    }

    pub(super) fn mean_rows(&self) -> Result<Self> {
        Ok(Self(self.matrix()?.mean_keepdim(1)?))
    }

    pub(super) fn first_row(&self) -> Result<Self> {
        Ok(Self(self.matrix()?.narrow(1, 0, 1)?))
    }

    /// By reshaping: candle's own average pooling has a backward for few cases only (traps C22, C23).
    pub(super) fn avg_pool(&self, size: usize) -> Result<Self> {
        let (batch, height, width, columns) = self.0.dims4()?;
        let windows = self.0.reshape(&[batch, height / size, size, width / size, size, columns])?;
        Ok(Self(windows.mean(4)?.mean(2)?))
    }
}

/// (batch, rows, heads · d) to (batch, heads, rows, d).
fn split(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, rows, width) = x.dims3()?;
    x.reshape((batch, rows, heads, width / heads))?.transpose(1, 2)?.contiguous()
}

/// softmax(q·kᵀ/√d + mask)·v over (batch, heads, rows, d), heads joined again.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Value> {
    let (batch, heads, rows, columns) = q.dims4()?;
    let mut scores = (q.matmul(&k.t()?.contiguous()?)? * (columns as f64).powf(-0.5))?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(mask)?;
    }
    // The maximum cancels, so no gradient has to pass through it.
    let top = scores.max_keepdim(D::Minus1)?.detach();
    let e = scores.broadcast_sub(&top)?.exp()?;
    let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
    let joined = p.matmul(v)?.transpose(1, 2)?.contiguous()?;
    Ok(Value(joined.reshape((batch, rows, heads * columns))?))
}

/// (queries, T): 0 where key ≤ `last[query]`, −∞ elsewhere.
fn visible(last: &[u32], length: usize, like: &Tensor) -> Result<Tensor> {
    let row = |&last: &u32| {
        (0..length as u32).map(move |key| if key <= last { 0f32 } else { f32::NEG_INFINITY })
    };
    let mask: Vec<f32> = last.iter().flat_map(row).collect();
    Tensor::from_vec(mask, (last.len(), length), like.device())?.to_dtype(like.dtype())
}
