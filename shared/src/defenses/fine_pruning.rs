//! Fine-pruning (Liu et al. 2018): units of the image tower that clean pictures leave alone are where a backdoor can
//! hide, so they go; then training on clean pairs, as in `finetune`, heals what that broke.
//!
//! What is pruned, and how, is in [`crate::pruning`]. The paper prunes unit by unit until accuracy on held-out pictures has
//! fallen by 4 points; here the share is a parameter, so that no accuracy is looked at. Its networks are classifiers:
//! here the image tower is pruned, the text tower only trained. Pruned units stay pruned while training (they get no
//! gradient), as under the masks of published implementations. The pairs are those of `finetune` with the same share
//! and seed.

use serde::{Deserialize, Serialize};

use super::finetune::{self, Finetune};
use super::{Defense, Holdings, Repair, RepairPlan};
use crate::Result;
use crate::data::Dataset;
use crate::pruning::Prune;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct FinePruning {
    prune: f64,
    data: Holdings,
    share: f64,
    epochs: usize,
    batch: usize,
    lr: f64,
    wd: f64,
    warmup: f64,
    augment: bool,
}

impl Default for FinePruning {
    fn default() -> Self {
        let Finetune { data, share, epochs, batch, lr, wd, warmup, augment } = Finetune::default();
        Self { prune: 0.5, data, share, epochs, batch, lr, wd, warmup, augment }
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
        finetune::PARAMS,
    ],
    parse: |v| {
        let parsed: FinePruning = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Repair(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<FinePruning>(v)?),
};

impl FinePruning {
    fn check(&self) -> Result<(), String> {
        if !(self.prune > 0.0 && self.prune < 1.0) {
            return Err(format!("`prune` is {}; it must be above 0 and below 1", self.prune));
        }
        self.tune().recipe().map(drop)
    }

    fn tune(&self) -> Finetune {
        let Self { data, share, epochs, batch, lr, wd, warmup, augment, .. } = self;
        let (data, share, epochs, batch) = (data.clone(), *share, *epochs, *batch);
        Finetune {
            data,
            share,
            epochs,
            batch,
            lr: *lr,
            wd: *wd,
            warmup: *warmup,
            augment: *augment,
        }
    }
}

impl Repair for FinePruning {
    fn data(&self) -> Vec<String> {
        self.data.names()
    }

    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan> {
        let plan = self.tune().plan_as(ENTRY.card.name, trusted, seed)?;
        Ok(RepairPlan { prune: Some(Prune { share: self.prune }), ..plan })
    }
}
