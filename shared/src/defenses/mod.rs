//! Defenses by the moment at which they act, one file each.
//!
//! A defense acts at exactly one moment of the line from data to score; each moment is a variant of [`Defense`].
//! It sees what a defender sees. No type here can hold an attack's `Poison`, so no defense can read its labels.
//!
//! To add one: copy `finetune.rs` (or, for a repair by another objective, `par.rs`), pick the moment, add a `mod` line and a place in [`DEFENSES`]; a moment that
//! does not exist yet is a variant that the compiler then asks the pipeline about.
#![deny(dead_code)]

mod abl;
mod activation_clustering;
mod bdetclip;
mod cleanclip;
mod clip_score;
mod cosine_filter;
mod dao;
mod dao_input;
mod decree;
mod fine_pruning;
mod finetune;
mod invertune;
mod isolation_forest;
mod k_distance;
mod lid;
mod linear_probe;
mod neural_cleanse;
mod none;
mod par;
mod roclip;
mod rvpt;
mod safeclip;
mod scale_up;
mod slof;
mod spectral;
mod strip;
#[cfg(test)]
mod tests;
mod ubt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::activation_tuning::ActivationTuning;
use crate::audit::Audit;
use crate::data::Dataset;
use crate::objectives::Objective;
use crate::probe::Probe;
use crate::prompting::Prompting;
use crate::pruning::Prune;
use crate::recipe::TrainConfig;
use crate::registry::Entry;
use crate::screen::Screen;
use crate::seed::Seed;

/// Every registered defense; doing nothing first.
pub static DEFENSES: &[&Entry<Defense>] = &[
    &none::ENTRY,
    &cosine_filter::ENTRY,
    &clip_score::ENTRY,
    &k_distance::ENTRY,
    &slof::ENTRY,
    &lid::ENTRY,
    &dao::ENTRY,
    &isolation_forest::ENTRY,
    &spectral::ENTRY,
    &activation_clustering::ENTRY,
    &roclip::ENTRY,
    &safeclip::ENTRY,
    &abl::ENTRY,
    &finetune::ENTRY,
    &cleanclip::ENTRY,
    &par::ENTRY,
    &fine_pruning::ENTRY,
    &rvpt::ENTRY,
    &invertune::ENTRY,
    &ubt::ENTRY,
    &linear_probe::ENTRY,
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
    /// While training: the victim minimises something else.
    Rule(Box<dyn Rule>),
    /// While training: in parts, on pairs that are chosen on the way.
    InParts(Box<dyn InParts>),
    /// After training: in parts, on the pairs that the model was trained on, which it chooses among.
    Unlearning(Box<dyn InParts>),
    /// After training: more training on pairs that the defender trusts.
    Repair(Box<dyn Repair>),
    /// After training: the model stays as it is, and a classifier of the defender's own stands for class prompts.
    Probe(Box<dyn Probe>),
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
            Self::Rule(_) | Self::InParts(_) => "while training",
            Self::Unlearning(_) | Self::Repair(_) => "after training",
            Self::Probe(_) => "in place of class prompts",
            Self::Audit(_) => "on a model",
            Self::Screen(_) => "at test time",
        }
    }
}

/// A defense that scores the offered pairs through an encoder and keeps those up to a cut.
pub trait Filter: Send + Sync {
    /// The encoder that looks.
    ///
    /// # Errors
    /// If its recipe is impossible.
    fn reference(&self) -> Result<Reference>;

    /// Whether scores depend on a seed and not on what is seen alone.
    fn draws(&self) -> bool {
        false
    }

