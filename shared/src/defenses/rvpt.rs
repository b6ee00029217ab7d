//! Repulsive visual prompt tuning, RVPT (Zhang et al. 2025): the poisoned weights stay, and prompts are tuned beside them that
//! classify labelled clean pictures while their class tokens are pushed away from those of the poisoned model.
//!
//! Loss and prompts are in [`crate::prompting`]. Defaults are the paper's, for a ViT-B/32: 50 prompts in each block from the
//! fourth on, drawn around 0, w = 2, SGD at 0.002 with a cosine, batches of 32, 50 passes over 16 pictures a class, one prompt a
//! class. Not stated there are momentum, augmentation and the deviation at the start (ours: 0.9, weak, 0.02). In a transformer of
//! four blocks they change nothing: prompts in all blocks and a learning rate of 2 do (`benchmarks/sweeps/rvpt.toml`). A class
//! that has fewer pictures gives all of them.
//!
//! `ca` is measured on the very classes that prompts were tuned on, so it can exceed the zero-shot value and is not comparable
//! with that of repairs on pairs. The text tower never changes; retrieval is measured, and pays for what classes gain.
//! What comes out is a checkpoint with prompts in its image tower: every later stage and command reads it as any other. ResNets
//! have no tokens for prompts to stand beside, and are refused.

use serde::{Deserialize, Serialize};

use super::{Defense, Holdings, Repair, RepairPlan};
use crate::data::{Dataset, PROMPT};
use crate::encoders::Prompts;
use crate::objectives::Objective;
use crate::probe::of_every_class;
use crate::prompting::Prompting;
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Rvpt {
    data: Holdings,
    shots: usize,
    prompt: String,
    depth: usize,
    length: usize,
    weight: f64,
    epochs: usize,
    batch: usize,
    lr: f64,
    momentum: f64,
    augment: bool,
}

