//! RoCLIP's objective (Yang, Gao, Mirzasoleiman 2023): in every K-th epoch a picture meets the nearest of earlier captions
//! instead of its own, so that a poisoned pair is not learned as one.
//!
//! In such an epoch L = ½·[CE(τ·N·Ûᵀ) + CE(τ·Û·Nᵀ)], row i of N the bank's nearest to picture i; the bank has no gradient, so
//! that the image tower and the temperature alone are trained. In all others L_CLIP. The bank holds the captions of the
//! last batches, and is asked before the batch's own go in.
//!
//! The published code begins with random vectors and fills the bank in those epochs only; here every epoch fills it and
//! nothing random is in it, so that the first such epoch, the K-th, finds what the one before has left.

use serde::{Deserialize, Serialize};

use super::Loss;
use crate::exec::cpu::contrastive::{contrastive, normalize};
use crate::exec::cpu::matmul::{Into, Mat, product};

/// When, and among how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bank {
    /// K: the K-th, 2K-th, … epoch takes captions from the bank.
    pub every: u64,
    /// Captions in the bank, at most.
    pub size: usize,
    /// Whether pictures are strongly augmented and captions varied.
    pub strong: bool,
}

impl Bank {
    /// Whether 0-based `epoch` takes captions from the bank.
    pub fn asks(&self, epoch: u64) -> bool {
        (epoch + 1).is_multiple_of(self.every)
    }

    /// Embeddings (B, D); `bank` (N, D) unit rows. An empty bank is asked for nothing.
    pub fn loss(
        &self,
        image: &[f32],
        text: &[f32],
        bank: &[f32],
        epoch: u64,
        width: usize,
        logit_scale: f32,
    ) -> Loss {
        if !self.asks(epoch) || bank.is_empty() {
            let whole = contrastive(image, text, width, logit_scale);
            return Loss { terms: vec![], whole };
        }
        let (unit, _) = normalize(image, width);
        let (near, cosine) = nearest(&unit, bank, width);
        let mut whole = contrastive(image, &near, width, logit_scale);
        whole.d_text = vec![0.0; text.len()];
        Loss { whole, terms: vec![("nearest", cosine)] }
    }

    /// Puts unit captions behind those that are there; the oldest go.
    pub fn push(&self, bank: &mut Vec<f32>, text: &[f32], width: usize) {
        bank.extend(normalize(text, width).0);
        bank.drain(..bank.len().saturating_sub(self.size * width));
    }
}

/// The row of `bank` nearest to each row, the first among equals, and the mean of their cosines.
pub(super) fn nearest(unit: &[f32], bank: &[f32], width: usize) -> (Vec<f32>, f32) {
    let (rows, held) = (unit.len() / width, bank.len() / width);
    let mut cosines = vec![0.0; rows * held];
    let (unit, all) = (Mat::new(unit, rows, width), Mat::new(bank, held, width));
    product(&mut cosines, held, Into::Set, unit, all.t());
    let (mut out, mut total) = (Vec::with_capacity(rows * width), 0.0);
    for row in cosines.chunks_exact(held) {
        let mut best = 0;
        for (i, cosine) in row.iter().enumerate() {
            if *cosine > row[best] {
                best = i;
            }
        }
        total += row[best];
        out.extend_from_slice(&bank[best * width..(best + 1) * width]);
    }
    (out, total / rows.max(1) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_captions_go_first() {
        let rule = Bank { every: 2, size: 3, strong: false };
        let mut bank = vec![];
        rule.push(&mut bank, &[2.0, 0.0, 0.0, 5.0], 2);
        rule.push(&mut bank, &[-1.0, 0.0, 0.0, -1.0], 2);
        assert_eq!(bank, [0.0, 1.0, -1.0, 0.0, 0.0, -1.0]);
        assert_eq!([0, 1, 2, 3].map(|e| rule.asks(e)), [false, true, false, true]);
    }

    #[test]
    fn ties_go_to_the_first_and_a_cold_bank_is_not_asked() {
        let (near, cosine) = nearest(&[1.0, 0.0], &[0.0, 1.0, 0.6, 0.8, 0.6, -0.8], 2);
        assert_eq!((near, cosine), (vec![0.6, 0.8], 0.6));
        let rule = Bank { every: 1, size: 3, strong: false };
        let pairs = [1.0, 0.2, 0.3, 1.0];
        let cold = rule.loss(&pairs, &pairs, &[], 0, 2, 1.0).whole;
        assert_eq!(cold.loss, contrastive(&pairs, &pairs, 2, 1.0).loss);
        assert!(cold.d_text.iter().any(|d| *d != 0.0));
    }
}
