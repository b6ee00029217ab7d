//! SafeCLIP's objective for pairs that it trusts (Yang, Gao, Mirzasoleiman 2023): a picture meets the other view of its
//! caption, and a caption the other view of its picture.
//!
//! L = ½·[CE(τ·Û·V̂'ᵀ) + CE(τ·V̂·Û'ᵀ)], one direction each, primes for second views.

use super::Loss;
use crate::exec::cpu::contrastive::{Contrastive, one_way};

/// `image` and `text` (2B, D): first views, then second ones in the same order.
pub fn crossed(image: &[f32], text: &[f32], width: usize, logit_scale: f32) -> Loss {
    let (image, image_too) = image.split_at(image.len() / 2);
    let (text, text_too) = text.split_at(text.len() / 2);
    let pictures = one_way(image, text_too, width, logit_scale);
    let captions = one_way(text, image_too, width, logit_scale);
    let whole = Contrastive {
        loss: pictures.loss + captions.loss,
        d_image: [pictures.d_image, captions.d_text].concat(),
        d_text: [captions.d_image, pictures.d_text].concat(),
        d_logit_scale: pictures.d_logit_scale + captions.d_logit_scale,
    };
    Loss { whole, terms: vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::contrastive::contrastive;

    #[test]
    fn with_two_equal_views_it_is_the_contrastive_loss() {
        let (image, text) = ([1.0, 0.2, 0.3, 1.0, -0.5, 0.4], [0.9, 0.1, 0.0, 1.0, -1.0, 0.2]);
        let plain = contrastive(&image, &text, 2, 1.0);
        let twice = crossed(&[image, image].concat(), &[text, text].concat(), 2, 1.0).whole;
        assert!((twice.loss - plain.loss).abs() < 1e-6);
        assert!((twice.d_logit_scale - plain.d_logit_scale).abs() < 1e-6);
        for i in 0..6 {
            assert!((twice.d_image[i] + twice.d_image[6 + i] - plain.d_image[i]).abs() < 1e-6);
            assert!((twice.d_text[i] + twice.d_text[6 + i] - plain.d_text[i]).abs() < 1e-6);
        }
    }

    #[test]
    fn each_first_view_meets_the_other_modalitys_second() {
        let (image, text) = ([1.0, 0.2, 0.3, 1.0], [0.9, 0.1, 0.0, 1.0]);
        let (image_too, text_too) = ([0.5, 0.5, -1.0, 1.0], [0.3, -0.2, 0.1, 0.4]);
        let both = crossed(&[image, image_too].concat(), &[text, text_too].concat(), 2, 1.0).whole;
        assert_eq!(both.d_image[..4], one_way(&image, &text_too, 2, 1.0).d_image);
        assert_eq!(both.d_image[4..], one_way(&text, &image_too, 2, 1.0).d_text);
        assert_eq!(both.d_text[..4], one_way(&text, &image_too, 2, 1.0).d_image);
    }
}
