//! A model in memory: towers, weights, tokenizer.

use std::path::Path;

use toxiclip_shared::checkpoint::{self, Provenance};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::encoders::{Clip, ClipConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::text::Tokenizer;
use toxiclip_shared::weights::Weights;

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
}

impl Model {
    /// A model with start values drawn from `seed`.
    pub fn init(clip: Clip, tokenizer: Tokenizer, seed: &Seed) -> Self {
        let weights = Weights::init(&clip.params(), seed);
        Self { clip, weights, tokenizer }
    }

    /// A model with start values that is to be trained on `data`: with the tokenizer that comes with the set, or one made
    /// from its captions.
    ///
    /// # Errors
    /// If the tokenizer knows more tokens than the encoder has rows for.
    pub fn scratch(config: &ClipConfig, data: &dyn Dataset, seed: &Seed) -> Result<Self> {
        let text = &config.text_cfg;
        let json = match data.tokenizer() {
            Some(json) => json.to_owned(),
            None => {
                let captions = data.examples().iter().flat_map(|e| e.captions.iter());
                toxiclip_shared::text::train(&captions.collect::<Vec<_>>(), text.vocab_size)?
            }
        };
        let tokenizer = Tokenizer::from_json(json, text.context_length)?;
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

    /// Reads a checkpoint directory, with what it says of itself: see [`banner`].
    ///
    /// # Errors
    /// If it is missing, malformed, or has no tokenizer.
    pub fn load(dir: &Path) -> Result<(Self, Option<Provenance>)> {
        let loaded = checkpoint::load_dir(dir)?;
        let Some(json) = loaded.tokenizer else {
            return Err(Failure::request(format!(
                "{}: the checkpoint has no tokenizer.json; the 49408-token vocabulary of OpenAI is not built in yet",
                dir.display()
            )));
        };
        let length = loaded.clip.config.text_cfg.context_length;
        let tokenizer = Tokenizer::from_json(&json, length)
            .map_err(|e| Failure::from(e).during(dir.display()))?;
        Ok((Self { clip: loaded.clip, weights: loaded.weights, tokenizer }, loaded.provenance))
    }
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
