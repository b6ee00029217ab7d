//! A layer of the two networks: a convolution with bias, through which a dense layer goes as a window as large as its
//! input.

use std::collections::BTreeMap;

use crate::exec::cpu::conv::{self, Dims};
use crate::exec::cpu::matmul::Into;
use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::weights::Weights;

/// By parameter name.
pub(super) type Gradients = BTreeMap<String, Vec<f32>>;

#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub name: &'static str,
    /// Height, width, channels.
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
    /// Whether negative values become 0.
    pub positive: bool,
}

impl Layer {
    /// 3×3 over a square of `edge`, zeros around it.
    pub(super) fn square(
        name: &'static str,
        edge: usize,
        [from, to]: [usize; 2],
        stride: usize,
    ) -> Self {
        let after = edge / stride;
        let (input, output) = ([edge, edge, from], [after, after, to]);
        Self { name, input, output, kernel: 3, stride, pad: 1, positive: true }
    }

    /// Every output from every input.
    pub(super) fn dense(name: &'static str, input: [usize; 3], outputs: usize) -> Self {
        let output = [1, 1, outputs];
        Self { name, input, output, kernel: input[0], stride: 1, pad: 0, positive: false }
    }

    pub(super) fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    pub(super) fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    fn dims(&self, x: &[f32]) -> Dims {
        let batch = x.len() / self.input.iter().product::<usize>();
        let Self { input, output, kernel, stride, pad, .. } = *self;
        Dims { batch, input, output, kernel, stride, pad }
    }

    /// Weight (out, k, k, in) and bias, with PyTorch's start values.
    pub(super) fn specs(&self) -> [ParamSpec; 2] {
        let (from, to) = (self.input[2], self.output[2]);
        let bound = 1.0 / ((self.kernel * self.kernel * from) as f32).sqrt();
        let spec = |name, shape, role| {
            let (init, form) = (Init::Uniform(bound), FileForm::Same);
            ParamSpec { name, shape, init, role, form }
        };
        [
            spec(self.weight(), vec![to, self.kernel, self.kernel, from], Role::Weight),
            spec(self.bias(), vec![to], Role::Bias),
        ]
    }

    /// Of a batch.
    pub(super) fn forward(&self, weights: &Weights, x: &[f32]) -> Vec<f32> {
        let d = self.dims(x);
        let mut y = vec![0.0; d.batch * self.output.iter().product::<usize>()];
        conv::forward(d, x, weights.data(&self.weight()), &mut y);
        let bias = weights.data(&self.bias());
        for row in y.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
                if self.positive {
                    *value = value.max(0.0);
                }
            }
        }
        y
    }

    /// Notes the gradients of weight and bias, and gives the input's. `x` and `y` are those of [`Layer::forward`], `dy` is
    /// the gradient of `y`.
    pub(super) fn backward(
        &self,
        weights: &Weights,
        (x, y): (&[f32], &[f32]),
        mut dy: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        if self.positive {
            dy.iter_mut().zip(y).filter(|(_, y)| **y <= 0.0).for_each(|(dy, _)| *dy = 0.0);
        }
        let (d, weight) = (self.dims(x), weights.data(&self.weight()));
        let mut d_bias = vec![0.0; self.output[2]];
        for row in dy.chunks_exact(d_bias.len()) {
            d_bias.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
        }
        let (mut dx, mut d_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        let mut parts = vec![0.0; d.parts_len()];
        let into = Some((&mut dx[..], Into::Set));
        conv::backward(d, (x, weight), &dy, into, (&mut d_weight, Into::Set), &mut parts);
        gradients.insert(self.weight(), d_weight);
        gradients.insert(self.bias(), d_bias);
        dx
    }
}