impl Default for Rvpt {
    fn default() -> Self {
        Self {
            data: Holdings::default(),
            shots: 16,
            prompt: PROMPT.into(),
            depth: 3,
            length: 50,
            weight: 2.0,
            epochs: 50,
            batch: 32,
            lr: 2e-3,
            momentum: 0.9,
            augment: true,
        }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "rvpt",
        title: "Repulsive visual prompt tuning",
        year: 2025,
        paper: "Zhang et al., arXiv:2412.20392",
        summary: "tunes prompts in an image transformer that classify and move class tokens away from the poisoned model's; its ca is not comparable with zero-shot's",
        threat_model: "the defender holds the weights of a vision transformer and a few clean pictures of every class with its name, and knows nothing of the attack",
    },
    params: &[&[
        Param {
            key: "data",
            unit: "",
            help: "data sets whose pictures it has, joined by +; the victim's own clean pictures if left out",
        },
        Param { key: "shots", unit: "pictures a class", help: "how many of them at most" },
        Param { key: "prompt", unit: "", help: "prompt of a class, with {} for its name" },
        Param { key: "depth", unit: "blocks", help: "blocks before the first that has prompts" },
        Param { key: "length", unit: "tokens", help: "prompts of a block" },
        Param {
            key: "weight",
            unit: "",
            help: "of the cosine with the class tokens of the poisoned model",
        },
        Param { key: "epochs", unit: "passes", help: "passes over the pictures" },
        Param { key: "batch", unit: "pictures", help: "pictures in a batch" },
        Param { key: "lr", unit: "", help: "peak learning rate of SGD" },
        Param { key: "momentum", unit: "", help: "momentum of SGD" },
        Param { key: "augment", unit: "", help: "weak augmentation of pictures" },
    ]],
    parse: |v| {
        let parsed: Rvpt = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Repair(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Rvpt>(v)?),
};

impl Rvpt {
    fn check(&self) -> Result<(), String> {
        if self.shots == 0 || self.length == 0 {
            return Err("`shots` and `length` must be at least 1".into());
        }
        if !self.prompt.contains("{}") {
            return Err(format!("`prompt` is {:?}; it names a class by {{}}", self.prompt));
        }
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` is {}; it must be at least 0", self.weight));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(format!("`momentum` is {}; it must be in [0, 1)", self.momentum));
        }
        self.recipe().map(drop)
    }

    /// No decay, no clipping, no warm-up; batches as they come, since one may hold two pictures of a class.
    fn recipe(&self) -> Result<TrainConfig, String> {
        let Self { epochs, batch, lr, augment, .. } = *self;
        let (epochs, concept_unique) = (Some(epochs), false);
        let (wd, warmup, grad_clip) = (0.0, 0.0, 0.0);
        TrainConfig {
            epochs,
            batch,
            lr,
            augment,
            wd,
            warmup,
            grad_clip,
            concept_unique,
            ..TrainConfig::default()
        }
        .checked()
    }
}

impl Repair for Rvpt {
    fn data(&self) -> Vec<String> {
        self.data.names()
    }

    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan> {
        let recipe = self.recipe().map_err(Error::Request)?;
        let rows = of_every_class("rvpt", trusted, seed, |all| self.shots.min(all))?;
        let prompts = Prompts { from: self.depth, length: self.length };
        let (weight, momentum) = (self.weight, self.momentum);
        let prompting = Prompting { prompts, weight, momentum, template: self.prompt.clone() };
        let (objective, prune) = (Objective::Contrastive, None);
        Ok(RepairPlan {
            recipe,
            objective,
            rows,
            prune,
            prompting: Some(prompting),
            activations: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::synthetic::Synthetic;
    use crate::encoders::library::find;

    #[test]
    fn a_few_pictures_of_every_class_are_held() {
        let few = Synthetic::without_empty();
        let plan = |parameters: serde_json::Value, seed| {
            let Defense::Repair(rvpt) = *(ENTRY.parse)(parameters).unwrap() else { panic!() };
            rvpt.plan(&few, &Seed::new(seed)).unwrap()
        };
        let classes = |plan: &RepairPlan| -> Vec<_> {
            plan.rows.iter().filter_map(|&row| few.examples()[row].class).collect()
        };
        let two = plan(json!({"shots": 2}), 0);
        assert_eq!(classes(&two), (0..18).map(|i| i / 2).collect::<Vec<_>>());
        assert!(two.rows != plan(json!({"shots": 2}), 1).rows);
        assert_eq!(plan(json!({}), 0).rows.len(), 45, "no class has 16");
        let said = serde_json::to_value(&two).unwrap();
        let expected = json!({
            "prompts": {"from": 3, "length": 50}, "weight": 2.0, "momentum": 0.9, "template": "a photo of a {}.",
        });
        assert_eq!(said["prompting"], expected);
        assert_eq!(serde_json::from_value::<RepairPlan>(said).unwrap(), two);
    }

    #[test]
    fn what_has_no_tokens_is_refused() {
        let fits = |depth: usize, encoder: &str| {
            let Defense::Repair(rvpt) = *(ENTRY.parse)(json!({ "depth": depth })).unwrap() else {
                panic!()
            };
            let plan = rvpt.plan(&Synthetic::without_empty(), &Seed::new(0)).unwrap();
            plan.prompting.unwrap().fits(&find(encoder).unwrap()).map_err(|e| e.to_string())
        };
        assert_eq!(fits(3, "vit-b-32"), Ok(()));
        assert_eq!(fits(3, "tiny-vit"), Ok(()));
        assert!(fits(3, "tiny-resnet").unwrap_err().contains("a ResNet has none"));
        assert!(fits(4, "tiny-vit").unwrap_err().contains("the last one is 3"));
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (parameters, part) in [
            (json!({"shots": 0}), "must be at least 1"),
            (json!({"prompt": "a photo"}), "names a class by {}"),
            (json!({"weight": -1.0}), "`weight` is -1"),
            (json!({"momentum": 1.0}), "`momentum` is 1"),
            (json!({"lr": 0.0}), "`lr` is 0"),
        ] {
            let error = (ENTRY.parse)(parameters).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
