//! InverTune (Sun et al. 2025): find the class that a backdoor leads to, invert a trigger for it, and tune the activations that
//! this trigger moves, on nothing but clean pictures.
//!
//! The three steps are in [`crate::activation_tuning`]. Published, for ResNet-50 at 224 pixels: 200 steps of AdamW (2e-6, weight
//! decay 1e-4, gradient norm 1) on one batch of 64, embeddings weighted 0.5, the three layers of four that move most, Adam at
//! 0.01 on normalised pixels for the inversion (0.0027 on values in [0, 1]). Differences: the universal patch is searched for
//! on the model; batch normalisation stays as in evaluation (published, its statistics move with the batch); the learning rate falls once
//! (published, its cosine of 100 steps rises again in the second hundred); classes have one prompt. The defaults are those of
//! the small encoders, found on validation pictures (`benchmarks/sweeps/invertune.toml`).

use serde::{Deserialize, Serialize};

use super::{Defense, Holdings, Repair, RepairPlan};
use crate::activation_tuning::{ActivationTuning, Course};
use crate::data::{Dataset, PROMPT};
use crate::objectives::Objective;
use crate::recipe::{Freeze, TrainConfig};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Invertune {
    data: Holdings,
    share: f64,
    prompt: String,
    patch_steps: usize,
    patch_lr: f64,
    inversion_steps: usize,
    inversion_lr: f64,
    layers: usize,
    weight: f64,
    steps: usize,
    batch: usize,
    lr: f64,
    wd: f64,
}

impl Default for Invertune {
    fn default() -> Self {
        Self {
            data: Holdings::default(),
            share: 0.1,
            prompt: PROMPT.into(),
            patch_steps: 100,
            patch_lr: 0.1,
            inversion_steps: 200,
            inversion_lr: 0.05,
            layers: 3,
            weight: 0.5,
            steps: 200,
            batch: 64,
            lr: 1e-5,
            wd: 1e-4,
        }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "invertune",
        title: "InverTune",
        year: 2025,
        paper: "Sun et al., arXiv:2506.12411",
        summary: "finds the class that a universal patch leads to, inverts a trigger for it, and tunes the activations that it moves",
        threat_model: "the defender holds the weights, the names of the classes and some clean pictures without labels, and knows nothing of the attack",
    },
    params: &[&[
        Param {
            key: "data",
            unit: "",
            help: "data sets whose pictures it has, joined by +; the victim's own clean pictures if left out",
        },
        Param { key: "share", unit: "share of clean rows", help: "how many of them" },
        Param { key: "prompt", unit: "", help: "prompt of a class, with {} for its name" },
        Param { key: "patch-steps", unit: "steps", help: "search for the universal patch" },
        Param { key: "patch-lr", unit: "", help: "Adam's learning rate in it" },
        Param { key: "inversion-steps", unit: "steps", help: "search for the trigger" },
        Param {
            key: "inversion-lr",
            unit: "",
            help: "Adam's learning rate in it, for values in [0, 1]",
        },
        Param { key: "layers", unit: "layers", help: "how many are tuned: those that move most" },
        Param { key: "weight", unit: "", help: "of the distance of clean embeddings from before" },
        Param { key: "steps", unit: "steps", help: "steps of the tuning, all on one batch" },
        Param { key: "batch", unit: "pictures", help: "pictures of that batch" },
        Param { key: "lr", unit: "", help: "peak learning rate of the tuning" },
        Param { key: "wd", unit: "", help: "decoupled weight decay, on matrices only" },
    ]],
    parse: |v| {
        let parsed: Invertune = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Repair(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Invertune>(v)?),
};

impl Invertune {
    fn check(&self) -> Result<(), String> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(format!("`share` is {}; it must be above 0 and at most 1", self.share));
        }
        if !self.prompt.contains("{}") {
            return Err(format!("`prompt` is {:?}; it names a class by {{}}", self.prompt));
        }
        if [self.patch_steps, self.inversion_steps, self.layers, self.steps].contains(&0) {
            return Err(
                "`patch-steps`, `inversion-steps`, `layers` and `steps` must be at least 1".into(),
            );
        }
        for (key, lr) in [("patch-lr", self.patch_lr), ("inversion-lr", self.inversion_lr)] {
            if !(lr > 0.0 && lr.is_finite()) {
                return Err(format!("`{key}` is {lr}; it must be above 0"));
            }
        }
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return Err(format!("`weight` is {}; it must be at least 0", self.weight));
        }
        self.recipe().map(drop)
    }

    /// No warm-up, no augmentation; the text tower is not looked at.
    fn recipe(&self) -> Result<TrainConfig, String> {
        let Self { batch, lr, wd, .. } = *self;
        let (steps, betas, eps) = (Some(self.steps), [0.9, 0.999], 1e-8);
        let (warmup, augment, concept_unique, freeze) = (0.0, false, false, Freeze::Text);
        TrainConfig {
            steps,
            batch,
            lr,
            wd,
            betas,
            eps,
            warmup,
            augment,
            concept_unique,
            freeze,
            ..TrainConfig::default()
        }
        .checked()
    }
}

