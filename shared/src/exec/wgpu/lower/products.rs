//! Products: linear layers and convolutions, with the batch normalisation, residual and activation that are computed together
//! with them, and weights as the device stores them.

use std::borrow::Cow;

use half::f16;

use super::super::kernels::{self, tiles};
use super::{Constant, Source, Walk, named};
use crate::Result;
use crate::exec::fusion::{self, Fused};
use crate::graph::{Op, ParamRows, Step};

impl<'a> Walk<'a, '_> {
    /// A product with what is computed together with it; `last` is the step whose value that is.
    pub(super) fn product(&mut self, fused: &Fused, last: &Step) -> Result<usize> {
        let steps = self.graph.steps();
        let step = &steps[fused.product];
        let (weight, bias) = fusion::weight(self.graph, fused.product);
        let inner: usize = self.graph.params()[weight.param.index()].shape[1..].iter().product();
        let (out, rows) = (weight.len, self.batch * step.rows());
        let (w, b) = self.folded(fused, weight, bias, inner);
        let x = Source::Value(self.nodes[step.inputs[0].index()]);
        let (w, half) = self.weight(w, step)?;
        let b = self.constant(b, step)?;
        // Something has to be bound where nothing is added.
        let residual = fused.residual.map_or(b, |node| Source::Value(self.nodes[node.index()]));
        let mut uniforms = named([("rows", rows), ("out", out), ("inner", inner)], fused.act);
        uniforms.push(("adds", u32::from(fused.residual.is_some())));
        let kernel = match &step.op {
            Op::Conv2d { kernel, stride, pad, .. } => {
                let &[height, width, channels] = self.graph.shape(step.inputs[0]).as_slice() else {
                    unreachable!("the builder has checked that this is a picture")
                };
                let more = [
                    ("height", height),
                    ("width", width),
                    ("channels", channels),
                    ("kernel", *kernel),
                    ("stride", *stride),
                    ("pad", *pad),
                    ("out_height", step.shape[0]),
                    ("out_width", step.shape[1]),
                ];
                uniforms.extend(more.map(|(name, n)| (name, n as u32)));
                if half { &kernels::CONV2D_HALF } else { &kernels::CONV2D }
            }
            _ if half => &kernels::LINEAR_HALF,
            _ => &kernels::LINEAR,
        };
        let reads = vec![x, w, b, residual];
        self.launch(kernel, uniforms, reads, tiles(rows, out), last, rows * out)
    }

    /// Weight and bias of a product with batch normalisation multiplied into them.
    fn folded(
        &self,
        fused: &Fused,
        weight: ParamRows,
        bias: Option<ParamRows>,
        inner: usize,
    ) -> (Cow<'a, [f32]>, Cow<'a, [f32]>) {
        let rows = |rows: ParamRows, width: usize| -> &'a [f32] {
            &self.params[rows.param.index()][rows.start * width..(rows.start + rows.len) * width]
        };
        let w = rows(weight, inner);
        let b =
            bias.map_or_else(|| Cow::Owned(vec![0.0; weight.len]), |b| Cow::Borrowed(rows(b, 1)));
        let Some(norm) = fused.norm else { return (Cow::Borrowed(w), b) };
        let (scale, shift) = self.affine(&self.graph.steps()[norm].op);
        let w = w.chunks_exact(inner).zip(scale.iter());
        let w = w.flat_map(|(row, scale)| row.iter().map(move |w| w * scale)).collect();
        let b = b.iter().zip(scale.iter()).zip(shift.iter());
        (Cow::Owned(w), Cow::Owned(b.map(|((b, scale), shift)| b * scale + shift).collect()))
    }

    /// The weight of a product, and whether it is stored in half precision.
    fn weight(&mut self, data: Cow<'a, [f32]>, step: &Step) -> Result<(Source, bool)> {
        if !self.halves || !data.iter().all(|w| f16::from_f32(*w).to_f32() == *w) {
            return Ok((self.constant(data, step)?, false));
        }
        let mut halves: Vec<f16> = data.iter().map(|w| f16::from_f32(*w)).collect();
        halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
        Ok((self.bound(Constant::Half(halves), step)?, true))
    }
}
