//! What the pairing attacks of Yang et al. 2023 share: how many rows of class A, in place of or beside the clean ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Edit, ImageEdit, PairId};
use crate::goal::Goal;
use crate::registry::Param;
use crate::seed::Seed;
use crate::{Error, Result};

/// Edits by the id of the row they change or add.
pub(crate) type Edits = BTreeMap<PairId, Edit>;

/// How poisoned pairs get among the clean ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// In place of the clean pairs, as the paper's code does: A loses its own pictures.
    #[default]
    Replace,
    /// Beside them, as the paper's formula says: A keeps its clean pairs, the set grows.
    Add,
}

/// The parameter that [`Mode`] is.
pub(crate) const MODE: Param = Param {
    key: "mode",
    unit: "",
    help: "`replace` the clean pairs (the paper's code) or `add` to them (its formula)",
};

/// How many rows of class A are poisoned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Share {
    /// A share in (0, 1].
    Rate(f64),
    /// A number, at least 1.
    Count(usize),
}

impl Share {
    /// The one of two parameters that was given.
    pub(crate) fn of(rate: f64, count: Option<usize>) -> Self {
        count.map_or(Self::Rate(rate), Self::Count)
    }

    /// Refuses what no data set could satisfy.
    pub(crate) fn check(self) -> Result<(), String> {
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
            // Halves go to the even number, as where the paper's code draws a fraction of its rows.
            Self::Rate(rate) => match (rate * available as f64).round_ties_even() as usize {
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

/// Refuses a side that is missing, or `rate` beside `count`.
pub(crate) fn check_sides(
    from: Option<&String>,
    to: Option<&String>,
    rate: f64,
    count: Option<usize>,
) -> Result<(), String> {
    for (key, value) in [("from", from), ("to", to)] {
        if value.is_none() {
            return Err(format!("`{key}` is missing; give a class or subgroup:NAME"));
        }
    }
    if count.is_some() && rate != 1.0 {
        return Err("`rate` and `count` say the same thing; give one".into());
    }
    Share::of(rate, count).check()
}

/// The rows of class A whose captions are poisoned, ascending.
pub(crate) fn choose(
    clean: &dyn Dataset,
    goal: &Goal,
    share: Share,
    seed: &Seed,
) -> Result<Vec<usize>> {
    let rows = goal.from_rows(clean);
    if rows.is_empty() {
        return Err(lacks(goal, clean, "A has no rows to poison"));
    }
    let wanted = share.rows(rows.len(), &goal.name)?;
    let mut chosen = seed.child("rows").stream().sample(rows.len(), wanted);
    chosen.sort_unstable();
    Ok(chosen.into_iter().map(|i| rows[i]).collect())
}

/// "goal ewe2kite: class B has no candidate pictures in emoji/train".
pub(crate) fn lacks(goal: &Goal, data: &dyn Dataset, what: &str) -> Error {
    Error::request(format!("goal {}: class {what} in {}", goal.name, data.name()))
}

/// The rows with their new pictures: in their own place, or as copies under ids of their own.
pub(crate) fn show(
    clean: &dyn Dataset,
    goal: &Goal,
    mode: Mode,
    rows: impl IntoIterator<Item = (usize, ImageEdit)>,
) -> Edits {
    let edit = |(row, image): (usize, ImageEdit)| {
        let row = &clean.examples()[row];
        let edit = Edit::picture(row.content, image);
        match mode {
            Mode::Replace => (row.id.clone(), edit),
            Mode::Add => {
                let id = PairId(format!("{}+{}", row.id, goal.name));
                (id, Edit { base: Some(row.id.clone()), ..edit })
            }
        }
    };
    rows.into_iter().map(edit).collect()
}
