//! Fine-tuning on clean pairs (Yang et al. 2023): the contrastive loss, continued on data the defender trusts.
//!
//! The paper repairs CLIP with Visual Genome and finds that one epoch suffices.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::clean_pairs::{self as common, Further};
use crate::registry::{Card, Entry};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Finetune {}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "finetune",
        title: "Fine-tune on clean pairs",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "trains the finished model further on pairs that are known to be clean",
        threat_model: "the defender holds some clean pairs and the weights, and knows nothing of the attack",
    },
    params: &[common::PARAMS],
    parse: common::parse::<Finetune>,
    resolve: common::resolve::<Finetune>,
};

impl Further for Finetune {
    const NAME: &'static str = "finetune";
}
