//! BDetCLIP (Niu et al. 2024): a picture with a trigger hardly minds whether texts speak of classes or of something else.
//!
//! Ω(x) = Σ_c [cos(x, T_c) − cos(x, R)], where cos(x, T_c) is the mean over the sentences `BENIGN` about class c and
//! cos(x, R) the mean over the sentences `MALIGNANT`, which are about no class; low is suspicious. The paper has a language
//! model write several texts of either kind for every class. Both lists here are this project's own, and all classes have
//! the second in common. A number belongs to its lists: compare it with no other.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::registry::{Card, Entry};
use crate::screen::{self, Look, Scene, Scorer, Suspicious, cosines};
use crate::seed::Seed;

/// Sentences about a class, whose name stands for {}.
const BENIGN: [&str; 6] = [
    "a picture of {}",
    "a drawing that shows {}",
    "an image of one {}",
    "this is {}",
    "{} in plain view",
    "something known as {}",
];

/// Sentences about none.
const MALIGNANT: [&str; 12] = [
    "why it was late again",
    "ten minus four is six",
    "they could not agree on it",
    "perhaps more than before",
    "nobody asked who was right",
    "the rest follows by itself",
    "not yet but rather soon",
    "what she meant to say",
    "all of it for nothing",
    "he would have known better",
    "an idea without a name",
    "it depends on the reason",
];

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bdetclip {}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "bdetclip",
        title: "BDetCLIP",
        year: 2024,
        paper: "Niu et al., arXiv:2405.15269",
        summary: "rejects inputs that lie hardly nearer to texts about the classes than to texts about none",
        threat_model: "the defender asks both towers of the deployed model, knows its classes, has some clean pictures, and sees every input",
    },
    params: &[screen::PARAMS],
    parse: screen::parse::<Bdetclip>,
    resolve: screen::resolve::<Bdetclip>,
};

impl Look for Bdetclip {
    const NAME: &'static str = "bdetclip";
    const SUSPICIOUS: Suspicious = Suspicious::Low;

    fn measure<'a>(&'a self, scene: &Scene<'a>, _seed: &Seed) -> Result<Scorer<'a>> {
        let of = |name: &String| BENIGN.map(|sentence| sentence.replace("{}", name));
        let benign = scene.model.texts(&scene.names.iter().flat_map(of).collect::<Vec<_>>())?;
        let malignant = scene.model.texts(&MALIGNANT.map(str::to_owned))?;
        let (model, classes, width) = (scene.model, scene.names.len(), scene.width());
        Ok(Box::new(move |pictures| {
            let images = model.images(pictures)?;
            let omega = |x: &[f32]| {
                let about = mean(&cosines(x, &benign, width));
                let beside = mean(&cosines(x, &malignant, width));
                (classes as f64 * (about - beside)) as f32
            };
            Ok(images.chunks_exact(width).map(omega).collect())
        }))
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_what_they_say() {
        assert!(BENIGN.iter().all(|s| s.matches("{}").count() == 1));
        assert!(MALIGNANT.iter().all(|s| !s.contains('{')));
        let mut all: Vec<&str> = BENIGN.iter().chain(&MALIGNANT).copied().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), BENIGN.len() + MALIGNANT.len(), "no sentence twice");
    }
}
