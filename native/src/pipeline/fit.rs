//! Trainings as cached stages. A stage is named by how it comes about, not by what came out, so that the names of a
//! whole lineage are known before anything has run; training being deterministic, both say the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::activation_tuning::ActivationTuning;
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::ClipConfig;
use toxiclip_shared::objectives::Objective;
use toxiclip_shared::prompting::Prompting;
use toxiclip_shared::pruning::{Prune, Pruned};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::tamper::Tamper;
use toxiclip_shared::triggers::Trigger;

use super::origin::Origin;
use super::pairs::Pairs;
use super::prune::prune;
use super::stages::Stages;
use crate::failure::{Failure, Result};
use crate::model::Model;
use crate::store::{Store, read_json, write_atomic};
use crate::timer::Timer;
use crate::train;

/// Raised when the same recipe on the same data gives other weights.
pub const VERSION: u32 = 2;

/// What a finished training says about itself, in `fit.json`.
const RECORD: &str = "fit.json";

/// One training: everything that decides its weights.
#[derive(Clone)]
pub struct Fit {
    /// `pretrain`, `tamper`, `reference`, `train` or `defend`: the folder in the cache.
    pub stage: &'static str,
    /// What it starts from.
    pub start: Origin,
    /// What it trains on.
    pub data: Pairs,
    /// How.
    pub recipe: TrainConfig,
    /// Towards what.
    pub objective: Objective,
    /// Seed of its randomness.
    pub seed: u64,
    /// What its checkpoint says of itself.
    pub provenance: Provenance,
    /// What is taken out of the image tower before the first step, judged by the training's own pictures.
    pub prune: Option<Prune>,
    /// What an attacker trains for, with the trigger, instead of the contrastive loss.
    pub tamper: Option<(Tamper, Trigger)>,
    /// Prompts that are tuned, towards an objective of their own, while all weights stay.
    pub prompting: Option<Prompting>,
    /// Activations that are tuned, towards an objective of their own, in place of pairs.
    pub activations: Option<ActivationTuning>,
}

/// The result of a training, beside its checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Digest of the weights.
    pub weights: Digest,
    /// Wall seconds when it ran; after a kill, those of the last part.
    pub seconds: f64,
    /// Optimiser steps.
    pub steps: usize,
    /// Pairs that went through the trainer, every view of one counted.
    pub pairs: usize,
}

impl Fit {
    /// A training that is laid out, not begun.
    ///
    /// # Errors
    /// If the data do not fill one batch.
    pub fn new(
        stage: &'static str,
        start: Origin,
        data: Pairs,
        recipe: TrainConfig,
        seed: u64,
        provenance: Provenance,
    ) -> Result<Self> {
        let provenance = match start.provenance() {
            // Training on clean pairs does not make poisoned weights clean.
            Some(from) if from.poisoned && !provenance.poisoned => Provenance {
                poisoned: true,
                attack: from.attack.clone(),
                poison: from.poison,
                ..provenance
            },
            _ => provenance,
        };
        let fit = Self {
            stage,
            start,
            data,
            recipe,
            objective: Objective::Contrastive,
            seed,
            provenance,
            prune: None,
            tamper: None,
            prompting: None,
            activations: None,
        };
        fit.check_batch(&**fit.data.offered())?;
        Ok(fit)
    }

    /// The same towards another objective, which its checkpoint then tells.
    #[must_use]
    pub fn towards(mut self, objective: Objective) -> Self {
        self.objective = objective;
        if let (false, Some(said)) =
            (objective.is_contrastive(), self.provenance.recipe.as_object_mut())
        {
            said.insert("objective".into(), json!(objective));
        }
        self
    }

    /// The same with prompts that are tuned, which its checkpoint then tells.
    ///
    /// # Errors
    /// If the model that it starts from cannot have them.
    pub fn prompted(mut self, prompting: Option<Prompting>) -> Result<Self> {
        if let Some(how) = &prompting {
            how.fits(&self.start.config())?;
            if let Some(said) = self.provenance.recipe.as_object_mut() {
                said.insert("prompting".into(), json!(how));
            }
        }
        self.prompting = prompting;
        Ok(self)
    }

    /// The same with activations that are tuned, which its checkpoint then tells.
    #[must_use]
    pub fn reactivated(mut self, activations: Option<ActivationTuning>) -> Self {
        if let (Some(how), Some(said)) = (&activations, self.provenance.recipe.as_object_mut()) {
            said.insert("activations".into(), json!(how));
        }
        self.activations = activations;
        self
    }

    /// The definition of what comes out.
    pub(super) fn config(&self) -> ClipConfig {
        let mut config = self.start.config();
        if let Some(how) = &self.prompting {
            config.vision_cfg.prompts = Some(how.prompts);
        }
        config
    }

    fn check_batch(&self, data: &dyn Dataset) -> Result<()> {
        let rows = data.examples().len();
        if self.fitted(data).batch > rows {
            return Err(Failure::request(format!(
                "{}: a batch of {} is more than the {rows} pairs of {}; make it smaller",
                self.stage,
                self.recipe.batch,
                data.name()
            )));
        }
        Ok(())
    }

    /// The recipe; how many pairs are set apart shows only when they are, and a batch is no larger.
    fn fitted(&self, data: &dyn Dataset) -> TrainConfig {
        let recipe = self.recipe.clone();
        match &self.data {
            Pairs::Apart(_) | Pairs::Words(..) => {
                let batch = recipe.batch.min(data.examples().len()).max(2);
                TrainConfig { batch, ..recipe }
            }
            Pairs::Whole(_) | Pairs::Screened(_) => recipe,
        }
    }

