//! k-distance (Huang et al. 2025): a picture far from its k-th nearest neighbour is suspicious.
//!
//! score = r_k, the Euclidean distance of a picture's embedding to the k-th nearest of the others (Ramaswamy et al.
//! 2000), under the model that the offered pairs make: a backdoor is said to lie where the poisoned model's space is
//! sparse. The published runs take k = 16 among the 2,048 pictures of a batch and train anew without the worst; which
//! share is not carried over from them: `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::density::{Local, NEIGHBOURS};
use crate::filtering::{self, Detector, LOOK, cut_worst};
use crate::registry::{Card, Entry};
use crate::seed::Seed;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct KDistance(Local);

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "k-distance",
        title: "k-distance",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; Ramaswamy et al. 2000, doi:10.1145/342009.335437",
        summary: "drops the pairs whose pictures lie farthest from their k-th nearest neighbour in the poisoned model",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[NEIGHBOURS, LOOK[0], LOOK[1]],
    parse: filtering::parse::<KDistance>,
    resolve: filtering::resolve::<KDistance>,
};

impl Detector for KDistance {
    const NAME: &'static str = "k-distance";

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        self.0.scores(sight, seed, |own, _, rule| own.k_distance(rule))
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.0.drop)
    }
}
