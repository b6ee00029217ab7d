//! SafeCLIP's objective for one modality at a time (Yang, Gao, Mirzasoleiman 2023): a picture's strong view is drawn to the
//! nearest of earlier pictures to its weak view, and the same for captions; no picture meets a caption.
//!
//! L = ½·[CE(τ·Û'·N_Uᵀ) + CE(τ·V̂'·N_Vᵀ)], one direction, primes for strong views, row i of N the bank's nearest to the weak
//! view i. The bank has no gradient, and neither have weak views. It holds the last pairs and is asked before the batch's own
//! go in; while it is empty the weak view stands for its nearest.

use serde::{Deserialize, Serialize};

use super::Loss;
use super::bank::nearest;
use crate::exec::cpu::contrastive::{Contrastive, normalize, one_way};

/// Among how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unimodal {
    /// Pairs in the bank, at most.
    pub size: usize,
}

impl Unimodal {
    /// `image` and `text` (2B, D): weak views, then strong ones in the same order; `bank` (N, 2·D), unit pictures beside unit
    /// captions.
    pub fn loss(
        &self,
        image: &[f32],
        text: &[f32],
        bank: &[f32],
        width: usize,
        logit_scale: f32,
    ) -> Loss {
        let images = side(image, &half(bank, width, 0), width, logit_scale);
        let texts = side(text, &half(bank, width, width), width, logit_scale);
        let terms = vec![("image", images.loss), ("text", texts.loss)];
        let whole = Contrastive {
            loss: images.loss + texts.loss,
            d_image: images.d_image,
            d_text: texts.d_image,
            d_logit_scale: images.d_logit_scale + texts.d_logit_scale,
        };
        Loss { whole, terms }
    }

    /// Puts the weak views behind the pairs that are there; the oldest go.
    pub fn push(&self, bank: &mut Vec<f32>, image: &[f32], text: &[f32], width: usize) {
        let weak = |views: &[f32]| normalize(&views[..views.len() / 2], width).0;
        let (image, text) = (weak(image), weak(text));
        for (picture, caption) in image.chunks_exact(width).zip(text.chunks_exact(width)) {
            bank.extend_from_slice(picture);
            bank.extend_from_slice(caption);
        }
        bank.drain(..bank.len().saturating_sub(self.size * 2 * width));
    }
}

/// The pictures (`at` 0) or captions (`at` `width`) of a bank.
fn half(bank: &[f32], width: usize, at: usize) -> Vec<f32> {
    bank.chunks_exact(2 * width).flat_map(|pair| &pair[at..at + width]).copied().collect()
}

/// One modality: `d_image` is the gradient of both views.
fn side(views: &[f32], bank: &[f32], width: usize, logit_scale: f32) -> Contrastive {
    let (weak, strong) = views.split_at(views.len() / 2);
    let (unit, _) = normalize(weak, width);
    let near = if bank.is_empty() { unit } else { nearest(&unit, bank, width).0 };
    let way = one_way(strong, &near, width, logit_scale);
    let d_image = [vec![0.0; weak.len()], way.d_image].concat();
    Contrastive { d_image, d_text: vec![], ..way }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWS: [f32; 8] = [1.0, 0.1, 0.0, 1.0, 0.9, 0.3, -0.2, 1.0];

    #[test]
    fn only_strong_views_move_and_no_picture_meets_a_caption() {
        let rule = Unimodal { size: 4 };
        let text = [0.3, 1.0, 1.0, 0.0, 0.1, 1.0, 1.0, 0.4];
        let loss = |image: &[f32], text: &[f32], bank: &[f32]| rule.loss(image, text, bank, 2, 1.0);
        let mut bank = vec![];
        let cold = loss(&VIEWS, &text, &bank).whole;
        rule.push(&mut bank, &VIEWS, &text, 2);
        assert_eq!(bank.len(), 2 * 4, "the weak views of two pairs");
        // What is nearest to a weak view is itself, so that a bank of the same views changes nothing.
        let warm = loss(&VIEWS, &text, &bank).whole;
        assert_eq!((cold.loss, &cold.d_image), (warm.loss, &warm.d_image));
        assert_eq!(warm.d_image[..4], [0.0; 4]);
        assert!(warm.d_image[4..].iter().any(|d| *d != 0.0));
        let other: Vec<f32> = text.iter().map(|x| -x).collect();
        let apart = loss(&VIEWS, &other, &[]).whole;
        assert_eq!(apart.d_image, cold.d_image);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let rule = Unimodal { size: 4 };
        let bank = [0.8, 0.6, 1.0, 0.0, -0.6, 0.8, 0.0, 1.0];
        let loss = |image: &[f32]| rule.loss(image, &VIEWS, &bank, 2, 1.2).whole;
        let whole = loss(&VIEWS);
        for i in 4..8 {
            let moved = |by: f32| {
                let mut views = VIEWS;
                views[i] += by;
                f64::from(loss(&views).loss)
            };
            let want = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(whole.d_image[i]) - want).abs() < 1e-3, "{i}");
        }
    }

    #[test]
    fn the_oldest_pairs_go_first() {
        let rule = Unimodal { size: 1 };
        let mut bank = vec![9.0; 4];
        rule.push(&mut bank, &VIEWS, &VIEWS, 2);
        assert_eq!(bank, [0.0, 1.0, 0.0, 1.0]);
    }
}
