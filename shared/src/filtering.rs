//! What filters share: which encoder looks, how scores become a cut, and when they tell nothing.

#[cfg(test)]
pub(crate) mod grouped;

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Dataset;
use crate::defenses::{Defense, Filter, Holdings, Reference, Sight};
use crate::recipe::TrainConfig;
use crate::registry::{self, Param};
use crate::seed::Seed;
use crate::{Error, Result};

/// An encoder that the defender trains on pairs of its own, or has: the keys of [`REFERENCE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OwnEncoder {
    reference_data: Holdings,
    reference_encoder: Option<String>,
    reference_checkpoint: Option<String>,
    reference_epochs: usize,
    reference_batch: usize,
    reference_lr: f64,
    reference_seed: u64,
}

impl Default for OwnEncoder {
    fn default() -> Self {
        Self {
            reference_data: Holdings::of(&["emoji-fluent", "emoji-3d", "emoji-contrast"]),
            reference_encoder: None,
            reference_checkpoint: None,
            reference_epochs: 250,
            reference_batch: TrainConfig::default().batch,
            reference_lr: 2e-3,
            reference_seed: 100,
        }
    }
}

pub(crate) const REFERENCE: &[Param] = &[
    Param {
        key: "reference-data",
        unit: "",
        help: "data sets that the reference trains on, joined by +; never the victim's",
    },
    Param {
        key: "reference-encoder",
        unit: "",
        help: "architecture of the reference; the victim's if left out",
    },
    Param {
        key: "reference-checkpoint",
        unit: "",
        help: "a finished reference instead of one that is trained",
    },
    Param { key: "reference-epochs", unit: "passes", help: "passes over the reference data" },
    Param { key: "reference-batch", unit: "pairs", help: "pairs in a batch of the reference" },
    Param { key: "reference-lr", unit: "", help: "peak learning rate of the reference" },
    Param { key: "reference-seed", unit: "", help: "seed of the reference" },
];

impl OwnEncoder {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.reference_checkpoint.is_none() && self.reference_data.names().is_empty() {
            return Err("`reference-data` is empty; name a data set or a checkpoint".into());
        }
        self.recipe().map(drop)
    }

    fn recipe(&self) -> Result<TrainConfig, String> {
        TrainConfig {
            epochs: Some(self.reference_epochs),
            batch: self.reference_batch,
            lr: self.reference_lr,
            ..TrainConfig::default()
        }
        .checked()
        .map_err(|e| format!("the reference: {e}"))
    }

    pub(crate) fn reference(&self) -> Result<Reference> {
        if let Some(checkpoint) = &self.reference_checkpoint {
            return Ok(Reference::Checkpoint(checkpoint.clone()));
        }
        Ok(Reference::Train {
            data: self.reference_data.names(),
            encoder: self.reference_encoder.clone(),
            recipe: self.recipe().map_err(Error::Request)?,
            seed: self.reference_seed,
        })
    }
}

/// Whose encoder looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    Victim,
    Reference,
}

const ENCODER: &str = "encoder";

/// Parameters that every detector has beside its own.
pub(crate) const LOOK: &[&[Param]] = &[
    &[Param {
        key: ENCODER,
        unit: "",
        help: "who looks: `victim`, trained by its own recipe on all that is offered, or `reference`, the defender's own",
    }],
    REFERENCE,
];

/// How a share of the worst is asked for.
pub(crate) const DROP: Param = Param {
    key: "drop",
    unit: "share of offered pairs",
    help: "the most suspicious pairs, which go",
};

/// A filter that differs from others in how it scores: its own parameters.
pub(crate) trait Detector: Default + Serialize + DeserializeOwned + Send + Sync {
    /// Its registered name, for messages.
    const NAME: &'static str;
    /// Who looks if nothing is said.
    const WHOSE: Whose = Whose::Victim;

    /// Refuses what no data could satisfy.
    fn check(&self) -> Result<(), String>;

    /// One score per pair in sight: higher is more suspicious.
    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>>;

