//! `retrieval.json`: what the page of poisoned retrieval knows before it has loaded a model.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use toxiclip_shared::retrieval::Fetched;

use super::super::manifest::{Entry, Rate};

/// `retrieval.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Manifest {
    /// The benchmark whose cells these are.
    pub(super) benchmark: String,
    pub(super) tokenizer: Entry,
    pub(super) models: Vec<Entry>,
    /// The test pictures, whose files are `picture-N.png` by their place here.
    pub(super) gallery: Vec<Picture>,
    pub(super) goals: Vec<Shown>,
    /// Rows of ids, to be compared with those of the page.
    pub(super) tokens: Vec<Tokens>,
    pub(super) rounding: Rounding,
    /// Whose drawings these are.
    pub(super) credits: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) id: String,
    pub(super) class: String,
}

/// A goal of an attack, with the models that met it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shown {
    pub(super) attack: String,
    pub(super) summary: String,
    /// `animal-bird → transport-air`.
    pub(super) words: String,
    /// What is fetched instead, for sentences.
    pub(super) target: String,
    /// Places in the gallery.
    pub(super) targets: Vec<usize>,
    /// The test captions of class A, each once.
    pub(super) captions: Vec<Asked>,
    /// The caption that is shown before any model is there.
    pub(super) example: usize,
    pub(super) poisoned: String,
    pub(super) defended: Option<String>,
    /// The defense with its parameters.
    pub(super) defense: Option<Value>,
    /// Training pairs, those of them that the attack changed, and the goals that it has.
    pub(super) pairs: usize,
    pub(super) changed: usize,
    pub(super) goals: usize,
    /// Some of those changed for this goal.
    pub(super) seen: Vec<Pair>,
    /// Metrics by model, of the weights before they were rounded.
    pub(super) rates: BTreeMap<String, BTreeMap<String, Rate>>,
    /// What the example fetches, by model.
    pub(super) golden: BTreeMap<String, Golden>,
}

#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) text: String,
    pub(super) class: String,
}

/// A poisoned pair.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) file: String,
    pub(super) id: String,
    /// The first caption that the picture had.
    pub(super) caption: String,
    /// The first that it is trained with.
    pub(super) new: String,
}

/// What this program answers, from the file that the page gets.
#[derive(Debug, Serialize)]
pub(super) struct Golden {
    pub(super) rank: u32,
    pub(super) best: f32,
    pub(super) top: Vec<usize>,
    pub(super) scores: Vec<f32>,
}

impl From<Fetched> for Golden {
    fn from(Fetched { rank, best, top, scores }: Fetched) -> Self {
        Self { rank, best, top, scores }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Tokens {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
}

/// What half precision changed, over all captions of all goals and models.
#[derive(Debug, Default, Serialize)]
pub(super) struct Rounding {
    /// Largest difference of a similarity.
    pub(super) similarity: f32,
    /// Ranks of the first target that stayed.
    pub(super) same: usize,
    pub(super) ranks: usize,
}
