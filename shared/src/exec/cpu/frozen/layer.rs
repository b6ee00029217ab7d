//! A product over packed weights with what follows it.

use crate::exec::cpu::batch_norm::{Affine, running_moments};
use crate::exec::cpu::forward::{conv_dims, is_relu, linear_dims, rows_of};
use crate::exec::cpu::linear::Finish;
use crate::exec::cpu::matmul::{Into, Mat, Packed, Start, pack, packed_len};
use crate::exec::cpu::simd::add_assign;
use crate::exec::cpu::{Batch, Buffer, act, conv, linear, scratch};
use crate::exec::fusion::{self, Fused};
use crate::graph::{Graph, Node, Op, Step};

/// Everything about one product that does not depend on the batch.
#[derive(Debug)]
pub(super) struct Layer {
    fused: Fused,
    inner: usize,
    out: usize,
    /// The weight (inner, out), packed.
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    norm: Option<Affine>,
}

impl Layer {
    pub(super) fn new(graph: &Graph, params: &[&[f32]], fused: Fused) -> Self {
        let (rows, bias) = fusion::weight(graph, fused.product);
        let shape = &graph.params()[rows.param.index()].shape;
        let (inner, out) = (shape[1..].iter().product(), rows.len);
        let mut weight = vec![0.0; packed_len(inner, out)];
        pack(Mat::new(rows_of(params, rows, inner), out, inner).t(), &mut weight);
        let bias = bias.map(|b| rows_of(params, b, 1).to_vec());
        let norm = fused.norm.map(|step| {
            let &Op::BatchNorm { gain, bias, mean, var, eps, .. } = &graph.steps()[step].op else {
                unreachable!("the plan names a batch normalisation")
            };
            let [gain, bias, mean, var] = [gain, bias, mean, var].map(|id| params[id.index()]);
            Affine::new(&running_moments(mean, var, eps), gain, bias)
        });
        Self { fused, inner, out, weight, bias, norm }
    }

    /// The value that is added to the product.
    pub(super) fn residual(&self) -> Option<Node> {
        self.fused.residual
    }

    /// Fills `y`, the result of the last step that belongs to this product. It holds what is to be added.
    pub(super) fn forward(&self, steps: &[Step], batch: &Batch, values: &[Buffer], y: &mut [f32]) {
        let step = &steps[self.fused.product];
        let source = step.inputs[0].index();
        let x: &[f32] = &values[source];
        let finish = |product: &[f32], y: &mut [f32]| self.finish(product, y);
        let alone =
            self.norm.is_none() && self.fused.residual.is_none() && self.fused.act.is_none();
        let finish: Option<&Finish<'_>> = if alone { None } else { Some(&finish) };
        let weight = Packed::new(&self.weight, self.inner, self.out);
        let start = self.bias.as_deref().map_or(Start::Zero, Start::Row);
        if matches!(step.op, Op::Linear { .. }) {
            let d = linear_dims(batch, step, self.inner);
            return linear::multiply_rows(d, x, weight, start, y, finish);
        }
        let d = conv_dims(batch.size, step, Some(&steps[source]));
        let rows = linear::Dims { rows: y.len() / self.out, inner: self.inner, out: self.out };
        if d.is_linear() {
            linear::multiply_rows(rows, x, weight, start, y, finish);
        } else if d.is_tiling() {
            scratch::with(rows.rows * rows.inner, |tiles| {
                conv::tiles(d, x, tiles);
                linear::multiply_rows(rows, tiles, weight, start, y, finish);
            });
        } else {
            conv::correlate(d, x, weight, start, y, finish);
        }
    }

    /// Rows of the result of rows of the product.
    fn finish(&self, product: &[f32], y: &mut [f32]) {
        let adds = self.fused.residual.is_some();
        match (&self.norm, self.fused.act) {
            (Some(norm), act) => {
                norm.apply(product, if adds { Into::Add } else { Into::Set }, is_relu(act), y);
            }
            (None, act) if adds => {
                add_assign(y, product);
                if is_relu(act) {
                    y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
                }
            }
            (None, Some(activation)) => act::forward(activation, product, y),
            (None, None) => y.copy_from_slice(product),
        }
    }
}