    /// Names the training in the cache.
    pub fn key(&self) -> Digest {
        let mut parts = json!({
            "start": self.start.key(),
            "data": self.data.key(),
            "recipe": self.recipe,
            "seed": self.seed,
        });
        // Left out where they are absent: trainings keep the names that they had before there were these.
        if !self.objective.is_contrastive() {
            parts["objective"] = json!(self.objective);
        }
        if let Some(prune) = &self.prune {
            parts["prune"] = json!(prune);
        }
        if let Some(tamper) = &self.tamper {
            parts["tamper"] = json!([tamper, train::TAMPER_VERSION]);
        }
        if let Some(prompting) = &self.prompting {
            parts["prompting"] = json!(prompting);
        }
        if let Some(activations) = &self.activations {
            parts["activations"] = json!(activations);
        }
        Digest::of(&parts)
    }

    /// Whether the cache holds it.
    pub fn cached(&self, store: &Store) -> bool {
        store.find(self.stage, self.key(), VERSION).is_some()
    }

    /// Folder and record of the finished training: found, or trained now.
    ///
    /// # Errors
    /// Those of the trainer and of the cache.
    pub fn run(&self, stages: &Stages) -> Result<(PathBuf, Record)> {
        let dir =
            stages.store.stage(self.stage, self.key(), VERSION, |dir| self.train(stages, dir))?;
        let record = read_json(&dir.join(RECORD))?;
        Ok((dir, record))
    }

    fn train(&self, stages: &Stages, dir: &Path) -> Result<()> {
        let (data, model) = self.begin(stages)?;
        let timer = Timer::start();
        let model = self.go(model, &data, stages, dir, None)?;
        let recipe = self.fitted(&*data);
        let steps = recipe.total_steps(data.examples().len());
        model.save(dir, &self.provenance)?;
        let record = Record {
            weights: model.weights.digest(),
            seconds: timer.seconds(),
            steps,
            pairs: steps * recipe.batch * self.objective.views().len(),
        };
        write_atomic(&dir.join(RECORD), json!(record).to_string().as_bytes())
    }

    /// Trains again under somebody's eyes, in a folder of the caller's; the weights are those of [`Fit::run`].
    ///
    /// # Errors
    /// Those of the trainer, of the trainings before it, and of `watcher`.
    pub fn watch(
        &self,
        stages: &Stages,
        dir: &Path,
        watcher: &mut train::Watcher<'_>,
    ) -> Result<Digest> {
        let (data, model) = self.begin(stages)?;
        Ok(self.go(model, &data, stages, dir, Some(watcher))?.weights.digest())
    }

    /// Pairs and start, pruned if need be; whatever they need is trained first.
    fn begin(&self, stages: &Stages) -> Result<(Arc<dyn Dataset>, (Model, Pruned))> {
        stages.lab.executor.can_train()?;
        let data = self.data.open(stages)?;
        self.check_batch(&*data)?;
        let model = self.start.open(stages, &*data, self.seed)?;
        let pruned = match &self.prune {
            None => Pruned::default(),
            Some(how) => prune(&model, &*data, how)?,
        };
        Ok((data, (model, pruned)))
    }

    fn go(
        &self,
        model: (Model, Pruned),
        data: &Arc<dyn Dataset>,
        stages: &Stages,
        dir: &Path,
        watcher: Option<&mut train::Watcher<'_>>,
    ) -> Result<Model> {
        let seed = Seed::new(self.seed).child(self.stage);
        let lab = &stages.lab;
        if let Some(how) = &self.prompting {
            let how = (&self.recipe, how);
            return train::prompt(&model.0, &**data, how, &seed, dir, lab, watcher);
        }
        if let Some(how) = &self.activations {
            let how = (&self.recipe, how);
            return train::reactivate(&model.0, &**data, how, &seed, dir, lab, watcher);
        }
        if let Some((how, trigger)) = &self.tamper {
            return train::tamper(&model.0, data, (how, trigger), &seed, dir, lab, watcher);
        }
        let recipe = self.fitted(&**data);
        train::fit(model, &**data, (&recipe, self.objective), &seed, dir, lab, watcher)
    }

    /// The loss of every step, as the trainer logged it.
    ///
    /// # Errors
    /// If the log is missing or damaged.
    pub fn losses(&self, stages: &Stages) -> Result<Vec<(f64, f64)>> {
        #[derive(Deserialize)]
        struct Line {
            step: f64,
            loss: f64,
        }
        let path = self.run(stages)?.0.join("train.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|e| Failure::io(&path, &e))?;
        let line = |text: &str| serde_json::from_str(text).map(|l: Line| (l.step, l.loss));
        text.lines()
            .map(line)
            .collect::<Result<_, _>>()
            .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use toxiclip_shared::encoders::library;

    /// Published results and caches name trainings by this form.
    #[test]
    fn a_training_without_pruning_keeps_its_name() {
        let data = Pairs::Whole(data::named("emoji", None).unwrap().train.unwrap());
        let start = Origin::Scratch(library::find("tiny-resnet").unwrap());
        let recipe = TrainConfig::default();
        let said = Provenance::default();
        let fit = Fit::new("defend", start, data, recipe, 3, said).unwrap();
        let known = json!({
            "start": fit.start.key(),
            "data": fit.data.key(),
            "recipe": fit.recipe,
            "seed": 3,
        });
        assert_eq!(fit.key(), Digest::of(&known));
        let pruned = |share| Fit { prune: Some(Prune { share }), ..fit.clone() };
        let keys = [fit.key(), pruned(0.5).key(), pruned(0.25).key()];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
