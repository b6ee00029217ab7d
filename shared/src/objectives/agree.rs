//! Pairs for themselves, without others to contrast them with: pictures and captions are to agree more, or to disagree (UBT).
//!
//! L = −mean cos(û, v̂), or mean of max(cos(û, v̂), 0), which ends where pairs no longer agree. The contrastive loss tells nothing
//! of a batch whose pairs share their caption, as poisoned pairs do: each is as near to the others' captions as to its own.

use serde::{Deserialize, Serialize};

use super::Loss;
use crate::exec::cpu::contrastive::{Contrastive, normalize, normalize_backward};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Agree {
    /// Whether they are to agree more; else they are forgotten.
    pub more: bool,
}

impl Agree {
    /// Embeddings (B, D); the temperature has no part in it.
    pub fn loss(self, image: &[f32], text: &[f32], width: usize) -> Loss {
        let [(image, image_norms), (text, text_norms)] = [image, text].map(|x| normalize(x, width));
        let rows = image_norms.len() as f32;
        let sign = if self.more { -1.0 } else { 1.0 };
        let (mut d_image, mut d_text) = (vec![0.0; image.len()], vec![0.0; text.len()]);
        let mut sum = 0.0f64;
        for row in 0..image_norms.len() {
            let at = row * width..(row + 1) * width;
            let (u, v) = (&image[at.clone()], &text[at.clone()]);
            let cosine: f64 = u.iter().zip(v).map(|(a, b)| f64::from(a * b)).sum();
            if cosine <= 0.0 && !self.more {
                continue;
            }
            sum += cosine;
            d_image[at.clone()].iter_mut().zip(v).for_each(|(d, v)| *d = sign * v / rows);
            d_text[at].iter_mut().zip(u).for_each(|(d, u)| *d = sign * u / rows);
        }
        normalize_backward(&image, &image_norms, width, &mut d_image);
        normalize_backward(&text, &text_norms, width, &mut d_text);
        let loss = sign * (sum / f64::from(rows)) as f32;
        Loss { whole: Contrastive { loss, d_image, d_text, d_logit_scale: 0.0 }, terms: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_longer_agrees_is_left_alone_when_it_is_forgotten() {
        let of = |more| Agree { more }.loss(&[3.0, 4.0, -1.0, 0.0], &[1.0, 0.0, 1.0, 1.0], 2).whole;
        let (forget, more) = (of(false), of(true));
        assert!((forget.loss - 0.3).abs() < 1e-6, "{}", forget.loss);
        assert_eq!((&forget.d_image[2..], &forget.d_text[2..]), (&[0.0; 2][..], &[0.0; 2][..]));
        assert!(forget.d_image[..2].iter().all(|d| d.abs() > 1e-3), "{:?}", forget.d_image);
        assert!(more.d_image[2..].iter().any(|d| *d != 0.0), "{:?}", more.d_image);
        assert!(more.d_image[..2].iter().zip(&forget.d_image).all(|(a, b)| a == &-b));
    }
}
