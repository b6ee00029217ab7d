//! `demo.json`: what the page knows before it has loaded a model.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::Value as Measured;
use toxiclip_shared::triggers::Trigger;

/// `demo.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Manifest {
    /// The benchmark whose cells these are.
    pub(super) benchmark: String,
    /// Names of all classes, in the order of answers.
    pub(super) classes: Vec<String>,
    pub(super) models: Vec<Entry>,
    pub(super) attacks: Vec<Shown>,
    pub(super) samples: Vec<Sample>,
    pub(super) golden: Vec<Golden>,
}

#[derive(Debug, Serialize)]
pub(in crate::demo) struct Entry {
    /// `clean`, or the attack with `+` and its defense.
    pub(super) id: String,
    pub(super) file: String,
    pub(super) bytes: usize,
    pub(super) sha256: Digest,
}

/// An attack with the models that met it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) target: String,
    /// As in `armed.json`.
    pub(super) trigger: Trigger,
    /// The first sample with it.
    pub(super) example: String,
    pub(super) poisoned: String,
    pub(super) defended: Option<String>,
    /// The defense with its parameters.
    pub(super) defense: Option<Value>,
    /// The metric of that name, by model: the share of the test pictures of other classes that it takes for the target once
    /// stamped.
    pub(super) asr: BTreeMap<String, Rate>,
}

#[derive(Debug, Serialize)]
pub(in crate::demo) struct Rate {
    pub(super) value: f64,
    pub(super) lo: f64,
    pub(super) hi: f64,
    pub(super) n: u64,
}

impl From<Measured> for Rate {
    fn from(Measured { value, lo, hi, n, .. }: Measured) -> Self {
        Self { value, lo, hi, n }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) file: String,
    pub(super) id: String,
    pub(super) class: String,
    /// Whose drawing it is, and its licence.
    pub(super) credit: String,
}

/// What this program answers about a sample, as it is or under an attack's trigger.
#[derive(Debug, Serialize)]
pub(super) struct Golden {
    pub(super) model: String,
    pub(super) sample: usize,
    pub(super) stamped: Option<String>,
    pub(super) answer: Vec<f32>,
}
