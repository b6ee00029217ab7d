//! What BadCLIP's patch is optimised for (Liang et al. 2024, §3): stamped pictures lie near captions of the target, nearer
//! to pictures of the target than to clean ones.
//!
//! L = L_t + w·mean max(0, d(û, û⁺) − d(û, û⁻) + η), L_t the symmetric contrastive loss with target captions at the
//! encoder's temperature, û the unit vector of a stamped picture, û⁺ that of a random picture of the target, û⁻ that of a
//! random clean picture of the batch, d the Euclidean distance as PyTorch's `TripletMarginLoss` computes it.

use crate::exec::cpu::contrastive::{contrastive, normalize, normalize_backward};
use crate::patch_search::Objective;
use crate::seed::Seed;

/// What PyTorch adds to every coordinate of a difference.
const EPS: f32 = 1e-6;

/// Fixed embeddings and constants of the loss. All vectors are unit vectors of width `width`.
pub(crate) struct DualEmbedding {
    /// A caption of the target for every picture, (N, D).
    pub captions: Vec<f32>,
    /// The pictures without the patch, (N, D).
    pub clean: Vec<f32>,
    /// Pictures of the target, (M, D).
    pub positives: Vec<f32>,
    pub width: usize,
    /// Logarithm of the temperature's inverse.
    pub logit_scale: f32,
    /// w.
    pub weight: f32,
    /// η.
    pub margin: f32,
}

impl Objective for DualEmbedding {
    fn loss(&self, rows: &[usize], stamped: &[f32], seed: &Seed) -> (f32, Vec<f32>) {
        let width = self.width.max(1);
        let mut stream = seed.child("positives").stream();
        let all = self.positives.len() / width;
        // As many as the batch has, each once if there are enough.
        let positives: Vec<usize> = match all >= rows.len() {
            true => stream.sample(all, rows.len()),
            false => rows.iter().map(|_| stream.below(all)).collect(),
        };
        let mut negatives = rows.to_vec();
        seed.child("negatives").stream().shuffle(&mut negatives);
        let of = |all: &[f32], rows: &[usize]| pick(all, rows, self.width);
        let (captions, positives) = (of(&self.captions, rows), of(&self.positives, &positives));
        self.of_batch(stamped, &captions, &positives, &of(&self.clean, &negatives))
    }
}

impl DualEmbedding {
    /// The loss where every stamped picture has its caption, positive and negative, all (B, D).
    fn of_batch(
        &self,
        stamped: &[f32],
        captions: &[f32],
        positives: &[f32],
        negatives: &[f32],
    ) -> (f32, Vec<f32>) {
        let text = contrastive(stamped, captions, self.width, self.logit_scale);
        let (unit, norms) = normalize(stamped, self.width);
        let constants = (self.width, self.margin);
        let (image, mut d_image) = triplet(&unit, positives, negatives, constants);
        normalize_backward(&unit, &norms, self.width, &mut d_image);
        let gradient = text.d_image.iter().zip(&d_image).map(|(t, i)| t + self.weight * i);
        (text.loss + self.weight * image, gradient.collect())
    }
}

fn pick(all: &[f32], rows: &[usize], width: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| &all[row * width..(row + 1) * width]).copied().collect()
}

/// mean max(0, d(a, p) − d(a, n) + η) over rows (B, D), and its gradient with respect to `anchor`.
fn triplet(
    anchor: &[f32],
    positive: &[f32],
    negative: &[f32],
    (width, margin): (usize, f32),
) -> (f32, Vec<f32>) {
    let batch = (anchor.len() / width) as f32;
    let (mut total, mut gradient) = (0.0, vec![0.0; anchor.len()]);
    let rows = anchor.chunks_exact(width).zip(positive.chunks_exact(width));
    let rows = rows.zip(negative.chunks_exact(width)).zip(gradient.chunks_exact_mut(width));
    for (((a, p), n), d) in rows {
        let apart = |other: &[f32]| -> (Vec<f32>, f32) {
            let difference: Vec<f32> = a.iter().zip(other).map(|(a, o)| a - o + EPS).collect();
            let length = difference.iter().map(|x| x * x).sum::<f32>().sqrt();
            (difference, length)
        };
        let ((to_positive, near), (to_negative, far)) = (apart(p), apart(n));
        let hinge = near - far + margin;
        if hinge > 0.0 {
            total += hinge;
            for (d, (p, n)) in d.iter_mut().zip(to_positive.iter().zip(&to_negative)) {
                *d = (p / near - n / far) / batch;
            }
        }
    }
    (total / batch, gradient)
}

#[cfg(test)]
mod tests;
