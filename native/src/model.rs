//! A model: towers, weights and tokenizer, as training and embedding take it.

use std::path::Path;

use toxiclip_shared::checkpoint::{self, Provenance};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::encoders::{Clip, ClipConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::text::Tokenizer;
use toxiclip_shared::weights::Weights;

use crate::failure::{Failure, Result};

/// Everything that is needed to embed pictures and captions.
pub struct Model {
    /// Both towers.
    pub clip: Clip,
    /// All parameters.
    pub weights: Weights,
    /// Captions to token ids.
    pub tokenizer: Tokenizer,
}

impl Model {
    /// Start values drawn from `seed`, and a tokenizer made from the captions of `data`.
    ///
    /// # Errors
    /// If the captions do not suffice for the encoder's vocabulary.
    pub fn scratch(config: &ClipConfig, data: &dyn Dataset, seed: &Seed) -> Result<Self> {
        let clip = Clip::build(config);
        let weights = Weights::init(&clip.params(), seed);
        let captions = data.examples().iter().flat_map(|e| e.captions.iter().map(String::as_str));
        let text = &config.text_cfg;
        let tokenizer = Tokenizer::train(captions, text.vocab_size, text.context_length)?;
        Ok(Self { clip, weights, tokenizer })
    }

    /// Reads a checkpoint folder.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        let checkpoint::Loaded { clip, weights, tokenizer, .. } = checkpoint::load_dir(dir)?;
        let bytes = tokenizer.ok_or_else(|| {
            Failure::request(format!("{}: tokenizer.json is missing", dir.display()))
        })?;
        let tokenizer = Tokenizer::from_bytes(&bytes, clip.config.text_cfg.context_length)?;
        Ok(Self { clip, weights, tokenizer })
    }

    /// Writes a checkpoint folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, provenance: &Provenance) -> Result<()> {
        let tokenizer = self.tokenizer.to_bytes()?;
        Ok(checkpoint::save_dir(dir, &self.clip, &self.weights, Some(&tokenizer), provenance)?)
    }
}
