//! AdamW (Loshchilov & Hutter 2019) with open_clip's two groups: matrices and tables decay, the rest does not.
//!
//! m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p·(1 − lr·wd) − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + eps): PyTorch's
//! order of operations. The state is plain tensors, so that a run resumes bit for bit (trap C5).

use crate::exec::cpu::parallel::{for_chunks, for_chunks3};
use crate::exec::cpu::simd::{LANES, simd};
use crate::graph::ParamSpec;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Stochastic gradient descent with momentum, in PyTorch's form: v ← μ·v + g, p ← p − lr·v, v being 0 at first. No decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate of this step.
    pub lr: f32,
    /// μ.
    pub momentum: f32,
}

impl Sgd {
    /// One step over `gradients`; `velocity` has a tensor for each, as does `weights`.
    ///
    /// # Errors
    /// If one of them lacks a parameter.
    pub fn step(
        &self,
        velocity: &mut Weights,
        weights: &mut Weights,
        gradients: &[(&ParamSpec, &[f32])],
    ) -> Result<()> {
        for (spec, gradient) in gradients {
            let (Some(v), Some(p)) = (velocity.get_mut(&spec.name), weights.get_mut(&spec.name))
            else {
                return Err(Error::Weights(format!("{} has no momentum or weight", spec.name)));
            };
            for ((v, p), g) in v.data.iter_mut().zip(&mut p.data).zip(*gradient) {
                *v = self.momentum * *v + g;
                *p -= self.lr * *v;
            }
        }
        Ok(())
    }
}

/// Hyper-parameters of one step; the learning rate changes from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f32,
    /// Decay of the first and the second moment.
    pub betas: (f32, f32),
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Weight decay of matrices and tables.
    pub wd: f32,
    /// Multiplied to every gradient first: below 1 where the norm is clipped.
    pub gradient_scale: f32,
}

/// Moments of all trained parameters and the number of steps made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// First moments by parameter name.
    pub first: Weights,
    /// Second moments by parameter name.
    pub second: Weights,
    /// Steps made so far.
    pub step: u64,
}

impl State {
    /// Moments of zero for the given parameters, those that are not trained left out.
    pub fn new(trained: &[ParamSpec]) -> Self {
        let zeros = || {
            let mut all = Weights::default();
            for spec in trained.iter().filter(|s| s.trained()) {
                let data = vec![0.0; spec.len()];
                all.insert(spec.name.clone(), Tensor { shape: spec.shape.clone(), data });
            }
            all
        };
        Self { first: zeros(), second: zeros(), step: 0 }
    }

    /// One step over `gradients`, which are parameters with their gradients.
    ///
    /// # Errors
    /// If a trained parameter has no gradient: nothing is skipped silently (trap C3).
    pub fn step(
        &mut self,
        c: &AdamW,
        weights: &mut Weights,
        gradients: &[(&ParamSpec, &[f32])],
    ) -> Result<()> {
        let given: Vec<&str> = gradients.iter().map(|(s, _)| s.name.as_str()).collect();
        if let Some((name, _)) = self.first.iter().find(|(name, _)| !given.contains(name)) {
            return Err(Error::Weights(format!("{name} is trained and got no gradient")));
        }
        self.step += 1;
        let t = self.step as f64;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(t);
        let step = Step {
            betas: c.betas,
            eps: c.eps,
            size: (f64::from(c.lr) / correction(c.betas.0)) as f32,
            root: (1.0 / correction(c.betas.1).sqrt()) as f32,
            keep: 1.0,
            gradient: c.gradient_scale,
        };
        for (spec, gradient) in gradients {
            let (Some(m), Some(v), Some(p)) = (
                self.first.get_mut(&spec.name),
                self.second.get_mut(&spec.name),
                weights.get_mut(&spec.name),
            ) else {
                return Err(Error::Weights(format!(
                    "{} is no parameter of this optimiser",
                    spec.name
                )));
            };
            let keep = if spec.decays() { 1.0 - c.lr * c.wd } else { 1.0 };
            let step = Step { keep, ..step };
            for_chunks3((&mut m.data, &mut v.data, &mut p.data), BLOCK, |i, m, v, p| {
                update(step, &gradient[i * BLOCK..][..p.len()], m, v, p);
            });
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Step {
    betas: (f32, f32),
    eps: f32,
    /// lr / (1 − β₁ᵗ).
    size: f32,
    /// 1 / √(1 − β₂ᵗ).
    root: f32,
    /// 1 − lr·wd.
    keep: f32,
    /// Factor of the gradient.
    gradient: f32,
}

simd! {
    fn update(s: Step, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) {
        let (b1, b2) = s.betas;
        for (((g, m), v), p) in g.iter().zip(m).zip(v).zip(p) {
            let g = *g * s.gradient;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *p = s.keep * *p - s.size * *m / (v.sqrt() * s.root + s.eps);
        }
    }
}

/// Elements of one task: no larger than what the first-level cache passes on in one go.
const BLOCK: usize = 16 * 1024;

/// √Σg² over all gradients, summed in f64: blocks in lanes, then in order.
pub fn global_norm(gradients: &[(&ParamSpec, &[f32])]) -> f64 {
    let total = |g: &[f32]| {
        let mut parts = vec![0.0f64; g.len().div_ceil(BLOCK)];
        for_chunks(&mut parts, 1, |i, part| {
            part[0] = squares(&g[i * BLOCK..g.len().min((i + 1) * BLOCK)]);
        });
        parts.iter().sum::<f64>()
    };
    gradients.iter().map(|(_, g)| total(g)).sum::<f64>().sqrt()
}

simd! {
    fn squares(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (whole, rest) = x.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*v) * f64::from(*v);
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(*v) * f64::from(*v);
        }
        lanes.iter().sum()
    }
}