    /// The largest score that stays.
    fn cut(&self, scores: &[f32]) -> Result<f32>;
}

/// The filter that a [`Detector`] makes.
struct Detecting<T> {
    own: T,
    /// The defender's own encoder; `None` is the victim.
    looks: Option<OwnEncoder>,
}

/// `Entry::parse` of a [`Detector`].
pub(crate) fn parse<T: Detector + 'static>(given: Value) -> serde_json::Result<Box<Defense>> {
    let (own, looks) = read::<T>(given)?;
    let reference = looks.as_ref().map_or(Ok(()), OwnEncoder::check);
    own.check().and(reference).map_err(serde_json::Error::custom)?;
    Ok(Box::new(Defense::Filter(Box::new(Detecting { own, looks }))))
}

/// `Entry::resolve` of a [`Detector`]. Parameters of an encoder that is not used are left out.
pub(crate) fn resolve<T: Detector>(given: Value) -> serde_json::Result<Value> {
    let object = |value: Value| serde_json::from_value::<Map<String, Value>>(value);
    let (own, looks) = read::<T>(given)?;
    let mut all = object(serde_json::to_value(own)?)?;
    let whose = if looks.is_some() { Whose::Reference } else { Whose::Victim };
    all.insert(ENCODER.to_owned(), serde_json::to_value(whose)?);
    if let Some(encoder) = looks {
        all.extend(object(serde_json::to_value(encoder)?)?);
    }
    Ok(Value::Object(all))
}

fn read<T: Detector>(given: Value) -> serde_json::Result<(T, Option<OwnEncoder>)> {
    let shared: Vec<Param> = LOOK.iter().copied().flatten().copied().collect();
    let (own, mut shared) = registry::part::<T>(given, &shared)?;
    let whose = shared.remove(ENCODER).map(serde_json::from_value).transpose()?;
    match (whose.unwrap_or(T::WHOSE), shared.keys().next()) {
        (Whose::Reference, _) => Ok((own, Some(serde_json::from_value(Value::Object(shared))?))),
        (Whose::Victim, None) => Ok((own, None)),
        (Whose::Victim, Some(key)) => Err(serde_json::Error::custom(format!(
            "`{key}` describes an encoder of the defender's own; it needs encoder = \"reference\""
        ))),
    }
}

impl<T: Detector> Filter for Detecting<T> {
    fn reference(&self) -> Result<Reference> {
        self.looks.as_ref().map_or(Ok(Reference::Victim), OwnEncoder::reference)
    }

    fn draws(&self) -> bool {
        true
    }

    fn trusted(&self, _clean: &dyn Dataset, _seed: &Seed) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f32>> {
        let scores = self.own.scores(sight, &seed.child("defense").child(T::NAME));
        let scores = scores.and_then(|all| telling(&all));
        scores.map_err(|e| Error::request(format!("{}: {e}", T::NAME)))
    }

    fn cut(&self, offered: &[f32], _trusted: &[f32]) -> Result<f32> {
        self.own.cut(offered).map_err(|e| Error::request(format!("{}: {e}", T::NAME)))
    }
}

/// Which rows are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Grouping {
    None,
    ClassWord,
}

pub(crate) const GROUP: Param = Param {
    key: "group",
    unit: "",
    help: "pairs that are compared: all (`none`), or those whose captions name one class (`class-word`)",
};

impl Grouping {
    /// The rows of every group, ascending; rows whose captions name no class are one more.
    pub(crate) fn groups(self, sight: &Sight<'_>, rows: usize) -> Vec<Vec<usize>> {
        if self == Self::None {
            return vec![(0..rows).collect()];
        }
        let mut groups: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (row, class) in (sight.words)().into_iter().enumerate() {
            groups.entry(class).or_default().push(row);
        }
        groups.into_values().collect()
    }
}

