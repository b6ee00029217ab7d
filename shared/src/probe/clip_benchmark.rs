//! CLIP_benchmark's probe: some epochs of AdamW over shuffled batches, no weight decay, the learning rate falling along a
//! cosine to 0. Nothing says that it has arrived anywhere, so begin and order matter, and are PyTorch's own for a seed.
//!
//! That program shuffles the pictures once before, by a generator that building the model has moved on; here they keep
//! their order.

use std::f64::consts::PI;

use super::Head;
use super::cross_entropy::Problem;
use super::torch::Generator;
use crate::Result;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// How a head is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipBenchmark {
    /// Learning rate of the first step.
    pub lr: f64,
    /// How often every picture is seen.
    pub epochs: usize,
    /// Pictures a step; the last of an epoch takes what is left.
    pub batch: usize,
    /// What `torch.manual_seed` is given.
    pub seed: u64,
}

/// Its command's own defaults.
impl Default for ClipBenchmark {
    fn default() -> Self {
        Self { lr: 0.1, epochs: 10, batch: 64, seed: 0 }
    }
}

impl ClipBenchmark {
    /// Fits to pictures with unit vectors (N, `width`) of the given classes; `tick` is called with the share of steps done.
    ///
    /// # Errors
    /// If there is no picture, a vector is not finite, or `tick` says so.
    pub fn fit(
        self,
        unit: &[f32],
        width: usize,
        (labels, classes): (&[usize], usize),
        tick: &dyn Fn(f64) -> Result<()>,
    ) -> Result<Head> {
        let problem = Problem::new(unit, width, (labels, classes), 0.0)?;
        let mut generator = Generator::new(self.seed);
        let mut weights = begin(&mut generator, width, classes);
        let mut moments = vec![(0.0, 0.0); weights.len()];
        let steps = self.epochs * labels.len().div_ceil(self.batch);
        let mut step = 0;
        for _ in 0..self.epochs {
            for rows in generator.epoch(labels.len()).chunks(self.batch) {
                tick(step as f64 / steps as f64)?;
                let lr = 0.5 * (1.0 + (PI * step as f64 / steps as f64).cos()) * self.lr;
                let (_, gradient) = problem.evaluate_rows(rows, &weights);
                step += 1;
                descend(&mut weights, &mut moments, &gradient, (lr, step));
            }
        }
        Ok(Head::of(width, &weights))
    }
}

/// `torch.nn.Linear` as it is made: weights, then biases, uniform up to 1/√D.
fn begin(generator: &mut Generator, width: usize, classes: usize) -> Vec<f64> {
    let bound = (1.0 / (width as f64).sqrt()) as f32;
    let mut weights = vec![0.0; classes * (width + 1)];
    for row in weights.chunks_exact_mut(width + 1) {
        row[..width].fill_with(|| f64::from(generator.uniform(bound)));
    }
    for row in weights.chunks_exact_mut(width + 1) {
        row[width] = f64::from(generator.uniform(bound));
    }
    weights
}

/// Step number `step`, from 1, of Adam.
fn descend(
    weights: &mut [f64],
    moments: &mut [(f64, f64)],
    gradient: &[f64],
    (lr, step): (f64, i32),
) {
    let size = lr / (1.0 - BETAS.0.powi(step));
    let root = (1.0 - BETAS.1.powi(step)).sqrt();
    for ((w, (m, v)), g) in weights.iter_mut().zip(moments).zip(gradient) {
        *m += (1.0 - BETAS.0) * (g - *m);
        *v = BETAS.1 * *v + (1.0 - BETAS.1) * g * g;
        *w -= size * *m / (v.sqrt() / root + EPS);
    }
}
