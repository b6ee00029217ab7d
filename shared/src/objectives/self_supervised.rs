//! CleanCLIP's objective (Bansal et al. 2023): pictures stay near their own views, and captions near theirs, so that a
//! picture's place owes less to one caption.
//!
//! L = λ₁·L_CLIP + λ₂·½·[CE(τ·Û·Û'ᵀ) + CE(τ·V̂·V̂'ᵀ)], one direction each, one temperature for all, primes for second views.
//! Both views go through a tower as one batch, as in the published code: batch statistics are those of both.

use serde::{Deserialize, Serialize};

use super::Loss;
use crate::exec::cpu::contrastive::{Contrastive, contrastive, one_way};

/// Weights of the two losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelfSupervised {
    /// λ₁, of the loss between pictures and captions.
    pub between: f64,
    /// λ₂, of the loss inside each modality.
    pub within: f64,
}

impl SelfSupervised {
    /// `image` and `text` (2B, D): first views, then second ones in the same order.
    pub fn loss(&self, image: &[f32], text: &[f32], width: usize, logit_scale: f32) -> Loss {
        let (image, image_too) = image.split_at(image.len() / 2);
        let (text, text_too) = text.split_at(text.len() / 2);
        let between = contrastive(image, text, width, logit_scale);
        let images = one_way(image, image_too, width, logit_scale);
        let texts = one_way(text, text_too, width, logit_scale);
        let (of_between, of_within) = (self.between as f32, self.within as f32);
        let join = |between: &[f32], within: &Contrastive| -> Vec<f32> {
            let first = between.iter().zip(&within.d_image);
            let first = first.map(|(b, w)| of_between * b + of_within * w);
            first.chain(within.d_text.iter().map(|w| of_within * w)).collect()
        };
        let mix = |between: f32, images: f32, texts: f32| {
            of_between * between + of_within * (images + texts)
        };
        let whole = Contrastive {
            loss: mix(between.loss, images.loss, texts.loss),
            d_image: join(&between.d_image, &images),
            d_text: join(&between.d_text, &texts),
            d_logit_scale: mix(between.d_logit_scale, images.d_logit_scale, texts.d_logit_scale),
        };
        let within = images.loss + texts.loss;
        Loss { whole, terms: vec![("between", between.loss), ("within", within)] }
    }
}
