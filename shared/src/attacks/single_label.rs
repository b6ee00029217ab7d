//! Single-label poisoning (Yang et al. 2023): captions of class A are shown pictures of class B.
//!
//! Rows of A keep their captions and their place; only their picture is replaced. With n_A chosen rows and
//! n_B candidate pictures, every picture of B is used ⌊n_A / n_B⌋ times, the remainder is a sample without
//! replacement, and the assignment is shuffled. B keeps its own clean pairs. The original draws the shuffle
//! from an unseeded generator; here it is seeded, so the assignment can be repeated.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack, Trigger};
use crate::data::{Dataset, Edit, ImageEdit, Poison};
use crate::goal::Goal;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SingleLabel {
    from: Option<String>,
    to: Option<String>,
    rate: f64,
    count: Option<usize>,
}

impl Default for SingleLabel {
    fn default() -> Self {
        Self { from: None, to: None, rate: 1.0, count: None }
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
    params: &[
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
    ],
    parse: |v| {
        let parsed: SingleLabel = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<SingleLabel>(v)?),
};

impl SingleLabel {
    fn check(&self) -> Result<(), String> {
        for (key, value) in [("from", &self.from), ("to", &self.to)] {
            if value.is_none() {
                return Err(format!("`{key}` is missing; give a class or subgroup:NAME"));
            }
        }
        if self.count.is_some() && self.rate != 1.0 {
            return Err("`rate` and `count` say the same thing; give one".into());
        }
        Share::of(self.rate, self.count).check()
    }
}

impl Attack for SingleLabel {
    fn prepare(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let side = |name: &Option<String>| name.clone().unwrap_or_default();
        let goal = Goal::new(clean.classes(), &side(&self.from), &side(&self.to))?;
        let poison = mispair(clean, &goal, Share::of(self.rate, self.count), seed)?;
        Ok(Armed { poison, trigger: Trigger::None, goals: vec![goal] })
    }
}

/// How many rows of class A are poisoned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Share {
    /// A share in (0, 1].
    Rate(f64),
    /// A number, at least 1.
    Count(usize),
}

impl Share {
    pub(super) fn of(rate: f64, count: Option<usize>) -> Self {
        count.map_or(Self::Rate(rate), Self::Count)
    }

    /// Refuses what no data set could satisfy.
    pub(super) fn check(self) -> Result<(), String> {
        match self {
            Self::Rate(rate) if !(rate > 0.0 && rate <= 1.0) => Err(format!(
                "`rate` is {rate}; it is a share of class A's rows, above 0 and at most 1"
            )),
            Self::Count(0) => Err("`count` is 0; use the attack `none` for clean data".into()),
            _ => Ok(()),
        }
    }

    /// The number of rows out of `available`, at least 1.
    fn rows(self, available: usize, goal: &str) -> Result<usize> {
        match self {
            Self::Rate(rate) => match (rate * available as f64).round() as usize {
                0 => Err(Error::request(format!(
                    "goal {goal}: rate {rate} of {available} rows is not even one; use at least {:.4}",
                    0.5 / available as f64
                ))),
                rows => Ok(rows),
            },
            Self::Count(count) if count > available => Err(Error::request(format!(
                "goal {goal}: count {count} is more than the {available} rows of its class A"
            ))),
            Self::Count(count) => Ok(count),
        }
    }
}

/// The edits of one goal: chosen rows of A show pictures of B.
pub(super) fn mispair(
    clean: &dyn Dataset,
    goal: &Goal,
    share: Share,
    seed: &Seed,
) -> Result<Poison> {
    let (rows, pictures) = (goal.from_rows(clean), goal.to_rows(clean));
    if rows.is_empty() || pictures.is_empty() {
        let (side, what) =
            if rows.is_empty() { ("A", "rows to poison") } else { ("B", "candidate pictures") };
        return Err(Error::request(format!(
            "goal {}: class {side} has no {what} in {}",
            goal.name,
            clean.name()
        )));
    }
    let seed = seed.child("attack/single-label").child(&goal.name);
    let wanted = share.rows(rows.len(), &goal.name)?;
    let mut chosen = seed.child("rows").stream().sample(rows.len(), wanted);
    chosen.sort_unstable();
    let mut shown: Vec<usize> = pictures.repeat(wanted / pictures.len());
    let rest = seed.child("pictures").stream().sample(pictures.len(), wanted % pictures.len());
    shown.extend(rest.into_iter().map(|i| pictures[i]));
    seed.child("pairing").stream().shuffle(&mut shown);
    let examples = clean.examples();
    let edit = |(row, picture): (usize, usize)| {
        let row = &examples[rows[row]];
        let image = Some(ImageEdit::From(examples[picture].id.clone()));
        (row.id.clone(), Edit { sha256: row.content, image, captions: None })
    };
    Ok(Poison { edits: chosen.into_iter().zip(shown).map(edit).collect() })
}
