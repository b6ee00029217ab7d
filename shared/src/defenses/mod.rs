//! Defenses by the moment at which they act, one file each.
//!
//! A defense acts at exactly one moment of the line from data to score; each moment is a variant of [`Defense`].
//! It sees what a defender sees. No type here can hold an attack's `Poison`, so no defense can read its labels.
//!
//! To add one: copy `finetune.rs`, pick the moment, add a `mod` line and a place in [`DEFENSES`]; a moment that
//! does not exist yet is a variant that the compiler then asks the pipeline about.
#![deny(dead_code)]

mod finetune;
mod none;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::Dataset;
use crate::recipe::TrainConfig;
use crate::registry::Entry;
use crate::seed::Seed;

/// Every registered defense; doing nothing first.
pub static DEFENSES: &[&Entry<Defense>] = &[&none::ENTRY, &finetune::ENTRY];

/// A defense, by the moment at which it acts.
pub enum Defense {
    /// Never.
    None,
    /// After training: more training on pairs that the defender trusts.
    Repair(Box<dyn Repair>),
}

/// A defense that trains the finished model further.
pub trait Repair: Send + Sync {
    /// What to train on and how. `trusted` is the defender's own clean data; the choice of rows depends on
    /// nothing but it and the seed.
    ///
    /// # Errors
    /// If the parameters leave too few rows for one batch.
    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan>;
}

/// A repair as plain data, carried out by the program's trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairPlan {
    /// How to train.
    pub recipe: TrainConfig,
    /// Rows of the trusted set, ascending.
    pub rows: Vec<usize>,
}
