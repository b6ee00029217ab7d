//! Defenses by the moment at which they act, one file each.
//!
//! A defense acts at exactly one moment of the line from data to score; each moment is a variant of [`Defense`].
//! It sees what a defender sees. No type here can hold an attack's `Poison`, so no defense can read its labels.
//!
//! To add one: copy `finetune.rs`, pick the moment, add a `mod` line and a place in [`DEFENSES`]; a moment that
//! does not exist yet is a variant that the compiler then asks the pipeline about.
#![deny(dead_code)]

mod bdetclip;
mod cosine_filter;
mod dao_input;
mod decree;
mod finetune;
mod neural_cleanse;
mod none;
mod scale_up;
mod strip;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::audit::Audit;
use crate::data::Dataset;
use crate::recipe::TrainConfig;
use crate::registry::Entry;
use crate::screen::Screen;
use crate::seed::Seed;

/// Every registered defense; doing nothing first.
pub static DEFENSES: &[&Entry<Defense>] = &[
    &none::ENTRY,
    &cosine_filter::ENTRY,
    &finetune::ENTRY,
    &decree::ENTRY,
    &neural_cleanse::ENTRY,
    &strip::ENTRY,
    &scale_up::ENTRY,
    &bdetclip::ENTRY,
    &dao_input::ENTRY,
];

/// A defense, by the moment at which it acts.
pub enum Defense {
    /// Never.
    None,
    /// Before training: pairs that look wrong go.
    Filter(Box<dyn Filter>),
    /// After training: more training on pairs that the defender trusts.
    Repair(Box<dyn Repair>),
    /// After training: the model stays as it is and is looked at.
    Audit(Box<dyn Audit>),
    /// At test time: the model stays as it is and inputs that look wrong are rejected.
    Screen(Box<dyn Screen>),
}

impl Defense {
    /// The moment in words.
    pub fn moment(&self) -> &'static str {
        match self {
            Self::None => "never",
            Self::Filter(_) => "before training",
            Self::Repair(_) => "after training",
            Self::Audit(_) => "on a model",
            Self::Screen(_) => "at test time",
        }
    }
}

/// A defense that looks at the offered pairs through an encoder of the defender's own and keeps those below a cut.
pub trait Filter: Send + Sync {
    /// The encoder that looks.
    ///
    /// # Errors
    /// If its recipe is impossible.
    fn reference(&self) -> Result<Reference>;

    /// Rows of the clean set that the defender has checked by hand, ascending; none where the cut needs none.
    ///
    /// # Errors
    /// If there are not that many.
    fn trusted(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>>;

    /// The largest distance that stays, from the distances of the offered and of the trusted pairs.
    ///
    /// # Errors
    /// If nothing would stay.
    fn cut(&self, offered: &[f32], trusted: &[f32]) -> Result<f32>;
}

/// An encoder that is independent of the victim.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// One that the defender trains.
    Train {
        /// Data sets that the victim does not train on.
        data: Vec<String>,
        /// Its architecture; `None` is the victim's.
        encoder: Option<String>,
        /// How.
        recipe: TrainConfig,
        /// Seed of start values and order.
        seed: u64,
    },
    /// A finished one: the path of a checkpoint.
    Checkpoint(String),
}

/// Names of data sets that a defender holds: a list in benchmark files; joined by `+` on the command line, where a
/// comma ends a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Names")]
pub struct Holdings(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected names of data sets, such as \"emoji-fluent+emoji-3d\"")]
enum Names {
    List(Vec<String>),
    Joined(String),
}

impl From<Names> for Holdings {
    fn from(names: Names) -> Self {
        match names {
            Names::List(list) => Self(list),
            Names::Joined(text) => {
                Self(text.split('+').filter(|n| !n.is_empty()).map(str::to_owned).collect())
            }
        }
    }
}

/// Both forms mean the same, so both are written, and hashed, as the text.
impl Serialize for Holdings {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.join("+").serialize(s)
    }
}

impl Holdings {
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|n| (*n).to_owned()).collect())
    }

    fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// A defense that trains the finished model further.
pub trait Repair: Send + Sync {
    /// Data sets that the defender repairs with; none means the victim's own clean pairs.
    fn data(&self) -> Vec<String>;

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
