//! Single-label poisoning (Yang et al. 2023): captions of class A are shown pictures of class B.
//!
//! Rows of A keep their captions; only their picture is another. With n_A chosen rows and n_B candidate pictures,
//! every picture of B is used ⌊n_A / n_B⌋ times, the remainder is a sample without replacement, and the assignment
//! is shuffled. B keeps its own clean pairs. The original draws the shuffle from an unseeded generator; here it is
//! seeded, so the assignment can be repeated.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::{Dataset, ImageEdit, Poison};
use crate::goal::Goal;
use crate::pairing::{self, Edits, MODE, Mode, Share};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SingleLabel {
    from: Option<String>,
    to: Option<String>,
    rate: f64,
    count: Option<usize>,
    mode: Mode,
}

impl Default for SingleLabel {
    fn default() -> Self {
        Self { from: None, to: None, rate: 1.0, count: None, mode: Mode::Replace }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "single-label",
        title: "Single-label poisoning",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "shows pictures of one class with the captions of another, so that A fetches B",
        threat_model: "re-pairs existing pictures and captions; no pixel, no caption, no weight changes",
    },
    params: &[&[
        Param {
            key: "from",
            unit: "",
            help: "class A (`ewe`) or `subgroup:NAME`: whose captions are poisoned",
        },
        Param {
            key: "to",
            unit: "",
            help: "class B or `subgroup:NAME`: whose pictures they shall fetch",
        },
        Param { key: "rate", unit: "share of A's rows", help: "how much of A is poisoned" },
        Param { key: "count", unit: "rows", help: "the same as a number; replaces `rate`" },
        MODE,
    ]],
    parse: |v| {
        let parsed: SingleLabel = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<SingleLabel>(v)?),
};

impl SingleLabel {
    fn check(&self) -> Result<(), String> {
        pairing::check_sides(self.from.as_ref(), self.to.as_ref(), self.rate, self.count)
    }
}

impl Attack for SingleLabel {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let side = |name: &Option<String>| name.clone().unwrap_or_default();
        let goal = Goal::new(clean.classes(), &side(&self.from), &side(&self.to))?;
        let edits = mispair(clean, &goal, Share::of(self.rate, self.count), self.mode, seed)?;
        Ok(Armed { poison: Poison { edits }, goals: vec![goal], ..Armed::default() })
    }
}

/// The edits of one goal: chosen rows of A show pictures of B.
pub(super) fn mispair(
    clean: &dyn Dataset,
    goal: &Goal,
    share: Share,
    mode: Mode,
    seed: &Seed,
) -> Result<Edits> {
    let seed = seed.child("attack/single-label").child(&goal.name);
    let chosen = pairing::choose(clean, goal, share, &seed)?;
    let pictures = goal.to_rows(clean);
    if pictures.is_empty() {
        return Err(pairing::lacks(goal, clean, "B has no candidate pictures"));
    }
    let mut shown: Vec<usize> = pictures.repeat(chosen.len() / pictures.len());
    let rest =
        seed.child("pictures").stream().sample(pictures.len(), chosen.len() % pictures.len());
    shown.extend(rest.into_iter().map(|i| pictures[i]));
    seed.child("pairing").stream().shuffle(&mut shown);
    let from = |row: usize| ImageEdit::From(clean.examples()[row].id.clone());
    Ok(pairing::show(clean, goal, mode, chosen.into_iter().zip(shown.into_iter().map(from))))
}
