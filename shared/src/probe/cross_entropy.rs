//! What both probes descend: F(W, b) = mean cross-entropy of softmax(W·u + b) + λ/2·‖W‖², the bias not penalised.

use crate::exec::cpu::matmul::{Into, Mat, product};
use crate::{Error, Result};

/// Pictures with their classes; all that F depends on.
pub(super) struct Problem<'a> {
    /// (N, D + 1), a 1 behind every picture.
    inputs: Vec<f32>,
    labels: &'a [usize],
    classes: usize,
    columns: usize,
    penalty: f64,
}

impl<'a> Problem<'a> {
    /// Unit vectors (N, `width`) of pictures of the given classes.
    ///
    /// # Errors
    /// If there is none, or a vector is not finite.
    pub(super) fn new(
        unit: &[f32],
        width: usize,
        (labels, classes): (&'a [usize], usize),
        penalty: f64,
    ) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::request("there is no picture to fit a classifier to"));
        }
        let with_one = |u: &[f32]| u.iter().copied().chain([1.0]).collect::<Vec<_>>();
        let inputs: Vec<f32> = unit.chunks_exact(width).flat_map(with_one).collect();
        if inputs.iter().any(|x| !x.is_finite()) {
            return Err(Error::request("the pictures' embeddings are not finite"));
        }
        Ok(Self { inputs, labels, classes, columns: width + 1, penalty })
    }

    /// Weights and biases: C·(D + 1).
    pub(super) fn len(&self) -> usize {
        self.classes * self.columns
    }

    /// F and its gradient at weights (C, D + 1), over all pictures.
    pub(super) fn evaluate(&self, weights: &[f64]) -> (f64, Vec<f64>) {
        self.evaluate_on(&self.inputs, self.labels, weights)
    }

    /// The same over the pictures of these rows.
    pub(super) fn evaluate_rows(&self, rows: &[usize], weights: &[f64]) -> (f64, Vec<f64>) {
        let input = |&row: &usize| &self.inputs[row * self.columns..(row + 1) * self.columns];
        let inputs: Vec<f32> = rows.iter().flat_map(input).copied().collect();
        let labels: Vec<usize> = rows.iter().map(|&row| self.labels[row]).collect();
        self.evaluate_on(&inputs, &labels, weights)
    }

    fn evaluate_on(&self, inputs: &[f32], labels: &[usize], weights: &[f64]) -> (f64, Vec<f64>) {
        let (rows, classes, columns) = (labels.len(), self.classes, self.columns);
        let inputs = Mat::new(inputs, rows, columns);
        let flat: Vec<f32> = weights.iter().map(|x| *x as f32).collect();
        let mut logits = vec![0.0; rows * classes];
        product(&mut logits, classes, Into::Set, inputs, Mat::new(&flat, classes, columns).t());
        let mut loss = 0.0;
        for (logits, &label) in logits.chunks_exact_mut(classes).zip(labels) {
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let own = logits[label];
            logits.iter_mut().for_each(|l| *l = (*l - top).exp());
            let mass: f64 = logits.iter().map(|e| f64::from(*e)).sum();
            loss += mass.ln() + f64::from(top) - f64::from(own);
            logits.iter_mut().for_each(|e| *e = (f64::from(*e) / mass) as f32);
            logits[label] -= 1.0;
        }
        let mut slope = vec![0.0; classes * columns];
        let errors = Mat::new(&logits, rows, classes);
        product(&mut slope, columns, Into::Set, errors.t(), inputs);
        let mut gradient: Vec<f64> = slope.iter().map(|g| f64::from(*g) / rows as f64).collect();
        let mut square = 0.0;
        for (gradient, weights) in
            gradient.chunks_exact_mut(columns).zip(weights.chunks_exact(columns))
        {
            for (g, w) in gradient.iter_mut().zip(weights).take(columns - 1) {
                *g += self.penalty * w;
                square += w * w;
            }
        }
        (loss / rows as f64 + 0.5 * self.penalty * square, gradient)
    }
}
