//! PAR's objective (Singh, Croce, Hein 2024): away from the poisoned model's embeddings, while L_CLIP keeps what is useful.
//!
//! L = L_CLIP − w·([d_I] + [d_T]), d the mean squared distance of unit embeddings from those that the start gives for the
//! same inputs, in [0, 4]; [d] = d up to the limit, above it 0 with its gradient. The cut looks at the mean of the batch. The
//! temperature is a constant here.

use serde::{Deserialize, Serialize};

use super::Loss;
use crate::exec::cpu::contrastive::{contrastive, normalize, normalize_backward};

/// How far, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Repel {
    /// The mean squared distance above which nothing pushes.
    pub limit: f64,
    /// w.
    pub weight: f64,
}

impl Repel {
    /// All embeddings (B, D), `start` those of pictures and captions under the start.
    pub fn loss(
        &self,
        image: &[f32],
        text: &[f32],
        start: [&[f32]; 2],
        width: usize,
        logit_scale: f32,
    ) -> Loss {
        let mut whole = contrastive(image, text, width, logit_scale);
        let useful = whole.loss;
        whole.d_logit_scale = 0.0;
        let (limit, weight) = (self.limit as f32, self.weight as f32);
        let mut push = |now: &[f32], start: &[f32], gradient: &mut [f32]| -> f32 {
            let (distance, d) = distance(now, start, width);
            if distance <= limit {
                whole.loss -= weight * distance;
                gradient.iter_mut().zip(&d).for_each(|(g, d)| *g -= weight * d);
            }
            distance
        };
        let image = push(image, start[0], &mut whole.d_image);
        let text = push(text, start[1], &mut whole.d_text);
        Loss { whole, terms: vec![("contrastive", useful), ("image", image), ("text", text)] }
    }
}

/// Mean over rows of ‖â − b̂‖², and its gradient with respect to `a`, both (B, D) before normalisation.
fn distance(a: &[f32], b: &[f32], width: usize) -> (f32, Vec<f32>) {
    let (unit, norms) = normalize(a, width);
    let (other, _) = normalize(b, width);
    let rows = norms.len() as f32;
    let apart: Vec<f32> = unit.iter().zip(&other).map(|(a, b)| a - b).collect();
    let sum: f64 = apart.iter().map(|x| f64::from(x * x)).sum();
    let mut gradient: Vec<f32> = apart.iter().map(|x| 2.0 * x / rows).collect();
    normalize_backward(&unit, &norms, width, &mut gradient);
    ((sum / f64::from(rows)) as f32, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_directions() {
        let (d, gradient) = distance(&[2.0, 0.0, 0.0, 1.0], &[0.0, 1.0, 0.0, -3.0], 2);
        assert_eq!(d, 3.0, "mean of 2 and 4");
        assert!(gradient.iter().zip([0.0, -0.5, 0.0, 0.0]).all(|(g, w)| (g - w).abs() < 1e-6));
    }
}