/// Refuses scores that rank nothing.
pub(crate) fn telling(scores: &[f64]) -> Result<Vec<f32>> {
    let strange = scores.iter().filter(|s| !s.is_finite()).count();
    if strange > 0 {
        return Err(Error::request(format!(
            "the scores of {strange} of {} pairs are no finite numbers; look at the training curve of the encoder that looks",
            scores.len()
        )));
    }
    let scores: Vec<f32> = scores.iter().map(|s| *s as f32).collect();
    match scores.first() {
        Some(first) if scores.iter().any(|s| s != first) => Ok(scores),
        first => Err(Error::request(format!(
            "all {} pairs have the same score, {}, which tells nothing; change a parameter or the encoder that looks",
            scores.len(),
            first.copied().unwrap_or_default()
        ))),
    }
}

/// Refuses a share that is none of the worst.
pub(crate) fn check_drop(drop: f64) -> Result<(), String> {
    match drop > 0.0 && drop < 1.0 {
        true => Ok(()),
        false => Err(format!("`drop` is {drop}; it must be above 0 and below 1")),
    }
}

/// The cut that lets the worst `drop` go; equal scores go or stay together, so fewer may go.
///
/// # Errors
/// If none would go.
pub(crate) fn cut_worst(scores: &[f32], drop: f64) -> Result<f32> {
    let cut = quantile(scores, 1.0 - drop);
    if scores.iter().any(|s| *s > cut) {
        return Ok(cut);
    }
    let equal = scores.iter().filter(|s| **s == cut).count();
    Err(Error::request(format!(
        "{equal} of {} pairs share the highest score, {cut}, and `drop` = {drop} is fewer; raise it",
        scores.len()
    )))
}

/// The smallest value that `share` of all values do not exceed.
pub(crate) fn quantile(values: &[f32], share: f64) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(0.0)
}

/// Parts `n` rows at random into batches of nearly equal size, at most `batch`; one batch keeps their order.
pub(crate) fn batches(n: usize, batch: usize, seed: &Seed) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..n).collect();
    let count = n.div_ceil(batch.max(1)).max(1);
    if count > 1 {
        seed.child("batches").stream().shuffle(&mut rows);
    }
    (0..count).map(|i| rows[i * n / count..(i + 1) * n / count].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_let_at_least_their_share_through() {
        let values: Vec<f32> = (0..20).rev().map(|i| i as f32).collect();
        for (share, expected) in [(0.9, 17.0), (0.95, 18.0), (1.0, 19.0), (0.01, 0.0)] {
            assert_eq!(quantile(&values, share), expected, "{share}");
        }
    }

    #[test]
    fn the_worst_go_unless_they_are_too_many() {
        assert_eq!(cut_worst(&[0.0, 3.0, 1.0, 2.0], 0.25).unwrap(), 2.0);
        assert_eq!(cut_worst(&[0.0, 3.0, 2.0, 2.0], 0.5).unwrap(), 2.0);
        let error = cut_worst(&[0.0, 1.0, 3.0, 3.0], 0.25).unwrap_err().to_string();
        assert!(error.contains("2 of 4 pairs share the highest score, 3"), "{error}");
    }

    #[test]
    fn scores_that_tell_nothing_are_one_line() {
        let error = |scores: &[f64]| telling(scores).unwrap_err().to_string();
        assert!(error(&[1.0, f64::NAN, f64::INFINITY]).contains("of 2 of 3 pairs are no finite"));
        assert!(error(&[0.5; 4]).contains("all 4 pairs have the same score, 0.5"));
        assert!(error(&[]).contains("all 0 pairs"));
        assert_eq!(telling(&[0.5, 1.0]).unwrap(), [0.5, 1.0]);
    }

    #[test]
    fn batches_hold_every_row_once() {
        assert_eq!(batches(5, 8, &Seed::new(0)), [[0, 1, 2, 3, 4]]);
        let parts = batches(10, 4, &Seed::new(0));
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 4]);
        let mut all = parts.concat();
        assert_ne!(all, (0..10).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_ne!(parts, batches(10, 4, &Seed::new(1)));
    }
}
