//! Golden scores of detectors that look at groups, as NumPy and scikit-learn give them
//! (`shared/tests/golden/groups.py`).

use serde::Deserialize;

use super::Detector;
use crate::defenses::{Sight, Vectors};
use crate::seed::Seed;

/// Pictures' embeddings with the class words of their captions, and what is said of them.
#[derive(Deserialize)]
pub(crate) struct Case {
    dim: usize,
    vectors: Vec<f32>,
    words: Vec<Option<usize>>,
    /// Scores where all are one group.
    pub(crate) whole: Vec<f64>,
    /// Scores where class words part them.
    pub(crate) parted: Vec<f64>,
}

/// The case of a detector.
pub(crate) fn golden(detector: &str) -> Case {
    let text = include_str!("../../tests/golden/groups.json");
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(all[detector].clone()).unwrap()
}

impl Case {
    /// What we say of them.
    pub(crate) fn scores(&self, detector: &impl Detector) -> Vec<f64> {
        let pictures = || Ok(Vectors { dim: self.dim, values: self.vectors.clone() });
        let sight = Sight {
            distances: &|| Ok(Vec::new()),
            pictures: &pictures,
            losses: &|| Ok(Vec::new()),
            words: &|| self.words.clone(),
            first: &|| Ok(Vec::new()),
        };
        let scores = detector.scores(&sight, &Seed::new(0)).unwrap();
        assert_eq!(scores.len(), self.whole.len());
        scores
    }
}
