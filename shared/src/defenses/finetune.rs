//! Fine-tuning on clean pairs (Yang et al. 2023): the contrastive loss, continued on data the defender trusts.
//!
//! The paper repairs CLIP with Visual Genome and finds that one epoch suffices; here the trusted pairs are a share
//! of the clean training rows (shared with pretraining) or of other data sets (`data`), drawn from the seed. The defaults are those that repair the tiny encoders; a
//! published checkpoint wants a learning rate near 1e-5 and an epoch or two. Never compare numbers of two recipes.

use serde::{Deserialize, Serialize};

use super::{Defense, Holdings, Repair, RepairPlan};
use crate::data::Dataset;
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Finetune {
    pub(super) data: Holdings,
    pub(super) share: f64,
    pub(super) epochs: usize,
    pub(super) batch: usize,
    pub(super) lr: f64,
    pub(super) wd: f64,
    pub(super) warmup: f64,
    pub(super) augment: bool,
}

impl Default for Finetune {
    fn default() -> Self {
        let TrainConfig { batch, wd, warmup, augment, .. } = TrainConfig::default();
        let data = Holdings::default();
        Self { data, share: 0.5, epochs: 20, batch, lr: 3e-3, wd, warmup, augment }
    }
}

/// What every repair that trains on clean pairs can be told.
pub(super) const PARAMS: &[Param] = &[
    Param {
        key: "data",
        unit: "",
        help: "data sets to repair with, joined by +; the victim's own clean pairs if left out",
    },
    Param {
        key: "share",
        unit: "share of clean rows",
        help: "how much clean data the defender has",
    },
    Param { key: "epochs", unit: "passes", help: "passes over the defender's pairs" },
    Param { key: "batch", unit: "pairs", help: "pairs in a batch" },
    Param { key: "lr", unit: "", help: "peak learning rate, cosine to 0" },
    Param { key: "wd", unit: "", help: "decoupled weight decay, on matrices only" },
    Param {
        key: "warmup",
        unit: "steps or share",
        help: "linear warm-up: steps when at least 1, a share below 1",
    },
    Param { key: "augment", unit: "", help: "weak augmentation of pictures" },
];

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "finetune",
        title: "Fine-tune on clean pairs",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "trains the finished model further on pairs that are known to be clean",
        threat_model: "the defender holds some clean pairs and the weights, and knows nothing of the attack",
    },
    params: &[PARAMS],
    parse: |v| {
        let parsed: Finetune = serde_json::from_value(v)?;
        parsed.recipe().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Repair(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Finetune>(v)?),
};

impl Finetune {
    pub(super) fn recipe(&self) -> Result<TrainConfig, String> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(format!("`share` is {}; it must be above 0 and at most 1", self.share));
        }
        let Self { epochs, batch, lr, wd, warmup, augment, .. } = *self;
        let epochs = Some(epochs);
        TrainConfig { epochs, batch, lr, wd, warmup, augment, ..TrainConfig::default() }.checked()
    }

    /// The plan of the repair `name`: the same pairs for the same share and seed, whatever else it does.
    ///
    /// # Errors
    /// If the share leaves less than one batch.
    pub(super) fn plan_as(
        &self,
        name: &str,
        trusted: &dyn Dataset,
        seed: &Seed,
    ) -> Result<RepairPlan> {
        let recipe = self.recipe().map_err(Error::Request)?;
        let all = trusted.examples().len();
        let wanted = (self.share * all as f64).round() as usize;
        if wanted < recipe.batch {
            return Err(Error::request(format!(
                "{name}: share {} of {all} clean pairs is {wanted}, less than one batch of {}",
                self.share, recipe.batch
            )));
        }
        let mut rows = seed.child("defense/finetune").stream().sample(all, wanted);
        rows.sort_unstable();
        Ok(RepairPlan { recipe, rows, prune: None })
    }
}

impl Repair for Finetune {
    fn data(&self) -> Vec<String> {
        self.data.names()
    }

    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan> {
        self.plan_as(ENTRY.card.name, trusted, seed)
    }
}
