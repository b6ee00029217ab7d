//! Local intrinsic dimension (Amsaleg et al. 2015; Huang et al. 2025): surroundings of many dimensions are suspicious.
//!
//! With r₁ ≤ r₂ ≤ … the Euclidean distances of a picture's embedding to the others, score = −k / Σ_{m = 1…k} ln(r_m /
//! r_{k+1} + 10⁻⁴), the maximum-likelihood estimate (Levina and Bickel 2004), or by the method of moments μ / (r_{k+1} − μ)
//! with μ the mean of r₁ … r_k, under the model that the offered pairs make. Published: k = 64 among the 2,048 pictures of
//! a batch. `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::density::{BATCH, K, Local, NORMALIZE, Neighbours};
use crate::filtering::{self, DROP, Detector, LOOK, cut_worst};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Estimator {
    Likelihood,
    Moments,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Lid {
    k: usize,
    batch: usize,
    normalize: bool,
    estimator: Estimator,
    drop: f64,
}

impl Default for Lid {
    fn default() -> Self {
        let Local { batch, normalize, drop, .. } = Local::default();
        Self { k: 64, batch, normalize, estimator: Estimator::Likelihood, drop }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "lid",
        title: "Local intrinsic dimension",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; Amsaleg et al. 2015, doi:10.1145/2783258.2783405",
        summary: "drops the pairs around whose pictures the poisoned model's embeddings have most dimensions",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[
        &[
            K,
            BATCH,
            NORMALIZE,
            Param {
                key: "estimator",
                unit: "",
                help: "`likelihood`, the published default, or `moments`",
            },
            DROP,
        ],
        LOOK[0],
        LOOK[1],
    ],
    parse: filtering::parse::<Lid>,
    resolve: filtering::resolve::<Lid>,
};

impl Lid {
    fn local(&self) -> Local {
        let Self { k, batch, normalize, drop, .. } = *self;
        Local { k, batch, normalize, compat: false, drop }
    }
}

impl Detector for Lid {
    const NAME: &'static str = "lid";

    fn check(&self) -> Result<(), String> {
        self.local().check()
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        let lid = match self.estimator {
            Estimator::Likelihood => Neighbours::lid,
            Estimator::Moments => Neighbours::lid_by_moments,
        };
        self.local().scores(sight, seed, |own, _, _| lid(own))
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.drop)
    }
}
