//! DAO (Anderberg et al. 2024; Huang et al. 2025): a density ratio that minds the local dimension of the neighbours.
//!
//! score(i) = mean over the k nearest j of LID(j) · ln(r_k(i) / r_k(j)), with r_k the distance to the k-th nearest other
//! picture and LID the local intrinsic dimension by maximum likelihood, under the model that the offered pairs make.
//! Published: k = 16 among the 2,048 pictures of a batch (32 is the default of the published class). Scores can start from
//! the captions too in the published code; here they start from pictures. `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::density::{Local, NEIGHBOURS, Neighbours};
use crate::filtering::{self, Detector, LOOK, cut_worst};
use crate::registry::{Card, Entry};
use crate::seed::Seed;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Dao(Local);

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "dao",
        title: "Dimensionality-aware outlier score",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; Anderberg et al., arXiv:2401.05453",
        summary: "drops the pairs whose pictures are outliers of the poisoned model, weighted by their neighbours' dimension",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[NEIGHBOURS, LOOK[0], LOOK[1]],
    parse: filtering::parse::<Dao>,
    resolve: filtering::resolve::<Dao>,
};

impl Detector for Dao {
    const NAME: &'static str = "dao";

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        self.0.scores(sight, seed, Neighbours::dao)
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.0.drop)
    }
}
