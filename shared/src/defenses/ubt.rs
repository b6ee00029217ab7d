//! Unlearning backdoor threats, UBT (Liang et al. 2024; Liu et al. 2024): the shortcut is strengthened until it gives poisoned
//! pairs away, and a few of them are unlearnt, by the words that they hang on.
//!
//! 1. The `suspicious` share of the pairs that agree least by the finished model is trained on once more, alone: its image tower
//!    moves each picture towards its own caption, which is easiest where many pairs share the way ([`Agree`]).
//! 2. Of these pairs, the `few` whose similarity has grown most by the overfitted model are taken for poisoned.
//! 3. The finished model, not the overfitted one, unlearns them: its image tower moves each picture away from the `words` words
//!    of its caption without which the two agree least.
//! 4. The pairs that agree by what came out, all but the `suspicious` share, are trained on for `keep-epochs`: those that were
//!    unlearnt, and those like them, are no longer among them.
//!
//! The papers say that weakly similar pairs are overfitted to find a few poisoned ones, and that tokens are unlearnt; their
//! constants, losses and what keeps the rest of the model were not to be found. Ours are all defaults
//! (`benchmarks/sweeps/ubt.toml`), both losses, growth as the score, words where they say tokens, the frozen text tower, and
//! the fourth step. The contrastive loss in the first finds less: poisoned pairs share a caption and are each other's wrong
//! answers. An attack on weights leaves no poisoned pairs to find, so that clean ones are unlearnt.

use serde::{Deserialize, Serialize};

use super::{Defense, Filter, InParts, Part, Reference, Side, Sight, Start, Which};
use crate::data::Dataset;
use crate::filtering::{cut_worst, telling};
use crate::objectives::{Agree, Objective};
use crate::recipe::{Freeze, TrainConfig};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Ubt {
    suspicious: f64,
    overfit_epochs: usize,
    overfit_lr: f64,
    few: f64,
    words: usize,
    unlearn_epochs: usize,
    unlearn_lr: f64,
    keep_epochs: usize,
    keep_lr: f64,
}

impl Default for Ubt {
    fn default() -> Self {
        Self {
            suspicious: 0.2,
            overfit_epochs: 10,
            overfit_lr: 3e-3,
            few: 0.02,
            words: 1,
            unlearn_epochs: 10,
            unlearn_lr: 1e-3,
            keep_epochs: 5,
            keep_lr: 1e-3,
        }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "ubt",
        title: "Unlearning backdoor threats",
        year: 2024,
        paper: "Liang et al., arXiv:2403.16257; Liu et al., arXiv:2409.19526",
        summary: "overfits pairs that disagree, takes those that learn to agree fastest for poisoned, and unlearns the words they hang on",
        threat_model: "the defender holds the weights and the pairs that they were trained on, none of them known to be clean, and knows nothing of the attack",
    },
    params: &[&[
        Param {
            key: "suspicious",
            unit: "share of offered pairs",
            help: "pairs that agree least, which are overfitted",
        },
        Param { key: "overfit-epochs", unit: "passes", help: "passes over them" },
        Param { key: "overfit-lr", unit: "", help: "peak learning rate of these" },
        Param {
            key: "few",
            unit: "share of offered pairs",
            help: "those of them that agree more by most, which are unlearnt",
        },
        Param {
            key: "words",
            unit: "words",
            help: "words of a caption that are unlearnt, those that its similarity hangs on",
        },
        Param { key: "unlearn-epochs", unit: "passes", help: "passes of unlearning" },
        Param { key: "unlearn-lr", unit: "", help: "peak learning rate of unlearning" },
        Param {
            key: "keep-epochs",
            unit: "passes",
            help: "passes over the pairs that still agree, at the end; 0 for none",
        },
        Param { key: "keep-lr", unit: "", help: "peak learning rate of these" },
    ]],
    parse: |v| {
        let parsed: Ubt = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Unlearning(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Ubt>(v)?),
};

impl Ubt {
    fn check(&self) -> Result<(), String> {
        let Self { suspicious, few, words, .. } = *self;
        if !(suspicious > 0.0 && suspicious < 1.0) {
            return Err(format!("`suspicious` is {suspicious}; it must be above 0 and below 1"));
        }
        if !(few > 0.0 && few < suspicious) {
            return Err(format!(
                "`few` is {few}; it must be above 0 and below `suspicious`, {suspicious}"
            ));
        }
        if words == 0 {
            return Err("`words` is 0; something must be unlearnt".into());
        }
        let all = [
            ("overfitting", self.overfit()),
            ("unlearning", self.unlearn()),
            ("keeping", TrainConfig { epochs: Some(self.keep_epochs.max(1)), ..self.keep() }),
        ];
        all.into_iter().try_for_each(|(what, recipe)| {
            recipe.checked().map(drop).map_err(|e| format!("{what}: {e}"))
        })
    }

    fn overfit(&self) -> TrainConfig {
        let (epochs, lr, freeze) = (Some(self.overfit_epochs), self.overfit_lr, Freeze::Text);
        TrainConfig { freeze, epochs, lr, augment: false, ..TrainConfig::default() }
    }

    fn unlearn(&self) -> TrainConfig {
        let (epochs, lr, freeze) = (Some(self.unlearn_epochs), self.unlearn_lr, Freeze::Text);
        TrainConfig { epochs, lr, freeze, augment: false, ..TrainConfig::default() }
    }

