//! SafeCLIP (Yang, Gao, Mirzasoleiman 2023): each modality learns by itself first, and pictures meet captions only in pairs
//! that agree.
//!
//! 1. `warm` epochs of the one-modality loss ([`Unimodal`]) over all offered pairs.
//! 2. One epoch of L_CLIP over all of them at `slow` times the learning rate.
//! 3. Before every later epoch the cosines of all pairs are parted by a mixture of two normal distributions. At first the
//!    pairs are safe whose probability to be of the larger kind is at least `safe`, a share r of all, but no less than `least`
//!    and no more than `most`; later the r + k·`growth` most probable ones, at most `most`. The others have an epoch of the
//!    one-modality loss, the safe ones an epoch of [`crate::objectives::crossed`].
//!
//! Epochs, batch and learning rate are the victim's: its `epochs` are those of warm-up and all that follows, which is one late
//! epoch at least (published: 5, 1 and 26 from scratch, batch 128, lr 5e-4 and 5e-6, a bank of 256). Each part begins with a
//! fresh optimiser; the learning rate falls by a cosine from one late epoch to the next. Second views are those of
//! `cleanclip`. `least`, and `most` at first, are not published (an option of the size of `least` acts where their code resumes
//! a run): without them a model that has learnt nothing leaves no safe pair, and one that has learnt all no other.

use serde::{Deserialize, Serialize};

use super::{Defense, Filter, InParts, Part, Reference, Side, Sight, Start, Which};
use crate::Result;
use crate::data::Dataset;
use crate::filtering::quantile;
use crate::mixture;
use crate::objectives::{Objective, Unimodal};
use crate::recipe::{Schedule, TrainConfig};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Safeclip {
    warm: usize,
    slow: f64,
    safe: f64,
    least: f64,
    growth: f64,
    most: f64,
    bank: usize,
}

impl Default for Safeclip {
    fn default() -> Self {
        Self { warm: 5, slow: 0.01, safe: 0.9, least: 0.15, growth: 0.01, most: 0.85, bank: 256 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "safeclip",
        title: "SafeCLIP",
        year: 2023,
        paper: "Yang et al., arXiv:2310.05862",
        summary: "trains each modality by itself, and pictures with captions only in a growing set of pairs that agree",
        threat_model: "the defender trains the model on the offered pairs, and knows nothing of the attack",
    },
    params: &[&[
        Param { key: "warm", unit: "passes", help: "passes of the one-modality loss at first" },
        Param {
            key: "slow",
            unit: "share of the learning rate",
            help: "learning rate of the one pass over all pairs after it",
        },
        Param {
            key: "safe",
            unit: "probability",
            help: "pairs that are safe at first: at least so probably of the kind that agrees",
        },
        Param {
            key: "least",
            unit: "share of offered pairs",
            help: "how many are safe at least, as where training has taught nothing yet",
        },
        Param {
            key: "growth",
            unit: "share of offered pairs",
            help: "how many more are safe after every pass",
        },
        Param { key: "most", unit: "share of offered pairs", help: "how many are safe at most" },
        Param {
            key: "bank",
            unit: "pairs",
            help: "earlier pairs that nearest ones are found among",
        },
    ]],
    parse: |v| {
        let parsed: Safeclip = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::InParts(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Safeclip>(v)?),
};

impl Safeclip {
    fn check(&self) -> Result<(), String> {
        if self.warm == 0 || self.bank == 0 {
            return Err("`warm` and `bank` must be at least 1".into());
        }
        let shares =
            [("slow", self.slow), ("safe", self.safe), ("least", self.least), ("most", self.most)];
        if let Some((key, share)) = shares.iter().find(|(_, s)| !(*s > 0.0 && *s <= 1.0)) {
            return Err(format!("`{key}` is {share}; it must be above 0 and at most 1"));
        }
        match self.growth >= 0.0 && self.growth < 1.0 {
            true => Ok(()),
            false => Err(format!("`growth` is {}; it must be at least 0 and below 1", self.growth)),
        }
    }

    fn look(&self, late: usize) -> Look {
        let Self { safe, least, growth, most, .. } = *self;
        Look { safe: safe as f32, least, more: (late > 0).then_some(late as f64 * growth), most }
    }
}

impl InParts for Safeclip {
    fn plan(&self, _offered: &dyn Dataset, victim: &TrainConfig) -> Result<Vec<Part>> {
        let one = |lr: f64| TrainConfig {
            epochs: Some(1),
            steps: None,
            lr,
            warmup: 0.0,
            schedule: Schedule::Constant,
            ..victim.clone()
        };
        let unimodal = Objective::Unimodal(Unimodal { size: self.bank });
        let warm = TrainConfig { epochs: Some(self.warm), steps: None, ..victim.clone() };
        let mut parts = vec![
            Part { start: Start::Before, pairs: Which::All, recipe: warm, objective: unimodal },
            Part {
                start: Start::Before,
                pairs: Which::All,
                recipe: one(self.slow * victim.lr),
                objective: Objective::Contrastive,
            },
        ];
        let late = victim.epochs.unwrap_or(0).saturating_sub(self.warm + 1).max(1);
        for epoch in 0..late {
            let turn = std::f64::consts::PI * epoch as f64 / late as f64;
            let recipe = one(victim.lr * 0.5 * (1.0 + turn.cos()));
            let look = Box::new(self.look(epoch));
            parts.push(Part {
                start: Start::Before,
                pairs: Which::Look(look, Side::Apart),
                recipe: recipe.clone(),
                objective: unimodal,
            });
            let pairs = Which::Again(Side::Kept);
            parts.push(Part { start: Start::Before, pairs, recipe, objective: Objective::Crossed });
        }
        Ok(parts)
    }
}

/// One parting of the pairs; scores are the logarithms of the odds to be of the kind that disagrees.
struct Look {
    safe: f32,
    least: f64,
    /// How many more than at first; `None` at first.
    more: Option<f64>,
    most: f64,
}

impl Filter for Look {
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Victim)
    }

