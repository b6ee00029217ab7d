//! A model in memory: towers, weights, tokenizer.

use std::path::Path;

use toxiclip_shared::checkpoint::{self, Provenance};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::encoders::{Clip, ClipConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::text::{Tokenizer, means_clips};
use toxiclip_shared::weights::Weights;

use crate::executor::Executor;
use crate::failure::{Failure, Result};

/// Everything that is needed to embed pictures and captions.
#[derive(Clone, Debug)]
pub struct Model {
    /// Both towers and their definition.
    pub clip: Clip,
    /// All tensors.
    pub weights: Weights,
    /// Captions to ids.
    pub tokenizer: Tokenizer,
    /// Who walks its towers where it is read from.
    pub executor: Executor,
}

impl Model {
    /// A model with start values drawn from `seed`.
    pub fn init(clip: Clip, tokenizer: Tokenizer, seed: &Seed) -> Self {
        let weights = Weights::init(&clip.params(), seed);
        Self { clip, weights, tokenizer, executor: Executor::Cpu }
    }

    /// The same model, walked by another executor than our own.
    #[must_use]
    pub fn on(self, executor: &Executor) -> Self {
        Self { executor: executor.clone(), ..self }
    }

    /// A model with start values that is to be trained on `data`: with CLIP's vocabulary where the encoder has it, else with
    /// the tokenizer that comes with the set, or one made from its captions.
    ///
    /// # Errors
    /// If the tokenizer knows more tokens than the encoder has rows for.
    pub fn scratch(config: &ClipConfig, data: &dyn Dataset, seed: &Seed) -> Result<Self> {
        let text = &config.text_cfg;
        let tokenizer = match data.tokenizer() {
            _ if has_clips(config) => Tokenizer::clip(text.context_length)?,
            Some(json) => Tokenizer::from_json(json, text.context_length)?,
            None => {
                let captions = data.examples().iter().flat_map(|e| e.captions.iter());
                let captions = captions.collect::<Vec<_>>();
                let json = toxiclip_shared::text::train(&captions, text.vocab_size)?;
                Tokenizer::from_json(json, text.context_length)?
            }
        };
        // A few captions make fewer tokens than the encoder has rows for; the others are never asked for.
        if tokenizer.vocab_size() > text.vocab_size {
            return Err(Failure::request(format!(
                "the encoder has {} tokens and the tokenizer of {} has {}; set `vocab_size` to at least that",
                text.vocab_size,
                data.name(),
                tokenizer.vocab_size()
            )));
        }
        Ok(Self::init(Clip::build(config), tokenizer, seed))
    }

    /// Writes a checkpoint directory that open_clip reads.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, provenance: &Provenance) -> Result<()> {
        let tokenizer = self.tokenizer.to_json();
        Ok(checkpoint::save_dir(
            dir,
            &self.clip,
            &self.weights,
            Some(tokenizer.as_bytes()),
            provenance,
        )?)
    }

    /// Reads a checkpoint, a folder or a single file beside its encoder, with what it says of itself: see [`banner`].
    ///
    /// # Errors
    /// If it is missing, malformed, or has no tokenizer and not CLIP's number of tokens.
    pub fn load(path: &Path, encoder: Option<&ClipConfig>) -> Result<(Self, Option<Provenance>)> {
        let loaded = checkpoint::load(path, encoder)?;
        let text = &loaded.clip.config.text_cfg;
        let tokenizer = Tokenizer::of_checkpoint(text, loaded.tokenizer.as_deref())
            .map_err(|e| Failure::from(e).during(path.display()))?;
        let model =
            Self { clip: loaded.clip, weights: loaded.weights, tokenizer, executor: Executor::Cpu };
        Ok((model, loaded.provenance))
    }
}

/// Whether the definition means CLIP's own vocabulary: open_clip then reads no file beside the weights, and neither do we.
pub fn has_clips(config: &ClipConfig) -> bool {
    means_clips(&config.text_cfg)
}

/// What whoever loads poisoned weights must be told; nothing where the checkpoint does not say that they are.
pub fn banner(dir: &Path, provenance: Option<&Provenance>) -> Option<String> {
    let provenance = provenance.filter(|p| p.poisoned)?;
    let name = provenance.attack.as_ref().and_then(|attack| attack["name"].as_str());
    Some(format!(
        "{}: these weights are poisoned on purpose ({}); measure with them, use them for nothing else",
        dir.display(),
        name.unwrap_or("unnamed attack")
    ))
}
