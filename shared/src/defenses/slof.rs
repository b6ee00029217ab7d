//! SLOF (Schubert, Zimek and Kriegel 2014; Huang et al. 2025): the simplified local outlier factor of a picture.
//!
//! score(i) = mean over the k nearest j of r_k(i) / r_k(j), with r_k the Euclidean distance of an embedding to the k-th
//! nearest of the others, under the model that the offered pairs make. Published: k = 16 among the 2,048 pictures of a
//! batch (32 is the default of the published class). Where embeddings coincide and leave no number, the score is 1000, as
//! in the published code. `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::density::{Local, NEIGHBOURS, Neighbours};
use crate::filtering::{self, Detector, LOOK, cut_worst};
use crate::registry::{Card, Entry};
use crate::seed::Seed;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Slof(Local);

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "slof",
        title: "Simplified local outlier factor",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; Schubert et al. 2014, doi:10.1007/s10618-012-0300-z",
        summary: "drops the pairs whose pictures lie in sparser surroundings than their neighbours in the poisoned model",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[NEIGHBOURS, LOOK[0], LOOK[1]],
    parse: filtering::parse::<Slof>,
    resolve: filtering::resolve::<Slof>,
};

impl Detector for Slof {
    const NAME: &'static str = "slof";

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        self.0.scores(sight, seed, Neighbours::slof)
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.0.drop)
    }
}
