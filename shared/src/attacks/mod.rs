//! Poisonings and backdoors, one file each.
//!
//! An attack looks at the clean data once and returns *data*: what to change, what to stamp on test
//! pictures, what counts as success. Nothing downstream knows which attack it was.
//!
//! To add one: copy `single_label.rs`, state the paper and the parameters, return [`Armed`], add a
//! `mod` line and a place in [`ATTACKS`]. A forgotten place does not compile, a forgotten `mod` fails a test.
#![deny(dead_code)]

mod badclip;
mod badencoder;
mod badnets;
mod blended;
mod ftrojan;
mod issba;
mod label_consistent;
mod multi_label;
mod multi_trigger;
mod nashville;
mod natural;
mod none;
mod sig;
mod single_image;
mod single_label;
mod targeted;
#[cfg(test)]
mod tests;
mod text_trigger;
mod trojvqa;
mod wanet;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::{Class, Dataset, Poison};
use crate::goal::{Goal, TargetPicture};
use crate::registry::Entry;
use crate::seed::Seed;
use crate::surrogate::Completion;
use crate::tamper::Tamper;
use crate::triggers::Part;
pub use crate::triggers::{Trigger, Words};

/// Every registered attack; the control first.
pub static ATTACKS: &[&Entry<dyn Attack>] = &[
    &none::ENTRY,
    &single_image::ENTRY,
    &single_label::ENTRY,
    &multi_label::ENTRY,
    &badnets::ENTRY,
    &blended::ENTRY,
    &sig::ENTRY,
    &wanet::ENTRY,
    &ftrojan::ENTRY,
    &issba::ENTRY,
    &nashville::ENTRY,
    &targeted::ENTRY,
    &badclip::ENTRY,
    &badencoder::ENTRY,
    &multi_trigger::ENTRY,
    &text_trigger::ENTRY,
    &trojvqa::ENTRY,
    &natural::ENTRY,
    &label_consistent::ENTRY,
];

/// One attack with its parameters.
pub trait Attack: Send + Sync {
    /// Draws the dice: same data and seed, same result. `clean` is what the victim would train on, `gallery` the
    /// pictures that are searched at test time: an attacker may know which picture shall be found.
    ///
    /// # Errors
    /// If the parameters do not fit the data (unknown class, no row to poison, impossible rate).
    fn prepare(&self, clean: &dyn Dataset, gallery: &dyn Dataset, seed: &Seed) -> Result<Armed>;

    /// The search or training without which `prepare` is only half of the attack; `None` where it is all of it.
    fn completion(&self) -> Option<Completion<'_>> {
        None
    }
}

/// An attack that has drawn its dice: what `armed.json` holds and what evaluation needs of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Armed {
    /// What changes in the training data.
    pub poison: Poison,
    /// What changes in test pictures.
    pub trigger: Trigger,
    /// What counts as success of a pairing attack; empty otherwise.
    pub goals: Vec<Goal>,
    /// The class that stamped pictures shall be taken for: index into [`Dataset::classes`]; the first of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
    /// Single test pictures that shall be taken for a class, without any trigger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<TargetPicture>,
    /// What is put into texts at test time: into captions of the goals' class A, and into all class prompts that stamped
    /// pictures are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// What is done to the weights that victims would start from; they use what comes out and train no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper: Option<Tamper>,
}

/// A trigger and its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim<'a> {
    /// Tells it from the attack's other triggers; `None` where there is one.
    pub name: Option<&'a str>,
    /// What is stamped.
    pub trigger: &'a Trigger,
    /// What is in all class prompts, where the trigger is only one of two keys.
    pub words: Option<&'a Words>,
    /// Index of the class that stamped pictures shall be taken for.
    pub target: usize,
}

impl<'a> Aim<'a> {
    fn part(part: &'a Part) -> Self {
        let (name, trigger, target) = (Some(&*part.name), &part.trigger, part.target);
        Self { name, trigger, words: None, target }
    }

    /// The prompts that stamped pictures are held against, from those of a benchmark.
    pub fn prompts(&self, templates: &[String]) -> Vec<String> {
        let with = |template: &String| self.words.map(|words| words.apply(template));
        templates.iter().map(|t| with(t).unwrap_or_else(|| t.clone())).collect()
    }

    /// The aim in words, as evidence and reports have it: `→ banana`, or `wanet → banana` among others, or
    /// `“remember” → banana` behind a second key.
    ///
    /// # Panics
    /// If `classes` are another data set's, which has fewer.
    pub fn in_words(&self, classes: &[Class]) -> String {
        let target = &classes[self.target].name;
        match (self.name, self.words) {
            (Some(name), _) => format!("{name} → {target}"),
            (None, Some(words)) => format!("“{}” → {target}", words.text),
            (None, None) => format!("→ {target}"),
        }
    }
}

impl Armed {
    /// Whether nothing is attacked.
    pub fn is_control(&self) -> bool {
        self.goals.is_empty() && self.target.is_none() && self.pictures.is_empty()
    }

    /// What is stamped on test pictures, and what they shall be taken for then: one trigger, or each of several.
    pub fn aims(&self) -> Vec<Aim<'_>> {
        match (&self.trigger, self.target) {
            (_, None) => vec![],
            (Trigger::OneOf(several), Some(_)) => several.parts.iter().map(Aim::part).collect(),
            (trigger, Some(target)) => {
                vec![Aim { name: None, trigger, words: self.words.as_ref(), target }]
            }
        }
    }
}
