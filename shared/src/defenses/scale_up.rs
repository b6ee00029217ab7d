//! SCALE-UP (Guo et al. 2023): a trigger keeps its class when all pixels grow brighter, other things lose theirs.
//!
//! Pixels in [0, 1] are multiplied by 3, 5, 7, 9 and 11 and clipped at 1. SPC, the scaled prediction consistency, is the
//! share of these five pictures that get the class of the input as it is, the nearest class prompt (the first of equals);
//! inputs with SPC ≥ 0.5 are rejected. The paper's setting without data: its variant that normalises by class means is not
//! here. SPC has six values, so that scores tie; `threshold = null` with `fpr` chooses among them from held pictures. What
//! is white stays white: pictures on white paper, as the emoji are, lose their drawing and keep the ground.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::registry::{Card, Entry};
use crate::screen::{self, Gate, Look, Scene, Scorer, Suspicious};
use crate::seed::Seed;

const FACTORS: [f32; 5] = [3.0, 5.0, 7.0, 9.0, 11.0];
/// SPC from which on the paper rejects.
const THRESHOLD: f32 = 0.5;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleUp {}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "scale-up",
        title: "SCALE-UP",
        year: 2023,
        paper: "Guo et al., arXiv:2302.03251",
        summary: "rejects inputs whose predicted class survives the brightening of all pixels",
        threat_model: "the defender asks the deployed model for classes only, and sees every input",
    },
    params: &[screen::PARAMS],
    parse: screen::parse::<ScaleUp>,
    resolve: screen::resolve::<ScaleUp>,
};

impl Look for ScaleUp {
    const NAME: &'static str = "scale-up";
    const SUSPICIOUS: Suspicious = Suspicious::High;

    fn gate() -> Gate {
        Gate { threshold: Some(THRESHOLD), ..Gate::default() }
    }

    fn measure<'a>(&'a self, scene: &Scene<'a>, _seed: &Seed) -> Result<Scorer<'a>> {
        let scene = *scene;
        Ok(Box::new(move |pictures| {
            let own = labels(&scene, pictures)?;
            let mut kept = vec![0.0_f32; own.len()];
            for factor in FACTORS {
                let scaled: Vec<f32> = pictures.iter().map(|x| (x * factor).min(1.0)).collect();
                for (kept, (a, b)) in kept.iter_mut().zip(own.iter().zip(labels(&scene, &scaled)?))
                {
                    *kept += match (a, b) {
                        (Some(a), Some(b)) => f32::from(u8::from(*a == b)),
                        _ => f32::NAN,
                    };
                }
            }
            Ok(kept.into_iter().map(|k| k / FACTORS.len() as f32).collect())
        }))
    }
}

/// The nearest class of every picture; `None` where a cosine is not finite.
fn labels(scene: &Scene<'_>, pictures: &[f32]) -> Result<Vec<Option<usize>>> {
    let answers = scene.answers(pictures)?;
    Ok(answers.chunks_exact(scene.names.len()).map(nearest).collect())
}

fn nearest(cosines: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (class, cosine) in cosines.iter().enumerate() {
        if !cosine.is_finite() {
            return None;
        }
        if *cosine > cosines[best] {
            best = class;
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_first_of_equals_is_the_answer() {
        assert_eq!(nearest(&[0.1, 0.4, 0.4, -1.0]), Some(1));
        assert_eq!(nearest(&[0.1, f32::NAN]), None);
    }
}
