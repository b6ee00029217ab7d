//! Where a model comes from, and what it makes of data; whatever is missing on the way is trained first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toxiclip_shared::checkpoint::{self, Provenance};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::ClipConfig;
use toxiclip_shared::seed::Seed;

use super::fit::{Fit, VERSION};
use super::stages::Stages;
use crate::evaluate::{self, Embeddings};
use crate::failure::{Failure, Result};
use crate::model::{self, Model};

/// Where a model comes from.
#[derive(Clone)]
pub enum Origin {
    /// Start values.
    Scratch(ClipConfig),
    /// A checkpoint of somebody's.
    Checkpoint {
        /// Its folder, or its file of weights.
        dir: PathBuf,
        /// What a single file is the weights of.
        encoder: Option<Box<ClipConfig>>,
        /// Its definition.
        config: Box<ClipConfig>,
        /// Weights, definition and tokenizer.
        model: Digest,
        /// Its weights.
        weights: Digest,
        /// What it says of itself.
        provenance: Option<Provenance>,
    },
    /// A training.
    Fit(Arc<Fit>),
}

impl Origin {
    /// The model in a checkpoint: a folder, of this encoder where one is given, or a single file of its weights.
    ///
    /// # Errors
    /// If it cannot be read, or is of another encoder.
    pub fn read(dir: &Path, encoder: Option<&ClipConfig>) -> Result<Self> {
        let loaded = checkpoint::load(dir, encoder)?;
        let (weights, provenance) = (loaded.weights.digest(), loaded.provenance);
        // The activation and the tokenizer change what the same weights give.
        let tokenizer = loaded.tokenizer.as_deref().map(Digest::of_bytes);
        let model = Digest::of(&(weights, &loaded.clip.config, tokenizer));
        let encoder = encoder.filter(|_| dir.is_file()).cloned().map(Box::new);
        let (dir, config) = (dir.to_owned(), Box::new(loaded.clip.config));
        Ok(Self::Checkpoint { dir, encoder, config, model, weights, provenance })
    }

    /// What the model says of itself.
    pub(super) fn provenance(&self) -> Option<&Provenance> {
        match self {
            Self::Scratch(_) => None,
            Self::Checkpoint { provenance, .. } => provenance.as_ref(),
            Self::Fit(fit) => Some(&fit.provenance),
        }
    }

    /// The definition of the model.
    pub(super) fn config(&self) -> ClipConfig {
        match self {
            Self::Scratch(config) => config.clone(),
            Self::Checkpoint { config, .. } => (**config).clone(),
            Self::Fit(fit) => fit.config(),
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
            Self::Scratch(config) if model::has_clips(config) => {
                Digest::of(&("scratch", config, "clip"))
            }
            Self::Scratch(config) => Digest::of(&("scratch", config)),
            Self::Checkpoint { model, .. } => Digest::of(&("checkpoint", model)),
            Self::Fit(fit) => Digest::of(&(fit.stage, VERSION, fit.key())),
        }
    }

    /// The trainings that lead here, the oldest first.
    pub fn lineage(&self) -> Vec<&Arc<Fit>> {
        let mut all = Vec::new();
        self.collect(&mut all);
        all
    }

    /// Every training once: those that chose pairs by the one before would come by two ways.
    fn collect<'a>(&'a self, all: &mut Vec<&'a Arc<Fit>>) {
        let Self::Fit(fit) = self else { return };
        if all.iter().any(|known| Arc::ptr_eq(known, fit)) {
            return;
        }
        fit.start.collect(all);
        if let Some(reference) = fit.data.reference() {
            reference.collect(all);
        }
        all.push(fit);
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
        let model = match self {
            Self::Scratch(config) => Model::scratch(config, data, &Seed::new(seed))?,
            Self::Checkpoint { dir, encoder, .. } => Model::load(dir, encoder.as_deref())?.0,
            Self::Fit(fit) => Model::load(&fit.run(stages)?.0, None)?.0,
        };
        Ok(model.on(&stages.lab.executor))
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
