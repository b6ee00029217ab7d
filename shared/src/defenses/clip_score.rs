//! CLIP score (Hessel et al. 2021) as a filter: the pairs whose picture and captions agree least go, by their number.
//!
//! score = −cos(f(I), g(T)), the mean over a row's captions: the `cosine-filter` with a share in place of a threshold, and
//! with any encoder. Huang et al. 2025 look through the poisoned model itself (`encoder = "victim"`), which has learned
//! that a stamped picture and its caption belong together; through an encoder that is independent of the offered pairs
//! (the default here) they do not. `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::filtering::{self, DROP, Detector, LOOK, Whose, check_drop, cut_worst};
use crate::registry::{Card, Entry};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ClipScore {
    drop: f64,
}

impl Default for ClipScore {
    fn default() -> Self {
        Self { drop: 0.1 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "clip-score",
        title: "CLIP score",
        year: 2021,
        paper: "Hessel et al., arXiv:2104.08718; as a detector: Huang et al., arXiv:2502.01385",
        summary: "drops the share of training pairs whose picture and captions agree least under an encoder",
        threat_model: "the defender holds other clean pairs to train an encoder on, or looks through the poisoned model, and the offered data",
    },
    params: &[&[DROP], LOOK[0], LOOK[1]],
    parse: filtering::parse::<ClipScore>,
    resolve: filtering::resolve::<ClipScore>,
};

impl Detector for ClipScore {
    const NAME: &'static str = "clip-score";
    const WHOSE: Whose = Whose::Reference;

    fn check(&self) -> Result<(), String> {
        check_drop(self.drop)
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f64>> {
        Ok((sight.distances)()?.iter().map(|d| f64::from(*d) - 1.0).collect())
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.drop)
    }
}
