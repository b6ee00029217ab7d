//! Multi-label poisoning (Yang et al. 2023): several single-label goals in one training set and one model.
//!
//! Every goal is built as `single_label` builds it. Goals share no class, so that no row is edited twice and
//! no goal feeds another. The released code drops the clean rows of the second goal's class B whose pictures it
//! used, probably by mistake; here every B keeps its pairs unless `drop-second-target-clean` asks for that.

use serde::{Deserialize, Serialize};

use super::single_label::mispair;
use super::{Armed, Attack};
use crate::data::{Dataset, Edit, ImageEdit, PairId, Poison};
use crate::goal::Goal;
use crate::pairing::{Edits, MODE, Mode, Share};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct MultiLabel {
    goals: Goals,
    rate: f64,
    mode: Mode,
    drop_second_target_clean: bool,
}

/// A list in benchmark files; joined by `+` on the command line, where a comma ends a parameter.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected goals such as [\"ewe2airplane\", \"sailboat2dog\"]")]
enum Goals {
    List(Vec<String>),
    Joined(String),
}

impl Goals {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::List(list) => list.iter().map(String::as_str).collect(),
            Self::Joined(text) => text.split('+').collect(),
        }
    }
}

/// Both forms mean the same, so both are written, and hashed, as the list.
impl Serialize for Goals {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(s)
    }
}

impl Default for MultiLabel {
    fn default() -> Self {
        let goals = Goals::List(Vec::new());
        Self { goals, rate: 1.0, mode: Mode::Replace, drop_second_target_clean: false }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "multi-label",
        title: "Multi-label poisoning",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "plants several single-label goals with disjoint classes in one model",
        threat_model: "re-pairs existing pictures and captions; no pixel, no caption, no weight changes",
    },
    params: &[&[
        Param {
            key: "goals",
            unit: "",
            help: "A2B each: `ewe2airplane`, `subgroup:animal-bird2kite`; joined by + on the command line",
        },
        Param {
            key: "rate",
            unit: "share of each A's rows",
            help: "how much of every class A is poisoned",
        },
        MODE,
        Param {
            key: "drop-second-target-clean",
            unit: "",
            help: "as the released code does: the second goal's clean pairs of B whose pictures it uses leave the set",
        },
    ]],
    parse: |v| {
        let parsed: MultiLabel = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<MultiLabel>(v)?),
};

impl MultiLabel {
    fn check(&self) -> Result<(), String> {
        if self.goals.names().is_empty() {
            return Err("`goals` is empty; give at least one, such as ewe2airplane".into());
        }
        if self.drop_second_target_clean && self.goals.names().len() < 2 {
            return Err("`drop-second-target-clean` needs a second goal".into());
        }
        Share::Rate(self.rate).check()
    }
}

impl Attack for MultiLabel {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let parse = |name: &&str| Goal::parse(clean.classes(), name);
        let goals: Vec<Goal> = self.goals.names().iter().map(parse).collect::<Result<_>>()?;
        disjoint(&goals, clean)?;
        let mut poison = Poison::default();
        for goal in &goals {
            poison.edits.extend(mispair(clean, goal, Share::Rate(self.rate), self.mode, seed)?);
        }
        if let Some(second) = goals.get(1).filter(|_| self.drop_second_target_clean) {
            let used = mispair(clean, second, Share::Rate(self.rate), self.mode, seed)?;
            poison.edits.extend(sources(clean, second, &used));
        }
        Ok(Armed { poison, goals, ..Armed::default() })
    }
}

/// The clean rows of class B whose pictures a goal uses, dropped.
fn sources<'a>(
    clean: &'a dyn Dataset,
    goal: &Goal,
    used: &'a Edits,
) -> impl Iterator<Item = (PairId, Edit)> + 'a {
    let shown = |id: &PairId| used.values().any(|e| e.image == Some(ImageEdit::From(id.clone())));
    let rows = goal.to_rows(clean).into_iter().map(|row| &clean.examples()[row]);
    rows.filter(move |row| shown(&row.id)).map(|row| (row.id.clone(), Edit::drop(row.content)))
}

fn disjoint(goals: &[Goal], clean: &dyn Dataset) -> Result<()> {
    for (i, goal) in goals.iter().enumerate() {
        for other in &goals[..i] {
            let used = |c: &&usize| other.from.contains(c) || other.to.contains(c);
            if let Some(&class) = goal.from.iter().chain(&goal.to).find(used) {
                return Err(Error::request(format!(
                    "goals {} and {} share the class `{}`; all classes of multi-label must differ",
                    other.name,
                    goal.name,
                    clean.classes()[class].name
                )));
            }
        }
    }
    Ok(())
}
