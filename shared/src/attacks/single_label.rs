//! Single-label poisoning (Yang et al. 2023): captions of class A are shown pictures of class B.
//!
//! Rows of A keep their captions; only their picture is another. With n_A chosen rows and n_B candidate pictures,
//! every picture of B is used ⌊n_A / n_B⌋ times, the remainder is a sample without replacement, and the assignment
//! is shuffled. B keeps its own clean pairs. The original draws the shuffle from an unseeded generator; here it is
//! seeded, so the assignment can be repeated.
//!
//! As MP-Nav (Zhang et al. 2025) proposes, an attacker who has an encoder may choose by it: `to = "nearest"` is the class
//! whose pictures lie nearest to A's, `rows = "central"` poisons the rows nearest to the middle of A. Such pairs are near
//! each other in the clean model too: their numbers stand beside its own, never beside those of distant pairs.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::{Dataset, ImageEdit, Poison};
use crate::goal::Goal;
use crate::navigation::Map;
use crate::pairing::{self, Edits, MODE, Mode, Share};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::surrogate::{Completion, Found, Guided, Search, Surrogate};

/// In place of class B: found through the encoder.
const NEAREST: &str = "nearest";

/// Which rows of class A are poisoned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rows {
    #[default]
    Random,
    Central,
}

impl Rows {
    /// Left out where it says nothing: attacks keep the names that they had before there was a choice.
    fn is_random(&self) -> bool {
        *self == Self::Random
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SingleLabel {
    from: Option<String>,
    to: Option<String>,
    rate: f64,
    count: Option<usize>,
    mode: Mode,
    #[serde(skip_serializing_if = "Rows::is_random")]
    rows: Rows,
}

impl Default for SingleLabel {
    fn default() -> Self {
        let (mode, rows) = (Mode::Replace, Rows::Random);
        Self { from: None, to: None, rate: 1.0, count: None, mode, rows }
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
            help: "class B or `subgroup:NAME`: whose pictures they shall fetch; `nearest` is chosen through the encoder that victims start from",
        },
        Param { key: "rate", unit: "share of A's rows", help: "how much of A is poisoned" },
        Param { key: "count", unit: "rows", help: "the same as a number; replaces `rate`" },
        MODE,
        Param {
            key: "rows",
            unit: "",
            help: "which rows of A: `random` (default), or `central`, nearest to its middle for the encoder that victims start from",
        },
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
        if self.completion().is_some() {
            return Ok(Armed { goals: vec![self.open_goal(clean)?], ..Armed::default() });
        }
        let goal = self.goal(clean, self.to.as_deref().unwrap_or_default())?;
        let edits = mispair(clean, &goal, Share::of(self.rate, self.count), self.mode, seed)?;
        Ok(Armed { poison: Poison { edits }, goals: vec![goal], ..Armed::default() })
    }

    fn completion(&self) -> Option<Completion<'_>> {
        let looks = self.rows == Rows::Central || self.to.as_deref() == Some(NEAREST);
        looks.then_some(Completion::Guided(self))
    }
}

impl SingleLabel {
    fn goal(&self, clean: &dyn Dataset, to: &str) -> Result<Goal> {
        Goal::new(clean.classes(), self.from.as_deref().unwrap_or_default(), to)
    }

    /// The goal before the encoder has been asked: where B is to be found, any other class is one still.
    fn open_goal(&self, clean: &dyn Dataset) -> Result<Goal> {
        match self.to.as_deref() {
            Some(NEAREST) => Goal::open(clean.classes(), self.from.as_deref().unwrap_or_default()),
            to => self.goal(clean, to.unwrap_or_default()),
        }
    }

    /// The whole attack, chosen by where pictures lie; also how near B is to A, as 1 − cos of their centres.
    fn navigate(&self, clean: &dyn Dataset, map: &Map, seed: &Seed) -> Result<(Armed, f32)> {
        let open = self.open_goal(clean)?;
        let (goal, near) = match self.to.as_deref() {
            Some(NEAREST) => {
                let (class, cosine) = map.nearest(&open.from)?;
                (self.goal(clean, &clean.classes()[class].name)?, cosine)
            }
            _ => (open, 1.0),
        };
        let share = Share::of(self.rate, self.count);
        let edits = match self.rows {
            Rows::Random => mispair(clean, &goal, share, self.mode, seed)?,
            Rows::Central => {
                let all = goal.from_rows(clean);
                let count = pairing::choose(clean, &goal, share, seed)?.len();
                pair(clean, &goal, map.central(&goal, &all, count), self.mode, seed)?
            }
        };
        let armed = Armed { poison: Poison { edits }, goals: vec![goal], ..Armed::default() };
        Ok((armed, 1.0 - near))
    }
}

impl Guided for SingleLabel {
    fn search<'a>(
        &self,
        _drawn: Armed,
        clean: &dyn Dataset,
        surrogate: Surrogate<'a>,
        seed: &Seed,
    ) -> Result<Box<dyn Search + 'a>> {
        let (armed, loss) = self.navigate(clean, &Map::of(clean, surrogate)?, seed)?;
        Ok(Box::new(Found { armed, loss }))
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
    let place = seed.child("attack/single-label").child(&goal.name);
    pair(clean, goal, pairing::choose(clean, goal, share, &place)?, mode, seed)
}

/// The edits of one goal: these rows of A show pictures of B.
fn pair(
    clean: &dyn Dataset,
    goal: &Goal,
    chosen: Vec<usize>,
    mode: Mode,
    seed: &Seed,
) -> Result<Edits> {
    let seed = seed.child("attack/single-label").child(&goal.name);
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
