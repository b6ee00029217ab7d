//! Fine-pruning (Liu et al. 2018): units of the image tower that clean pictures leave alone are where a backdoor can
//! hide, so they go; then training on clean pairs, as in `finetune`, heals what that broke.
//!
//! What is pruned, and how, is in [`crate::pruning`]. The paper prunes unit by unit until accuracy on held-out pictures has
//! fallen by 4 points; here the share is a parameter, so that no accuracy is looked at. Its networks are classifiers:
//! here the image tower is pruned, the text tower only trained. Pruned units stay pruned while training (they get no
//! gradient), as under the masks of published implementations. The pairs are those of `finetune` with the same share
//! and seed.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::clean_pairs::{self as common, Further};
use crate::pruning::Prune;
use crate::registry::{Card, Entry, Param};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct FinePruning {
    prune: f64,
}

impl Default for FinePruning {
    fn default() -> Self {
        Self { prune: 0.5 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "fine-pruning",
        title: "Fine-pruning",
        year: 2018,
        paper: "Liu, Dolan-Gavitt, Garg, RAID 2018, arXiv:1805.12185",
        summary: "removes the units of the image tower's last hidden layer that clean pictures excite least, then fine-tunes",
        threat_model: "the defender holds some clean pairs and the weights, and knows nothing of the attack",
    },
    params: &[
        &[Param {
            key: "prune",
            unit: "share of units",
            help: "how much of the last hidden layer goes: the least active",
        }],
        common::PARAMS,
    ],
    parse: common::parse::<FinePruning>,
    resolve: common::resolve::<FinePruning>,
};

impl Further for FinePruning {
    const NAME: &'static str = "fine-pruning";

    fn check(&self) -> Result<(), String> {
        if !(self.prune > 0.0 && self.prune < 1.0) {
            return Err(format!("`prune` is {}; it must be above 0 and below 1", self.prune));
        }
        Ok(())
    }

    fn prune(&self) -> Option<Prune> {
        Some(Prune { share: self.prune })
    }
}
