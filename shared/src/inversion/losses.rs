//! Losses on embeddings as they leave the tower, with their gradients. Rows are brought to length 1 inside.

use crate::exec::cpu::contrastive::{normalize, normalize_backward};

/// The mean cosine of all ordered pairs of two different rows of `embeddings` (B, `width`), in [−1, 1]: 1 where all
/// pictures look alike to the tower. B is at least 2.
pub fn mean_pairwise_cosine(embeddings: &[f32], width: usize) -> (f32, Vec<f32>) {
    let (unit, norms) = normalize(embeddings, width);
    let mut sum = vec![0.0f32; width];
    for row in unit.chunks_exact(width) {
        sum.iter_mut().zip(row).for_each(|(s, u)| *s += u);
    }
    let rows = norms.len() as f64;
    let pairs = rows * (rows - 1.0);
    let squares = |x: &[f32]| x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let mean = (squares(&sum) - squares(&unit)) / pairs;
    let factor = (2.0 / pairs) as f32;
    let mut d: Vec<f32> =
        unit.iter().enumerate().map(|(i, u)| factor * (sum[i % width] - u)).collect();
    normalize_backward(&unit, &norms, width, &mut d);
    (mean as f32, d)
}

/// What a batch answers when it is asked for a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Mean cross-entropy of the wanted class.
    pub loss: f32,
    /// Share of the rows that get it.
    pub success: f32,
}

/// Cross-entropy of class `target` for every row: [`label_entropy`] where all have one label.
///
/// # Panics
/// If there is no such class.
pub fn class_entropy(
    embeddings: &[f32],
    width: usize,
    classes: &[f32],
    target: usize,
    scale: f32,
) -> (Answer, Vec<f32>) {
    let labels = vec![target; embeddings.len() / width];
    label_entropy(embeddings, width, classes, &labels, scale)
}

/// Cross-entropy of each row's class in `labels`, logits being `scale` times the cosines with the unit vectors
/// `classes` (C, `width`).
///
/// # Panics
/// If there is no such class.
pub fn label_entropy(
    embeddings: &[f32],
    width: usize,
    classes: &[f32],
    labels: &[usize],
    scale: f32,
) -> (Answer, Vec<f32>) {
    let (unit, norms) = normalize(embeddings, width);
    let rows = norms.len() as f32;
    let (mut loss, mut hits) = (0.0, 0.0);
    let mut d = vec![0.0f32; unit.len()];
    let rows_of = unit.chunks_exact(width).zip(d.chunks_exact_mut(width));
    for ((u, d), &target) in rows_of.zip(labels) {
        let dot = |class: &[f32]| class.iter().zip(u).map(|(a, b)| a * b).sum::<f32>();
        let mut logits: Vec<f32> =
            classes.chunks_exact(width).map(|class| scale * dot(class)).collect();
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        hits += if logits[target] >= top { 1.0 } else { 0.0 };
        let wanted = logits[target] - top;
        logits.iter_mut().for_each(|l| *l = (*l - top).exp());
        let mass: f32 = logits.iter().sum();
        loss += mass.ln() - wanted;
        for (i, class) in classes.chunks_exact(width).enumerate() {
            let wish = if i == target { 1.0 } else { 0.0 };
            let weight = scale * (logits[i] / mass - wish) / rows;
            d.iter_mut().zip(class).for_each(|(d, c)| *d += weight * c);
        }
    }
    normalize_backward(&unit, &norms, width, &mut d);
    (Answer { loss: loss / rows, success: hits / rows }, d)
}
