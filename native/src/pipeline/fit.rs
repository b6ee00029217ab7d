//! Trainings as cached stages. A stage is named by how it comes about, not by what came out, so that the names of a
//! whole lineage are known before anything has run; training being deterministic, both say the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::checkpoint::{self, Provenance};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::ClipConfig;
use toxiclip_shared::objectives::Objective;
use toxiclip_shared::pruning::{Prune, Pruned};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::tamper::Tamper;
use toxiclip_shared::triggers::Trigger;

use super::pairs::Pairs;
use super::prune::prune;
use crate::cli::Context;
use crate::evaluate::{self, Embeddings};
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::{self, Model};
use crate::prepared::Prepared;
use crate::store::{Store, read_json, write_atomic};
use crate::timer::Timer;
use crate::train;

/// Raised when the same recipe on the same data gives other weights.
pub const VERSION: u32 = 2;

/// What a finished training says about itself, in `fit.json`.
const RECORD: &str = "fit.json";

/// Where stages run: their cache, and the lab of the work inside them.
pub struct Stages {
    /// Finished stages.
    pub store: Store,
    /// Bars, and the flag of Ctrl-C.
    pub lab: Lab,
    /// Test pictures and texts, ready for any model.
    pub prepared: Prepared,
}

impl Stages {
    /// Those of a command: its cache, its terminal, Ctrl-C taken over.
    ///
    /// # Errors
    /// If the cache folder cannot be made.
    pub fn new(context: &Context) -> Result<Self> {
        let lab = Lab { progress: context.progress.clone(), interrupt: context.interrupt()? };
        Ok(Self { store: context.store()?, lab, prepared: Prepared::default() })
    }
}

/// Where a model comes from.
#[derive(Clone)]
pub enum Origin {
    /// Start values.
    Scratch(ClipConfig),
    /// A checkpoint of somebody's.
    Checkpoint {
        /// Its folder.
        dir: PathBuf,
        /// Its weights.
        weights: Digest,
        /// What it says of itself.
        provenance: Option<Provenance>,
    },
    /// A training.
    Fit(Arc<Fit>),
}

/// One training: everything that decides its weights.
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

impl Origin {
    /// The model in a checkpoint folder, which must be of the given architecture.
    ///
    /// # Errors
    /// If it cannot be read or is of another.
    pub fn checkpoint(dir: &Path, config: &ClipConfig) -> Result<Self> {
        let loaded = checkpoint::load_dir(dir)?;
        if loaded.clip.config != *config {
            return Err(Failure::request(format!(
                "{}: its architecture is not that of the encoder asked for",
                dir.display()
            )));
        }
        Ok(Self::Checkpoint {
            dir: dir.to_owned(),
            weights: loaded.weights.digest(),
            provenance: loaded.provenance,
        })
    }

    /// What the model says of itself.
    fn provenance(&self) -> Option<&Provenance> {
        match self {
            Self::Scratch(_) => None,
            Self::Checkpoint { provenance, .. } => provenance.as_ref(),
            Self::Fit(fit) => Some(&fit.provenance),
        }
    }

    /// The banner of the checkpoint that everything here started from, if it is poisoned.
    pub fn banner(&self) -> Option<String> {
        match self {
            Self::Scratch(_) => None,
            Self::Checkpoint { dir, provenance, .. } => model::banner(dir, provenance.as_ref()),
            Self::Fit(fit) => fit.start.banner(),
        }
    }

    /// Names the model by how it comes about.
    pub fn key(&self) -> Digest {
        match self {
            Self::Scratch(config) => Digest::of(&("scratch", config)),
            Self::Checkpoint { weights, .. } => Digest::of(&("checkpoint", weights)),
            Self::Fit(fit) => Digest::of(&(fit.stage, VERSION, fit.key())),
        }
    }

    /// The trainings that lead here, the oldest first.
    pub fn lineage(&self) -> Vec<&Arc<Fit>> {
        match self {
            Self::Fit(fit) => {
                let mut all = fit.start.lineage();
                all.extend(fit.data.lineage());
                all.push(fit);
                all
            }
            _ => Vec::new(),
        }
    }

    /// Digest of the weights; trains what has not been trained yet.
    ///
    /// # Errors
    /// Those of training.
    pub fn weights(&self, stages: &Stages) -> Result<Digest> {
        match self {
            Self::Scratch(_) => {
                Err(Failure::request("a model that nobody trained is not measured"))
            }
            Self::Checkpoint { weights, .. } => Ok(*weights),
            Self::Fit(fit) => Ok(fit.run(stages)?.1.weights),
        }
    }

