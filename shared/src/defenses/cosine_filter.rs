//! The cosine filter (Yang et al. 2023): pairs whose picture and captions disagree under an independent encoder go.
//!
//! d = 1 − cos(f(I), g(T)) ∈ [0, 2] under a reference encoder that is not the victim; a pair stays if and only if d ≤ γ.
//! The paper takes ViT-B/16 for a ViT-B/32 victim and γ = 0.8, and proposes to choose γ from a small hand-checked
//! subset. Here γ is given (`threshold`), or is the `keep` quantile of d over `trusted` clean pairs, or drops the worst
//! share of what is offered (`drop`, not in the paper). A row with several captions goes or stays as a whole, by the
//! mean of its distances; the paper judges every caption by itself. γ belongs to the reference encoder: never carry it
//! over to another. A reference that saw the victim's own pictures remembers them and separates perfectly.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Defense, Filter, Reference, Sight};
use crate::data::Dataset;
use crate::filtering::{OwnEncoder, REFERENCE, check_drop, quantile};
use crate::registry::{self, Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Cut {
    threshold: Option<f64>,
    drop: Option<f64>,
    trusted: usize,
    keep: f64,
}

impl Default for Cut {
    fn default() -> Self {
        Self { threshold: None, drop: None, trusted: 100, keep: 0.8 }
    }
}

#[derive(Debug, Default)]
struct CosineFilter {
    cut: Cut,
    reference: OwnEncoder,
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
    params: &[
        &[
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
        ],
        REFERENCE,
    ],
    parse: |v| {
        let parsed = CosineFilter::read(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Filter(Box::new(parsed))))
    },
    resolve: |v| {
        let CosineFilter { cut, reference } = CosineFilter::read(v)?;
        let mut all: Map<String, Value> = serde_json::from_value(serde_json::to_value(cut)?)?;
        let reference: Map<String, Value> =
            serde_json::from_value(serde_json::to_value(reference)?)?;
        all.extend(reference);
        Ok(Value::Object(all))
    },
};

impl CosineFilter {
    fn read(given: Value) -> serde_json::Result<Self> {
        let (cut, reference) = registry::part(given, REFERENCE)?;
        Ok(Self { cut, reference: serde_json::from_value(Value::Object(reference))? })
    }

    fn check(&self) -> Result<(), String> {
        self.cut.check().and_then(|()| self.reference.check())
    }
}

impl Cut {
    fn check(&self) -> Result<(), String> {
        if self.threshold.is_some() && self.drop.is_some() {
            return Err("`threshold` and `drop` exclude each other; give one".into());
        }
        if let Some(t) = self.threshold.filter(|t| !(0.0..=2.0).contains(t)) {
            return Err(format!("`threshold` is {t}; a cosine distance lies in [0, 2]"));
        }
        self.drop.map_or(Ok(()), check_drop)?;
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            return Err(format!("`keep` is {}; it must be above 0 and at most 1", self.keep));
        }
        let least = self.least_trusted();
        if self.chooses() && self.trusted < least {
            return Err(format!(
                "`trusted` is {}; {least} pairs are the fewest that show which distance {} of them keep",
                self.trusted, self.keep
            ));
        }
        Ok(())
    }

    /// Whether the threshold comes from trusted pairs.
    fn chooses(&self) -> bool {
        self.threshold.is_none() && self.drop.is_none()
    }

    /// With fewer pairs the quantile is their maximum, whatever `keep` says.
    fn least_trusted(&self) -> usize {
        ((1.0 / (1.0 - self.keep).max(1e-3)).round() as usize).max(2)
    }
}

impl Filter for CosineFilter {
    fn reference(&self) -> Result<Reference> {
        self.reference.reference()
    }

    fn trusted(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        if !self.cut.chooses() {
            return Ok(Vec::new());
        }
        let all = clean.examples().len();
        if self.cut.trusted > all {
            return Err(Error::request(format!(
                "cosine-filter: {} trusted pairs are more than the {all} of {}; lower `trusted`",
                self.cut.trusted,
                clean.name()
            )));
        }
        let mut rows = seed.child("defense/cosine-filter").stream().sample(all, self.cut.trusted);
        rows.sort_unstable();
        Ok(rows)
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f32>> {
        (sight.distances)()
    }

    fn cut(&self, offered: &[f32], trusted: &[f32]) -> Result<f32> {
        let cut = match (self.cut.threshold, self.cut.drop) {
            (Some(threshold), _) => threshold as f32,
            (None, Some(drop)) => quantile(offered, 1.0 - drop),
            (None, None) => quantile(trusted, self.cut.keep),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_given_or_chosen() {
        let filter = |cut: Cut| CosineFilter { cut, ..CosineFilter::default() };
        let cut = |own: Cut| filter(own).cut(&[0.1, 0.2, 0.3, 0.9], &[0.2, 0.25]).unwrap();
        let given = Cut { threshold: Some(0.8), ..Cut::default() };
        let worst = Cut { drop: Some(0.25), ..Cut::default() };
        assert_eq!((cut(given), cut(worst), cut(Cut::default())), (0.8, 0.3, 0.25));
        let none = filter(Cut { threshold: Some(0.05), ..Cut::default() });
        let error = none.cut(&[0.1, 0.2], &[]).unwrap_err().to_string();
        assert!(error.contains("removes all 2 pairs, the nearest of which is at 0.100"), "{error}");
    }
}