    fn keep(&self) -> TrainConfig {
        let (epochs, lr) = (Some(self.keep_epochs), self.keep_lr);
        TrainConfig { epochs, lr, ..TrainConfig::default() }
    }
}

impl InParts for Ubt {
    fn plan(&self, offered: &dyn Dataset, _victim: &TrainConfig) -> Result<Vec<Part>> {
        let all = offered.examples().len();
        let few = all - ((1.0 - self.few) * all as f64).ceil() as usize;
        if few < 2 {
            return Err(Error::request(format!(
                "ubt: `few` {} of {all} pairs is {few}; a batch has at least 2",
                self.few
            )));
        }
        let weak = || Box::new(Weak { suspicious: self.suspicious });
        let strong = Box::new(Strengthened { suspicious: self.suspicious, few: self.few });
        let mut parts = vec![
            Part {
                start: Start::Before,
                pairs: Which::Look(weak(), Side::Apart),
                recipe: self.overfit(),
                objective: Objective::Agree(Agree { more: true }),
            },
            Part {
                start: Start::First,
                pairs: Which::Words(strong, self.words),
                recipe: self.unlearn(),
                objective: Objective::Agree(Agree { more: false }),
            },
        ];
        if self.keep_epochs > 0 {
            parts.push(Part {
                start: Start::Before,
                pairs: Which::Look(weak(), Side::Kept),
                recipe: self.keep(),
                objective: Objective::Contrastive,
            });
        }
        Ok(parts)
    }
}

/// Pairs that agree least go.
struct Weak {
    suspicious: f64,
}

impl Filter for Weak {
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Victim)
    }

    fn trusted(&self, _clean: &dyn Dataset, _seed: &Seed) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f32>> {
        said(telling(&wide(&(sight.distances)()?)))
    }

    fn cut(&self, offered: &[f32], _first: &[f32]) -> Result<f32> {
        said(cut_worst(offered, self.suspicious))
    }
}

/// Of the pairs that agreed least at first, those go that agree more by most.
struct Strengthened {
    suspicious: f64,
    few: f64,
}

/// What is taken from the score of a pair that was not suspicious at first: more than distances, at most 2, can differ by.
const BEYOND: f64 = 8.0;

impl Filter for Strengthened {
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Victim)
    }

    fn trusted(&self, _clean: &dyn Dataset, _seed: &Seed) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f32>> {
        let (now, first) = ((sight.distances)()?, (sight.first)()?);
        let cut = said(cut_worst(&first, self.suspicious))?;
        let one = |(now, first): (&f32, &f32)| {
            let grown = f64::from(*first - *now);
            grown - if *first > cut { 0.0 } else { BEYOND }
        };
        said(telling(&now.iter().zip(&first).map(one).collect::<Vec<_>>()))
    }

    fn cut(&self, offered: &[f32], _first: &[f32]) -> Result<f32> {
        said(cut_worst(offered, self.few))
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

fn said<T>(result: Result<T>) -> Result<T> {
    result.map_err(|e| Error::request(format!("ubt: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::synthetic::Synthetic;

    fn plan(parameters: serde_json::Value) -> Result<Vec<Part>> {
        let Defense::Unlearning(ubt) = *(ENTRY.parse)(parameters).unwrap() else { panic!() };
        ubt.plan(&Synthetic::train(), &TrainConfig::default())
    }

    fn apart(filter: &dyn Filter, now: &[f32], first: &[f32]) -> Vec<usize> {
        let sight = Sight {
            distances: &|| Ok(now.to_vec()),
            pictures: &|| panic!("only distances are looked at"),
            losses: &|| panic!("only distances are looked at"),
            words: &Vec::new,
            first: &|| Ok(first.to_vec()),
        };
        let scores = filter.scores(&sight, &Seed::new(0)).unwrap();
        let cut = filter.cut(&scores, first).unwrap();
        (0..now.len()).filter(|&row| scores[row] > cut).collect()
    }

    #[test]
    fn few_of_the_pairs_that_disagreed_are_unlearnt() {
        let parts = plan(json!({"suspicious": 0.5, "few": 0.2})).unwrap();
        let [
            Part { pairs: Which::Look(weak, Side::Apart), .. },
            Part { start: Start::First, pairs: Which::Words(strong, 1), recipe, .. },
            Part { start: Start::Before, pairs: Which::Look(_, Side::Kept), .. },
        ] = &parts[..]
        else {
            panic!("three parts")
        };
        assert!(recipe.freeze == Freeze::Text && !recipe.augment);
        let first = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.1, 0.6, 0.2, 0.95];
        assert_eq!(apart(&**weak, &first, &[]), [1, 3, 5, 7, 9]);
        // Row 4 grows most of all, but never disagreed; row 7 agrees more than row 1, which has grown more.
        let now = [0.1, 0.2, 0.2, 0.2, -0.7, 0.7, 0.1, 0.15, 0.2, 0.9];
        assert_eq!(apart(&**strong, &now, &first), [1, 3]);
        assert_eq!(plan(json!({"few": 0.05, "keep-epochs": 0})).unwrap().len(), 2);
        let error = plan(json!({"few": 0.01})).err().unwrap().to_string();
        assert!(error.contains("of 45 pairs is 0"), "{error}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (parameters, part) in [
            (json!({"suspicious": 1.0}), "`suspicious` is 1"),
            (json!({"few": 0.3}), "below `suspicious`, 0.2"),
            (json!({"words": 0}), "`words` is 0"),
            (json!({"overfit-epochs": 0}), "overfitting: `epochs` is 0"),
            (json!({"unlearn-lr": 0.0}), "unlearning: `lr` is 0"),
            (json!({"keep-lr": -1.0}), "keeping: `lr` is -1"),
        ] {
            let error = (ENTRY.parse)(parameters).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
