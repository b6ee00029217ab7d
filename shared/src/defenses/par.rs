//! PAR, Perturb and Recover (Singh, Croce, Hein 2024): fine-tuning on clean pairs that pushes embeddings away from those of
//! the poisoned model.
//!
//! L = L_CLIP − w·([d_I] + [d_T]), [`Repel`]. The poisoned model sees the same views under its running statistics (the
//! published code leaves its batch normalisation in training mode). The schedule is the published one, a straight line from
//! `lr` to a tenth of it over the first half and a cosine to 0 over the second, without warm-up, or `cosine`, that of the
//! other repairs. AdamW is the trainer's (published: weight decay 1e-4; lr 3e-5, batch 2048, 2 to 10 epochs over 250,000
//! pairs).

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::clean_pairs::{self as common, Further};
use crate::objectives::{Objective, Repel};
use crate::recipe::Schedule;
use crate::registry::{Card, Entry, Param};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Par {
    limit: f64,
    weight: f64,
    schedule: Schedule,
}

impl Default for Par {
    fn default() -> Self {
        Self { limit: 2.15, weight: 0.5, schedule: Schedule::LineThenCosine }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "par",
        title: "Perturb and Recover",
        year: 2024,
        paper: "Singh et al., arXiv:2412.00727",
        summary: "fine-tunes on clean pairs and pushes embeddings away from those of the poisoned model",
        threat_model: "the defender holds some clean pairs and the weights, and knows nothing of the attack",
    },
    params: &[
        &[
            Param {
                key: "limit",
                unit: "squared distance",
                help: "mean distance from the start, in [0, 4], above which nothing pushes",
            },
            Param { key: "weight", unit: "", help: "weight of each modality's distance" },
            Param {
                key: "schedule",
                unit: "",
                help: "`line-then-cosine` (published), `cosine` or `constant`",
            },
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Par>,
    resolve: common::resolve::<Par>,
};

impl Further for Par {
    const NAME: &'static str = "par";

    fn check(&self) -> Result<(), String> {
        if !(0.0..=4.0).contains(&self.limit) {
            return Err(format!("`limit` is {}; a squared distance lies in [0, 4]", self.limit));
        }
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` is {}; it must be at least 0", self.weight));
        }
        Ok(())
    }

    fn objective(&self) -> Objective {
        let Self { limit, weight, .. } = *self;
        Objective::Repel(Repel { limit, weight })
    }

    fn schedule(&self) -> Schedule {
        self.schedule
    }
}
