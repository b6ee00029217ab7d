//! Flooding (Ishida et al. 2020, as ABL of Li et al. 2021 uses it): the contrastive loss is driven to a level and not below.
//!
//! L = |L_CLIP − level| + level, so that its gradient is that of L_CLIP above the level and turns round below it. Without a
//! level it climbs always: gradient ascent, by which ABL unlearns.

use serde::{Deserialize, Serialize};

use super::Loss;
use crate::exec::cpu::contrastive::contrastive;

/// Where the loss is kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flood {
    /// The level; left out, the loss climbs.
    pub level: Option<f32>,
}

impl Flood {
    /// Embeddings (B, D). The loss that is logged is L_CLIP itself.
    pub fn loss(&self, image: &[f32], text: &[f32], width: usize, logit_scale: f32) -> Loss {
        let mut whole = contrastive(image, text, width, logit_scale);
        if self.level.is_none_or(|level| whole.loss < level) {
            let sides = [&mut whole.d_image, &mut whole.d_text];
            sides.into_iter().flatten().for_each(|d| *d = -*d);
            whole.d_logit_scale = -whole.d_logit_scale;
        }
        Loss { whole, terms: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_turns_round_at_the_level() {
        let (image, text) = ([1.0, 0.2, 0.3, 1.0, -0.5, 0.4], [0.9, 0.1, 0.0, 1.0, -1.0, 0.2]);
        let plain = contrastive(&image, &text, 2, 1.0);
        let of = |level| Flood { level }.loss(&image, &text, 2, 1.0).whole;
        let turned: Vec<f32> = plain.d_image.iter().map(|d| -d).collect();
        let above = of(Some(plain.loss * 0.5));
        assert_eq!((above.loss, &above.d_image), (plain.loss, &plain.d_image));
        assert_eq!(above.d_text, plain.d_text);
        for below in [of(Some(plain.loss * 2.0)), of(None)] {
            assert_eq!((below.loss, &below.d_image), (plain.loss, &turned));
            assert_eq!(below.d_logit_scale, -plain.d_logit_scale);
        }
        assert!(plain.d_image.iter().any(|d| *d != 0.0));
    }
}
