//! What repairs share (Yang et al. 2023): the finished model is trained further on pairs that the defender trusts.
//!
//! The pairs are a share of the clean training rows (shared with pretraining) or of other data sets (`data`), drawn from the
//! seed, the same for every repair. The defaults are those that repair the tiny encoders; a published checkpoint wants a
//! learning rate near 1e-5 and an epoch or two. Never compare numbers of two recipes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Dataset;
use crate::defenses::{Defense, Holdings, Repair, RepairPlan};
use crate::objectives::Objective;
use crate::pruning::Prune;
use crate::recipe::{Schedule, TrainConfig};
use crate::registry::{Param, part};
use crate::seed::Seed;
use crate::{Error, Result};

/// Parameters that all of them have: the keys of [`CleanPairs`].
pub(crate) const PARAMS: &[Param] = &[
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
    Param { key: "lr", unit: "", help: "peak learning rate" },
    Param { key: "wd", unit: "", help: "decoupled weight decay, on matrices only" },
    Param {
        key: "warmup",
        unit: "steps or share",
        help: "linear warm-up: steps when at least 1, a share below 1",
    },
    Param { key: "augment", unit: "", help: "weak augmentation of pictures" },
];

/// The pairs and how long they are trained on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CleanPairs {
    pub data: Holdings,
    pub share: f64,
    pub epochs: usize,
    pub batch: usize,
    pub lr: f64,
    pub wd: f64,
    pub warmup: f64,
    pub augment: bool,
}

impl Default for CleanPairs {
    fn default() -> Self {
        let TrainConfig { batch, wd, warmup, augment, .. } = TrainConfig::default();
        let data = Holdings::default();
        Self { data, share: 0.5, epochs: 20, batch, lr: 3e-3, wd, warmup, augment }
    }
}

/// What a repair has beside [`PARAMS`].
pub(crate) trait Further: Default + Serialize + DeserializeOwned + Send + Sync {
    /// Its name.
    const NAME: &'static str;

    /// Refuses what makes no sense.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What is minimised.
    fn objective(&self) -> Objective {
        Objective::Contrastive
    }

    /// What goes out of the image tower first.
    fn prune(&self) -> Option<Prune> {
        None
    }

    /// The course of the learning rate.
    fn schedule(&self) -> Schedule {
        Schedule::Cosine
    }
}

/// The defense that a [`Further`] makes.
struct Repaired<T> {
    own: T,
    pairs: CleanPairs,
}

/// `Entry::parse` of a [`Further`].
pub(crate) fn parse<T: Further + 'static>(given: Value) -> serde_json::Result<Box<Defense>> {
    let (own, pairs) = read::<T>(given)?;
    let repaired = Repaired { own, pairs };
    let checked = repaired.own.check().and_then(|()| repaired.recipe());
    checked.map_err(serde::de::Error::custom)?;
    Ok(Box::new(Defense::Repair(Box::new(repaired))))
}

/// `Entry::resolve` of a [`Further`].
pub(crate) fn resolve<T: Further>(given: Value) -> serde_json::Result<Value> {
    #[derive(Serialize)]
    struct Both<T> {
        #[serde(flatten)]
        own: T,
        #[serde(flatten)]
        pairs: CleanPairs,
    }
    let (own, pairs) = read::<T>(given)?;
    serde_json::to_value(Both { own, pairs })
}

/// Parts the parameters of a repair into its own and those of [`PARAMS`].
fn read<T: Further>(given: Value) -> serde_json::Result<(T, CleanPairs)> {
    let (own, common) = part(given, PARAMS)?;
    Ok((own, serde_json::from_value(Value::Object(common))?))
}

impl<T: Further> Repaired<T> {
    fn recipe(&self) -> Result<TrainConfig, String> {
        let CleanPairs { share, epochs, batch, lr, wd, warmup, augment, .. } = self.pairs;
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!("`share` is {share}; it must be above 0 and at most 1"));
        }
        let (epochs, schedule) = (Some(epochs), self.own.schedule());
        TrainConfig { epochs, batch, lr, wd, warmup, augment, schedule, ..TrainConfig::default() }
            .checked()
    }
}

impl<T: Further> Repair for Repaired<T> {
    fn data(&self) -> Vec<String> {
        self.pairs.data.names()
    }

    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan> {
        let recipe = self.recipe().map_err(Error::Request)?;
        let all = trusted.examples().len();
        let wanted = (self.pairs.share * all as f64).round() as usize;
        if wanted < recipe.batch {
            return Err(Error::request(format!(
                "{}: share {} of {all} clean pairs is {wanted}, less than one batch of {}",
                T::NAME,
                self.pairs.share,
                recipe.batch
            )));
        }
        // Every repair has the same pairs: what differs between two is their own.
        let mut rows = seed.child("defense/finetune").stream().sample(all, wanted);
        rows.sort_unstable();
        let (objective, prune) = (self.own.objective(), self.own.prune());
        Ok(RepairPlan { recipe, objective, rows, prune, prompting: None, activations: None })
    }
}