    /// Rows of the clean set that the defender has checked by hand, ascending; none where the cut needs none.
    ///
    /// # Errors
    /// If there are not that many.
    fn trusted(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>>;

    /// One score per pair in sight: higher is more suspicious.
    ///
    /// # Errors
    /// Those of looking; or the scores tell nothing.
    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f32>>;

    /// The largest score that stays, from the scores of the offered and of the trusted pairs.
    ///
    /// # Errors
    /// If nothing would stay.
    fn cut(&self, offered: &[f32], trusted: &[f32]) -> Result<f32>;
}

/// A defense that trains in parts, some of them on pairs that were chosen through the model of the part before.
pub trait InParts: Send + Sync {
    /// The parts in order, for a victim that would train, or was trained, by this recipe.
    ///
    /// # Errors
    /// If the recipe or the pairs are too few for them.
    fn plan(&self, offered: &dyn Dataset, victim: &TrainConfig) -> Result<Vec<Part>>;
}

/// One training of several.
pub struct Part {
    /// From which weights.
    pub start: Start,
    /// On what.
    pub pairs: Which,
    /// How.
    pub recipe: TrainConfig,
    /// Towards what.
    pub objective: Objective,
}

/// What a [`Part`] starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The model of the part before.
    Before,
    /// The model that the first part started from.
    First,
}

/// The pairs of a [`Part`].
pub enum Which {
    /// All that are offered.
    All,
    /// A side of what a filter makes of them, which looks through the model of the part before. In place of the scores of
    /// trusted pairs, its cut has those of the first filter.
    Look(Box<dyn Filter>, Side),
    /// A side of what the last filter made of them.
    Again(Side),
    /// What a filter sets apart, as in [`Which::Look`], with every caption cut down to this many words: those without which
    /// it agrees least with its picture, by the model that the part starts from.
    Words(Box<dyn Filter>, usize),
}

/// A side of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What stays.
    Kept,
    /// What goes; a batch may be larger than it.
    Apart,
}

/// What a filter can ask of the pairs before it. What it does not ask for is not computed.
pub struct Sight<'a> {
    /// 1 − cos of every row's picture and captions, the mean over its captions, (N).
    pub distances: &'a dyn Fn() -> Result<Vec<f32>>,
    /// Embeddings of the pictures as they come out of the encoder, not normalised.
    pub pictures: &'a dyn Fn() -> Result<Vectors>,
    /// ½·[CE of its row + CE of its column] of every pair among batches of 128, the mean over ten ways to part the set, (N).
    pub losses: &'a dyn Fn() -> Result<Vec<f32>>,
    /// The class that each row's captions name, if one does: what can be read off them, no label.
    pub words: &'a dyn Fn() -> Vec<Option<usize>>,
    /// What the first of several filters scored the same rows, (N); empty for the first itself.
    pub first: &'a dyn Fn() -> Result<Vec<f32>>,
}

/// Vectors of one length, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// Components of each.
    pub dim: usize,
    /// (N, dim).
    pub values: Vec<f32>,
}

impl Vectors {
    /// How many.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim.max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One of them.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// Brings all to length 1; zero stays.
    pub fn normalize(&mut self) {
        for vector in self.values.chunks_exact_mut(self.dim.max(1)) {
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|x| *x /= norm);
        }
    }
}

/// The encoder that a filter looks through.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// What the victim's own recipe makes of all that is offered.
    Victim,
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
    pub(crate) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|n| (*n).to_owned()).collect())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// A defense that decides what the victim's training minimises. The recipe, the pairs and their order stay.
pub trait Rule: Send + Sync {
    /// What to minimise.
    fn objective(&self) -> Objective;
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
    /// Towards what; left out where it is CLIP's own.
    #[serde(default, skip_serializing_if = "Objective::is_contrastive")]
    pub objective: Objective,
    /// Rows of the trusted set, ascending.
    pub rows: Vec<usize>,
    /// What is taken out of the image tower first, judged by the pictures of these rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Prune>,
    /// Prompts that are tuned by the classes of these rows, instead of all weights by their captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompting: Option<Prompting>,
    /// Activations of the image tower that are tuned by the pictures of these rows, instead of all weights by their captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<ActivationTuning>,
}
