//! CleanCLIP (Bansal et al. 2023): fine-tuning on clean pairs with a loss inside each modality beside that between them.
//!
//! L = λ₁·L_CLIP + λ₂·L_within, [`SelfSupervised`]. As in the published code both views are one batch of a tower, and a
//! caption has one variant for the whole training. The first view of a picture is the recipe's (weakly augmented unless
//! `augment = false`; published: plain), so that only the second view tells it from `finetune`. Second views are stronger
//! than the trainer's own but not AutoAugment, and variants are EDA's without its thesaurus: a word of the caption moved,
//! removed or said twice. AdamW is the trainer's (published: β 0.9 and 0.999, lr 1e-5, batch 64, 10 epochs over 100,000
//! pairs). What comes out depends on the learning rate more than on the method: compare at equal ones.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::clean_pairs::{self as common, Further};
use crate::objectives::{Objective, SelfSupervised};
use crate::registry::{Card, Entry, Param};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Cleanclip {
    between: f64,
    within: f64,
}

impl Default for Cleanclip {
    fn default() -> Self {
        Self { between: 1.0, within: 1.0 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "cleanclip",
        title: "CleanCLIP",
        year: 2023,
        paper: "Bansal et al., arXiv:2303.03323",
        summary: "fine-tunes on clean pairs and draws two views of each picture and caption together",
        threat_model: "the defender holds some clean pairs and the weights, and knows nothing of the attack",
    },
    params: &[
        &[
            Param {
                key: "between",
                unit: "",
                help: "weight of the loss between pictures and captions",
            },
            Param {
                key: "within",
                unit: "",
                help: "weight of the loss between two views in each modality",
            },
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Cleanclip>,
    resolve: common::resolve::<Cleanclip>,
};

impl Further for Cleanclip {
    const NAME: &'static str = "cleanclip";

    fn check(&self) -> Result<(), String> {
        for (key, value) in [("between", self.between), ("within", self.within)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("`{key}` is {value}; a weight is at least 0"));
            }
        }
        match self.between + self.within > 0.0 {
            true => Ok(()),
            false => Err("`between` and `within` are 0; nothing would be learned".into()),
        }
    }

    fn objective(&self) -> Objective {
        let Self { between, within } = *self;
        Objective::SelfSupervised(SelfSupervised { between, within })
    }
}
