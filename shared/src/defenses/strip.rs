//! STRIP (Gao et al. 2019): what the model says of an input stays the same, whatever is laid over it, if a trigger speaks.
//!
//! Every input x is blended with N held pictures o, (1 − α)·x + α·o; the number is the mean over them of the entropy in
//! bits, −Σ p·log₂ p, of the zero-shot class probabilities, softmax of τ·cos over the class prompts; low is suspicious.
//! The paper has a classifier, adds the two pictures up, and draws other overlays for every input. Here the model's own
//! temperature τ makes the probabilities, both are blended, and all inputs meet the same overlays, so that an input's
//! number depends on no other.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::registry::{Card, Entry, Param};
use crate::screen::{self, Look, Scene, Scorer, Suspicious};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Strip {
    overlays: usize,
    alpha: f32,
}

impl Default for Strip {
    fn default() -> Self {
        Self { overlays: 64, alpha: 0.5 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "strip",
        title: "STRIP",
        year: 2019,
        paper: "Gao et al., arXiv:1902.06531",
        summary: "rejects inputs whose predicted class stays certain under pictures laid over them",
        threat_model: "the defender has the deployed model, its classes and some clean pictures, and sees every input",
    },
    params: &[
        &[
            Param { key: "overlays", unit: "pictures", help: "held pictures laid over an input" },
            Param { key: "alpha", unit: "", help: "opacity of an overlay" },
        ],
        screen::PARAMS,
    ],
    parse: screen::parse::<Strip>,
    resolve: screen::resolve::<Strip>,
};

impl Look for Strip {
    const NAME: &'static str = "strip";
    const SUSPICIOUS: Suspicious = Suspicious::Low;

    fn check(&self) -> Result<(), String> {
        if self.overlays == 0 {
            return Err("`overlays` is 0; give at least 1".into());
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(format!("`alpha` is {}; it must be above 0 and below 1", self.alpha));
        }
        Ok(())
    }

    fn references(&self) -> usize {
        self.overlays
    }

    fn measure<'a>(&'a self, scene: &Scene<'a>, seed: &Seed) -> Result<Scorer<'a>> {
        let (scene, each) = (*scene, scene.each());
        let all = scene.references.len() / each;
        let drawn = seed.child("overlays").stream().sample(all, self.overlays);
        let overlay = |row: usize| &scene.references[row * each..(row + 1) * each];
        let overlays: Vec<f32> = drawn.into_iter().flat_map(overlay).copied().collect();
        Ok(Box::new(move |pictures| {
            pictures.chunks_exact(each).map(|x| self.entropy(&scene, x, &overlays)).collect()
        }))
    }
}

impl Strip {
    /// Mean entropy in bits of one picture's answers under all overlays.
    fn entropy(&self, scene: &Scene<'_>, picture: &[f32], overlays: &[f32]) -> Result<f32> {
        let blend = |(o, x): (&f32, &f32)| (1.0 - self.alpha) * x + self.alpha * o;
        let blended: Vec<f32> = overlays.iter().zip(picture.iter().cycle()).map(blend).collect();
        let answers = scene.answers(&blended)?;
        let each = answers.chunks_exact(scene.names.len());
        let sum: f64 = each.map(|cosines| entropy(cosines, scene.scale)).sum();
        Ok((sum / self.overlays as f64) as f32)
    }
}

/// Entropy in bits of softmax(scale·cosines).
fn entropy(cosines: &[f32], scale: f32) -> f64 {
    let largest = cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponent = |c: &f32| f64::from(scale) * f64::from(c - largest);
    // H = ln Σ eˣ − Σ x·eˣ / Σ eˣ, in nats.
    let (mut sum, mut weighted) = (0.0, 0.0);
    for x in cosines.iter().map(exponent) {
        sum += x.exp();
        weighted += x * x.exp();
    }
    (sum.ln() - weighted / sum) / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_zero_for_certainty_and_maximal_for_none() {
        assert!((entropy(&[0.3; 8], 20.0) - 3.0).abs() < 1e-12);
        assert!(entropy(&[1.0, -1.0, -1.0], 1000.0) < 1e-12);
        assert!(entropy(&[f32::NAN, 0.1], 20.0).is_nan(), "refused where scores are made");
    }
}
