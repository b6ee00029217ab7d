//! Audits look at a finished model and at clean pictures, never at the attack, and give a verdict.

mod search;

use serde::{Deserialize, Serialize};

pub(crate) use search::{Answer, Search};

use crate::Result;
use crate::data::Dataset;
use crate::encoders::Clip;
use crate::inversion::Stamp;
use crate::registry::Param;
use crate::seed::Seed;
use crate::weights::Weights;

/// A defense that changes nothing and says whether it distrusts the model.
pub trait Audit: Send + Sync {
    /// Rows of the clean set whose pictures the auditor holds, ascending.
    ///
    /// # Errors
    /// If there are too few.
    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>>;

    /// Looks at the model.
    ///
    /// # Errors
    /// Those of the subject's `tick`, or if a parameter does not fit the classes.
    fn look(&self, subject: &Subject<'_>, seed: &Seed) -> Result<Verdict>;
}

/// What an auditor has.
pub struct Subject<'a> {
    /// The architecture.
    pub clip: &'a Clip,
    /// The weights.
    pub weights: &'a Weights,
    /// Clean pictures (N, S, S, 3) in [0, 1], at least two.
    pub pictures: &'a [f32],
    /// Unit vectors of the class prompts (C, D).
    pub classes: &'a [f32],
    /// Called in every step with the share of the work done; its error ends the audit.
    pub tick: &'a dyn Fn(f64) -> Result<()>,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The number that the audit goes by; its own scale and direction.
    pub score: f64,
    /// Whether the audit calls the model backdoored.
    pub flagged: bool,
    /// What it found for single classes, by index; empty where it does not look at them.
    pub classes: Vec<ClassVerdict>,
    /// The inverted trigger that the score is about; `None` where no search succeeded.
    pub trigger: Option<Inverted>,
}

/// What a search for one class found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassVerdict {
    /// Index of the class.
    pub class: usize,
    /// Share of the picture that the smallest mask covers; 1 where no search succeeded.
    pub norm: f64,
    /// How unusually small that is, in deviations.
    pub index: f64,
    /// Whether that is too small.
    pub flagged: bool,
}

/// An inverted trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inverted {
    /// Edge in pixels.
    pub edge: usize,
    /// Opacity (S, S) in [0, 1].
    pub mask: Vec<f32>,
    /// What it shows (S, S, 3) in [0, 1].
    pub pattern: Vec<f32>,
}

impl From<&Stamp> for Inverted {
    fn from(stamp: &Stamp) -> Self {
        Self { edge: stamp.edge(), mask: stamp.mask(), pattern: stamp.pattern() }
    }
}

/// What every audit is told.
pub(crate) const PARAMS: &[Param] = &[
    Param { key: "share", unit: "share of clean rows", help: "pictures that the auditor holds" },
    Param { key: "batch", unit: "pictures", help: "pictures in a step" },
];

/// Draws `share` of the rows of a clean set for the audit called `name`, ascending.
pub(crate) fn held(name: &str, share: f64, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
    let all = clean.examples().len();
    let wanted = (share * all as f64).round() as usize;
    if wanted < 2 {
        return Err(crate::Error::request(format!(
            "{name}: share {share} of {all} clean pictures is {wanted}; an audit compares at least 2"
        )));
    }
    let mut rows = seed.child("audit").child(name).stream().sample(all, wanted);
    rows.sort_unstable();
    Ok(rows)
}

/// Refuses parameters of a search that mean nothing.
pub(crate) fn check(share: f64, steps: usize, batch: usize, lr: f64) -> Result<(), String> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(format!("`share` is {share}; it must be above 0 and at most 1"));
    }
    if steps == 0 {
        return Err("`steps` is 0; a search takes at least one".into());
    }
    if batch < 2 {
        return Err(format!("`batch` is {batch}; pictures are compared, give at least 2"));
    }
    if !(lr > 0.0 && lr.is_finite()) {
        return Err(format!("`lr` is {lr}; it must be above 0"));
    }
    Ok(())
}
