//! Anti-backdoor learning (Li et al. 2021) for pairs: what is learnt fastest is suspicious, is set apart, and is unlearnt.
//!
//! 1. The victim trains on all offered pairs for `early` epochs with its loss flooded at `flood`.
//! 2. The `isolate` share of pairs with the lowest loss is set apart.
//! 3. Training goes on by the victim's own recipe on the others.
//! 4. Gradient ascent on those set apart, `unlearn-epochs` passes at `unlearn-lr`.
//!
//! ABL is published for classifiers (CIFAR: 20, 60 and 20 epochs, γ = 0.5, 1 %, lr 5e-4); for pairs the classification loss
//! becomes the contrastive loss of a pair, ½·[CE of its row + CE of its column] among a batch of 128. It depends on the other
//! pairs of the batch and is averaged over ten ways to part the set. Pairs are looked at without augmentation, after the
//! early epochs; the published code takes it in their last epoch. Pairs set apart are one batch, up to 128.
//!
//! Its premise is a victim that starts from nothing. One that is fine-tuned from a clean model learns poisoned pairs last, and
//! the lowest losses are clean ones (`benchmarks/sweeps/abl.toml`).

use serde::{Deserialize, Serialize};

use super::{Defense, Filter, InParts, Part, Reference, Side, Sight, Start, Which};
use crate::data::Dataset;
use crate::filtering::{cut_worst, telling};
use crate::objectives::{Flood, Objective};
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Abl {
    early: usize,
    flood: f32,
    isolate: f64,
    unlearn_epochs: usize,
    unlearn_lr: f64,
}

impl Default for Abl {
    fn default() -> Self {
        Self { early: 5, flood: 0.5, isolate: 0.01, unlearn_epochs: 5, unlearn_lr: 5e-4 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "abl",
        title: "Anti-backdoor learning",
        year: 2021,
        paper: "Li et al., arXiv:2110.11571",
        summary: "sets the pairs that are learnt fastest apart, trains on the others, and unlearns those",
        threat_model: "the defender trains the model on the offered pairs, and knows nothing of the attack",
    },
    params: &[&[
        Param { key: "early", unit: "passes", help: "passes before pairs are set apart" },
        Param { key: "flood", unit: "", help: "the loss that they are not driven below" },
        Param {
            key: "isolate",
            unit: "share of offered pairs",
            help: "pairs of the lowest loss, which are set apart",
        },
        Param {
            key: "unlearn-epochs",
            unit: "passes",
            help: "passes of gradient ascent over them, at the end",
        },
        Param { key: "unlearn-lr", unit: "", help: "peak learning rate of the ascent" },
    ]],
    parse: |v| {
        let parsed: Abl = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::InParts(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Abl>(v)?),
};

impl Abl {
    fn check(&self) -> Result<(), String> {
        if self.early == 0 {
            return Err("`early` is 0; nothing is learnt faster than anything else then".into());
        }
        if !(self.isolate > 0.0 && self.isolate < 1.0) {
            return Err(format!("`isolate` is {}; it must be above 0 and below 1", self.isolate));
        }
        if !(self.flood >= 0.0 && self.flood.is_finite()) {
            return Err(format!("`flood` is {}; it must be at least 0", self.flood));
        }
        self.unlearning().checked().map(drop).map_err(|e| format!("unlearning: {e}"))
    }

    fn unlearning(&self) -> TrainConfig {
        let (epochs, lr) = (Some(self.unlearn_epochs), self.unlearn_lr);
        TrainConfig { epochs, lr, augment: false, ..TrainConfig::default() }
    }
}

impl InParts for Abl {
    fn plan(&self, offered: &dyn Dataset, victim: &TrainConfig) -> Result<Vec<Part>> {
        let all = offered.examples().len();
        // As many as the cut leaves above itself.
        let apart = all - ((1.0 - self.isolate) * all as f64).ceil() as usize;
        if apart < 2 {
            return Err(Error::request(format!(
                "abl: `isolate` {} of {all} pairs is {apart}; unlearning contrasts at least 2",
                self.isolate
            )));
        }
        let early = TrainConfig { epochs: Some(self.early), steps: None, ..victim.clone() };
        let flooded = Objective::Flood(Flood { level: Some(self.flood) });
        let look = Box::new(Lowest { isolate: self.isolate });
        Ok(vec![
            Part { start: Start::Before, pairs: Which::All, recipe: early, objective: flooded },
            Part {
                start: Start::Before,
                pairs: Which::Look(look, Side::Kept),
                recipe: victim.clone(),
                objective: Objective::Contrastive,
            },
            Part {
                start: Start::Before,
                pairs: Which::Again(Side::Apart),
                recipe: self.unlearning(),
                objective: Objective::Flood(Flood { level: None }),
            },
        ])
    }
}

/// Pairs of the lowest loss go.
struct Lowest {
    isolate: f64,
}

impl Filter for Lowest {
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Victim)
    }

    fn draws(&self) -> bool {
        true
    }

    fn trusted(&self, _clean: &dyn Dataset, _seed: &Seed) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    /// Low losses are suspicious.
    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f32>> {
        let losses = (sight.losses)()?;
        let scores: Vec<f64> = losses.iter().map(|loss| -f64::from(*loss)).collect();
        telling(&scores).map_err(|e| Error::request(format!("abl: {e}")))
    }

    fn cut(&self, offered: &[f32], _trusted: &[f32]) -> Result<f32> {
        cut_worst(offered, self.isolate).map_err(|e| Error::request(format!("abl: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::synthetic::Synthetic;

    fn plan(isolate: f64) -> Result<Vec<Part>> {
        let Defense::InParts(abl) = *(ENTRY.parse)(json!({ "isolate": isolate })).unwrap() else {
            panic!("it acts in parts")
        };
        abl.plan(&Synthetic::train(), &TrainConfig::default())
    }

    #[test]
    fn the_pairs_of_the_lowest_loss_are_set_apart() {
        let all = Synthetic::train().examples().len();
        let too_few = || plan(0.001);
        let plan = plan(0.1).unwrap();
        let [_, Part { pairs: Which::Look(look, Side::Kept), .. }, last] = &plan[..] else {
            panic!("three parts")
        };
        assert!(matches!(last.pairs, Which::Again(Side::Apart)));
        let losses: Vec<f32> = (0..all).map(|i| i as f32).collect();
        let sight = Sight {
            distances: &|| panic!("only losses are looked at"),
            pictures: &|| panic!("only losses are looked at"),
            losses: &|| Ok(losses.clone()),
            words: &Vec::new,
            first: &|| Ok(Vec::new()),
        };
        let scores = look.scores(&sight, &Seed::new(0)).unwrap();
        let cut = look.cut(&scores, &[]).unwrap();
        let apart: Vec<usize> = (0..all).filter(|&i| scores[i] > cut).collect();
        assert_eq!(apart, (0..all / 10).collect::<Vec<_>>());
        let error = too_few().err().unwrap().to_string();
        assert!(error.contains("contrasts at least 2"), "{error}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (parameters, part) in [
            (json!({"early": 0}), "`early` is 0"),
            (json!({"isolate": 1.0}), "`isolate` is 1"),
            (json!({"flood": -1.0}), "`flood` is -1"),
            (json!({"unlearn-lr": 0.0}), "unlearning: "),
        ] {
            let error = (ENTRY.parse)(parameters).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
