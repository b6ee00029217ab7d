//! The cosine filter (Yang et al. 2023): pairs whose picture and captions disagree under an independent encoder go.
//!
//! d = 1 − cos(f(I), g(T)) ∈ [0, 2] under a reference encoder that is not the victim; a pair stays if and only if d ≤ γ.
//! The paper takes ViT-B/16 for a ViT-B/32 victim and γ = 0.8, and proposes to choose γ from a small hand-checked
//! subset. Here γ is given (`threshold`), or is the `keep` quantile of d over `trusted` clean pairs, or drops the worst
//! share of what is offered (`drop`, not in the paper). A row with several captions goes or stays as a whole, by the
//! mean of its distances; the paper judges every caption by itself. γ belongs to the reference encoder: never carry it
//! over to another. A reference that saw the victim's own pictures remembers them and separates perfectly.

use serde::{Deserialize, Serialize};

use super::{Defense, Filter, Holdings, Reference};
use crate::data::Dataset;
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct CosineFilter {
    threshold: Option<f64>,
    drop: Option<f64>,
    trusted: usize,
    keep: f64,
    reference_data: Holdings,
    reference_encoder: Option<String>,
    reference_checkpoint: Option<String>,
    reference_epochs: usize,
    reference_batch: usize,
    reference_lr: f64,
    reference_seed: u64,
}

impl Default for CosineFilter {
    fn default() -> Self {
        Self {
            threshold: None,
            drop: None,
            trusted: 100,
            keep: 0.8,
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

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "cosine-filter",
        title: "Cosine-distance filter",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "drops training pairs whose picture and captions an independent encoder finds far apart",
        threat_model: "the defender holds other clean pairs to train an encoder on, a few checked pairs, and the offered data",
    },
    params: &[&[
        Param {
            key: "threshold",
            unit: "cosine distance",
            help: "pairs above it go; left out, it is chosen from the trusted pairs",
        },
        Param {
            key: "drop",
            unit: "share of offered pairs",
            help: "the worst pairs that go, instead of a threshold",
        },
        Param {
            key: "trusted",
            unit: "pairs",
            help: "hand-checked clean pairs that the threshold is chosen from",
        },
        Param {
            key: "keep",
            unit: "share of trusted pairs",
            help: "how many of them the chosen threshold must let through",
        },
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
    ]],
    parse: |v| {
        let parsed: CosineFilter = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Filter(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<CosineFilter>(v)?),
};

impl CosineFilter {
    fn check(&self) -> Result<(), String> {
        if self.threshold.is_some() && self.drop.is_some() {
            return Err("`threshold` and `drop` exclude each other; give one".into());
        }
        if let Some(t) = self.threshold.filter(|t| !(0.0..=2.0).contains(t)) {
            return Err(format!("`threshold` is {t}; a cosine distance lies in [0, 2]"));
        }
        if let Some(drop) = self.drop.filter(|d| !(*d > 0.0 && *d < 1.0)) {
            return Err(format!("`drop` is {drop}; it must be above 0 and below 1"));
        }
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            return Err(format!("`keep` is {}; it must be above 0 and at most 1", self.keep));
        }
        if self.reference_checkpoint.is_none() && self.reference_data.names().is_empty() {
            return Err("`reference-data` is empty; name a data set or a checkpoint".into());
        }
        let least = self.least_trusted();
        if self.chooses() && self.trusted < least {
            return Err(format!(
                "`trusted` is {}; {least} pairs are the fewest that show which distance {} of them keep",
                self.trusted, self.keep
            ));
        }
        self.recipe().map(drop)
    }

    /// Whether the threshold comes from trusted pairs.
    fn chooses(&self) -> bool {
        self.threshold.is_none() && self.drop.is_none()
    }

    /// With fewer pairs the quantile is their maximum, whatever `keep` says.
    fn least_trusted(&self) -> usize {
        ((1.0 / (1.0 - self.keep).max(1e-3)).round() as usize).max(2)
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
}

impl Filter for CosineFilter {
    fn reference(&self) -> Result<Reference> {
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

    fn trusted(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        if !self.chooses() {
            return Ok(Vec::new());
        }
        let all = clean.examples().len();
        if self.trusted > all {
            return Err(Error::request(format!(
                "cosine-filter: {} trusted pairs are more than the {all} of {}; lower `trusted`",
                self.trusted,
                clean.name()
            )));
        }
        let mut rows = seed.child("defense/cosine-filter").stream().sample(all, self.trusted);
        rows.sort_unstable();
        Ok(rows)
    }

    fn cut(&self, offered: &[f32], trusted: &[f32]) -> Result<f32> {
        let cut = match (self.threshold, self.drop) {
            (Some(threshold), _) => threshold as f32,
            (None, Some(drop)) => quantile(offered, 1.0 - drop),
            (None, None) => quantile(trusted, self.keep),
        };
        let nearest = offered.iter().copied().fold(f32::INFINITY, f32::min);
        if nearest > cut {
            return Err(Error::request(format!(
                "cosine-filter: the threshold {cut} removes all {} pairs, the nearest of which is at {nearest:.3}; raise it",
                offered.len()
            )));
        }
        Ok(cut)
    }
}

/// The smallest value that `share` of all values do not exceed.
fn quantile(values: &[f32], share: f64) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(0.0)
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
    fn the_threshold_is_given_or_chosen() {
        let cut = |filter: &CosineFilter| filter.cut(&[0.1, 0.2, 0.3, 0.9], &[0.2, 0.25]).unwrap();
        let given = CosineFilter { threshold: Some(0.8), ..CosineFilter::default() };
        let worst = CosineFilter { drop: Some(0.25), ..CosineFilter::default() };
        assert_eq!((cut(&given), cut(&worst), cut(&CosineFilter::default())), (0.8, 0.3, 0.25));
        let none = CosineFilter { threshold: Some(0.05), ..CosineFilter::default() };
        let error = none.cut(&[0.1, 0.2], &[]).unwrap_err().to_string();
        assert!(error.contains("removes all 2 pairs, the nearest of which is at 0.100"), "{error}");
    }
}