    fn trusted(&self, _clean: &dyn Dataset, _seed: &Seed) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f32>> {
        let cosines: Vec<f32> = (sight.distances)()?.iter().map(|d| 1.0 - d).collect();
        Ok(mixture::log_odds(&cosines).into_iter().map(|odds| -odds as f32).collect())
    }

    /// In place of trusted pairs come the scores of the first look.
    fn cut(&self, offered: &[f32], first: &[f32]) -> Result<f32> {
        let threshold = ((1.0 - self.safe) / self.safe).ln();
        let Some(more) = self.more else {
            let [least, most] = [self.least, self.most].map(|share| quantile(offered, share));
            return Ok(threshold.max(least).min(most));
        };
        let safe = first.iter().filter(|score| **score <= threshold).count();
        let at_first = (safe as f64 / first.len().max(1) as f64).max(self.least);
        let share = (at_first + more).min(self.most);
        // What rounding has added to a whole number of pairs is no pair.
        Ok(quantile(offered, share - 1e-9))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::synthetic::Synthetic;

    fn plan(parameters: serde_json::Value, epochs: usize) -> Result<Vec<Part>> {
        let Defense::InParts(safeclip) = *(ENTRY.parse)(parameters).unwrap() else { panic!() };
        let victim = TrainConfig { epochs: Some(epochs), ..TrainConfig::default() };
        safeclip.plan(&Synthetic::train(), &victim)
    }

    #[test]
    fn the_parts_take_the_victims_epochs() {
        let parts = plan(json!({ "warm": 3 }), 8).unwrap();
        assert_eq!(parts.len(), 2 + 2 * 4);
        let whole = |part: &&Part| !matches!(part.pairs, Which::Look(_, Side::Apart));
        let epochs: usize = parts.iter().filter(whole).filter_map(|part| part.recipe.epochs).sum();
        assert_eq!(epochs, 8, "those set apart have theirs beside the safe ones");
        assert!(parts.windows(2).skip(2).all(|w| w[1].recipe.lr <= w[0].recipe.lr));
        assert_eq!(plan(json!({}), 3).unwrap().len(), 4, "one late epoch at least");
    }

    #[test]
    fn the_safe_set_grows_from_what_was_safe_at_first() {
        // Odds of one to nine are a score of −2.2: two of five pairs are safe at first.
        let first = [-9.0, -3.0, 0.0, 2.0, 4.0];
        let offered = [3.0, -5.0, -1.0, -4.0, 0.5];
        let look = |least, more, most| Look { safe: 0.9, least, more, most };
        let cut = |more, most| look(0.15, more, most).cut(&offered, &first).unwrap();
        assert!((cut(None, 0.85) + 2.197).abs() < 1e-3);
        let least = |more| look(0.6, more, 0.85).cut(&offered, &first).unwrap();
        assert_eq!((least(None), least(Some(0.2))), (-1.0, 0.5), "no less than three of five");
        let sure = Look { safe: 0.05, least: 0.15, more: None, most: 0.6 };
        assert_eq!(sure.cut(&offered, &first).unwrap(), -1.0, "no more than three of five");
        assert_eq!(cut(Some(0.0), 0.85), -4.0, "two of five, as at first");
        assert_eq!(cut(Some(0.2), 0.85), -1.0);
        assert_eq!(cut(Some(0.9), 0.85), 3.0, "at most 85 %, which is rounded up");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (parameters, part) in [
            (json!({"warm": 0}), "`warm`"),
            (json!({"safe": 1.5}), "`safe` is 1.5"),
            (json!({"growth": -0.1}), "`growth` is -0.1"),
        ] {
            let error = (ENTRY.parse)(parameters).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