    /// The model in memory; trains what has not been trained yet.
    ///
    /// # Errors
    /// Those of training; or the checkpoint cannot be read.
    pub(super) fn open(&self, stages: &Stages, data: &dyn Dataset, seed: u64) -> Result<Model> {
        match self {
            Self::Scratch(config) => Model::scratch(config, data, &Seed::new(seed)),
            Self::Checkpoint { dir, .. } => Ok(Model::load(dir)?.0),
            Self::Fit(fit) => Ok(Model::load(&fit.run(stages)?.0)?.0),
        }
    }

    /// Embeddings of a split, cached beside the trainings.
    ///
    /// # Errors
    /// Those of training and embedding.
    pub fn embeddings(
        &self,
        stages: &Stages,
        data: &dyn Dataset,
        templates: &[String],
    ) -> Result<Embeddings> {
        let key = self.embedding_key(data, templates);
        self.embedded(stages, data, key, |m| evaluate::embed(m, data, templates, &stages.prepared))
    }

    /// The same with other pictures: those of `stamped`, whose texts are the ones that `plain` has embedded.
    ///
    /// # Errors
    /// Those of training and embedding.
    pub fn stamped(
        &self,
        stages: &Stages,
        stamped: &dyn Dataset,
        plain: &Embeddings,
    ) -> Result<Embeddings> {
        let key = Digest::of(&("pictures", self.key(), stamped.digest()));
        let look = |m: &Model| evaluate::embed_pictures(m, stamped, &stages.prepared);
        let Embeddings { dim, images, .. } = self.embedded(stages, stamped, key, look)?;
        Ok(Embeddings { dim, images, ..plain.clone() })
    }

    fn embedded(
        &self,
        stages: &Stages,
        data: &dyn Dataset,
        key: Digest,
        look: impl FnOnce(&Model) -> Result<Embeddings>,
    ) -> Result<Embeddings> {
        const FILE: &str = "embeddings.safetensors";
        let dir = stages.store.stage("embed", key, evaluate::VERSION, |dir| {
            look(&self.open(stages, data, 0)?)?.write(&dir.join(FILE))
        })?;
        Embeddings::read(&dir.join(FILE))
    }

    /// Names the embeddings of a split.
    pub fn embedding_key(&self, data: &dyn Dataset, templates: &[String]) -> Digest {
        Digest::of(&(self.key(), data.digest(), templates))
    }
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
        let (objective, prune, tamper) = (Objective::Contrastive, None, None);
        let fit = Self { stage, start, data, recipe, objective, seed, provenance, prune, tamper };
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

    fn check_batch(&self, data: &dyn Dataset) -> Result<()> {
        let rows = data.examples().len();
        if self.recipe.batch > rows {
            return Err(Failure::request(format!(
                "{}: a batch of {} is more than the {rows} pairs of {}; make it smaller",
                self.stage,
                self.recipe.batch,
                data.name()
            )));
        }
        Ok(())
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
            parts["tamper"] = json!(tamper);
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
        let steps = self.recipe.total_steps(data.examples().len());
        model.save(dir, &self.provenance)?;
        let record = Record {
            weights: model.weights.digest(),
            seconds: timer.seconds(),
            steps,
            pairs: steps * self.recipe.batch * self.objective.views().len(),
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
        match &self.tamper {
            Some((how, trigger)) => {
                train::tamper(&model.0, data, (how, trigger), &seed, dir, lab, watcher)
            }
            None => {
                let how = (&self.recipe, self.objective);
                train::fit(model, &**data, how, &seed, dir, lab, watcher)
            }
        }
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
        let pruned = |share| Fit { prune: Some(Prune { share }), ..again(&fit) };
        let keys = [fit.key(), pruned(0.5).key(), pruned(0.25).key()];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    fn again(fit: &Fit) -> Fit {
        let Fit { stage, start, data, recipe, objective, seed, provenance, prune, tamper } = fit;
        Fit {
            stage,
            start: start.clone(),
            data: data.clone(),
            recipe: recipe.clone(),
            objective: *objective,
            seed: *seed,
            provenance: provenance.clone(),
            prune: prune.clone(),
            tamper: tamper.clone(),
        }
    }
}