impl Repair for Invertune {
    fn data(&self) -> Vec<String> {
        self.data.names()
    }

    fn plan(&self, trusted: &dyn Dataset, seed: &Seed) -> Result<RepairPlan> {
        let recipe = self.recipe().map_err(Error::Request)?;
        let all = trusted.examples().len();
        let wanted = (self.share * all as f64).round() as usize;
        if wanted < recipe.batch {
            let (share, batch) = (self.share, recipe.batch);
            return Err(Error::request(format!(
                "invertune: share {share} of {all} clean pictures is {wanted}, less than one batch of {batch}"
            )));
        }
        let mut rows = seed.child("defense/invertune").stream().sample(all, wanted);
        rows.sort_unstable();
        let course = |steps, lr| Course { steps, lr };
        let activations = ActivationTuning {
            template: self.prompt.clone(),
            patch: course(self.patch_steps, self.patch_lr),
            inversion: course(self.inversion_steps, self.inversion_lr),
            layers: self.layers,
            weight: self.weight,
        };
        let objective = Objective::Contrastive;
        let (prune, prompting, activations) = (None, None, Some(activations));
        Ok(RepairPlan { recipe, objective, rows, prune, prompting, activations })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::synthetic::Synthetic;

    #[test]
    fn a_share_of_the_pictures_is_held() {
        let data = Synthetic::without_empty();
        let plan = |parameters: serde_json::Value, seed| {
            let Defense::Repair(repair) = *(ENTRY.parse)(parameters).unwrap() else { panic!() };
            repair.plan(&data, &Seed::new(seed))
        };
        let some = plan(json!({"share": 0.5, "batch": 4}), 0).unwrap();
        assert_eq!(some.rows.len(), (data.examples().len() as f64 / 2.0).round() as usize);
        assert!(some.rows != plan(json!({"share": 0.5, "batch": 4}), 1).unwrap().rows);
        let said = serde_json::to_value(&some).unwrap();
        assert_eq!(said["activations"]["patch"], json!({"steps": 100, "lr": 0.1}));
        assert_eq!(serde_json::from_value::<RepairPlan>(said).unwrap(), some);
        let error = plan(json!({}), 0).unwrap_err().to_string();
        assert!(error.contains("less than one batch of 64"), "{error}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (parameters, part) in [
            (json!({"share": 0.0}), "`share` is 0"),
            (json!({"prompt": "a photo"}), "names a class by {}"),
            (json!({"layers": 0}), "must be at least 1"),
            (json!({"inversion-lr": -1.0}), "`inversion-lr` is -1"),
            (json!({"weight": -1.0}), "`weight` is -1"),
            (json!({"lr": 0.0}), "`lr` is 0"),
        ] {
            let error = (ENTRY.parse)(parameters).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
