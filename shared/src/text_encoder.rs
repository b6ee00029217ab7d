//! A text tower with its tokenizer: sentences become unit vectors.

use std::sync::Arc;

use crate::encoders::Clip;
use crate::exec::Inputs;
use crate::exec::cpu::contrastive::normalize;
use crate::exec::cpu::{Arena, Tower};
#[cfg(feature = "wgpu")]
use crate::exec::wgpu::{Gpu, Program};
use crate::text::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};

/// Texts of one forward walk.
const BATCH: usize = 128;
/// The same on a graphics card: labels come a few at a time, and a tower computes for as many as it was made for.
#[cfg(feature = "wgpu")]
const ON_CARD: usize = 8;

/// A text tower that is only read from.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    tower: Arc<Tower>,
    tokenizer: Tokenizer,
    dim: usize,
}

impl TextEncoder {
    /// The text tower of `clip`; `weights` are at least its own.
    ///
    /// # Errors
    /// If the tokenizer makes ids that the tower has no row for, or rows of another length.
    pub fn new(clip: &Clip, weights: Weights, tokenizer: Tokenizer) -> Result<Self> {
        let text = &clip.config.text_cfg;
        tokenizer.fits(text)?;
        if tokenizer.context_length() != text.context_length {
            return Err(Error::request(format!(
                "the tokenizer makes rows of {} ids, the encoder reads {}",
                tokenizer.context_length(),
                text.context_length
            )));
        }
        let tower = Arc::new(Tower::new(clip.text.clone(), weights));
        Ok(Self { tower, tokenizer, dim: clip.config.embed_dim })
    }

    /// What it was made with.
    pub fn weights(&self) -> &Weights {
        self.tower.weights()
    }

    /// The ids that the tower reads of a text.
    ///
    /// # Errors
    /// If the vocabulary cannot express it.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// Unit vectors of texts (N, D).
    ///
    /// # Errors
    /// If the vocabulary cannot express a text.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<f32>> {
        let tower = self.tower.frozen();
        let mut arena = Arena::default();
        let mut units = Vec::with_capacity(texts.len() * self.dim);
        for part in texts.chunks(BATCH) {
            let (ids, end) = self.rows(part)?;
            let raw = tower.embed(Inputs::Tokens { ids: &ids, end: &end }, &mut arena);
            units.extend(normalize(&raw, self.dim).0);
            arena.give(raw);
        }
        Ok(units)
    }

    /// The tower on a graphics card, for [`ON_CARD`] texts at a time.
    ///
    /// # Errors
    /// If it is too large for the device, or that was lost.
    #[cfg(feature = "wgpu")]
    pub async fn compile(&self, gpu: &Gpu) -> Result<Program> {
        Program::of(gpu, &self.tower, ON_CARD).await
    }

    /// Unit vectors of texts (N, D), as of [`TextEncoder::embed`], by the tower that [`TextEncoder::compile`] gave.
    ///
    /// # Errors
    /// If the vocabulary cannot express a text, or the device was lost.
    #[cfg(feature = "wgpu")]
    pub async fn embed_on(&self, tower: &Program, texts: &[String]) -> Result<Vec<f32>> {
        let (ids, end) = self.rows(texts)?;
        let mut units = Vec::with_capacity(texts.len() * self.dim);
        for part in tower.parts(Inputs::Tokens { ids: &ids, end: &end }) {
            units.extend(normalize(&tower.run(part).await?, self.dim).0);
        }
        Ok(units)
    }

    /// The ids of texts, row behind row, and in which of its places each ends.
    fn rows(&self, texts: &[String]) -> Result<(Vec<u32>, Vec<u32>)> {
        let (mut ids, mut end) = (Vec::new(), Vec::new());
        for text in texts {
            let row = self.tokenizer.encode(text)?;
            end.push(self.tokenizer.eot_row(&row) as u32);
            ids.extend(row);
        }
        Ok((ids, end))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::encoders::library;
    use crate::seed::Seed;
    use crate::text::train;

    /// A text tower with start values and a small vocabulary of its own, and all weights of the model.
    pub(crate) fn fresh(seed: u64) -> (Clip, Weights, Tokenizer) {
        let clip = Clip::build(&library::find("tiny-vit").unwrap());
        let weights = Weights::init(&clip.params(), &Seed::new(seed));
        let json = train(&["a drawing of a fox", "an emoji of an airplane"], 300).unwrap();
        let length = clip.config.text_cfg.context_length;
        (clip, weights, Tokenizer::from_json(json, length).unwrap())
    }

    /// Against the plain walk of training, one text at a time and in double precision where it is normalised.
    #[test]
    fn texts_become_the_unit_vectors_of_the_plain_walk() {
        let (clip, weights, tokenizer) = fresh(1);
        let encoder = TextEncoder::new(&clip, weights.clone(), tokenizer.clone()).unwrap();
        let texts = ["a fox", "", "AN  Airplane \u{1f98a}", &"fox ".repeat(60)].map(str::to_owned);
        let units = encoder.embed(&texts).unwrap();
        let params = crate::exec::cpu::params_of(&clip.text, &weights);
        for (text, unit) in texts.iter().zip(units.chunks_exact(clip.config.embed_dim)) {
            let ids = tokenizer.encode(text).unwrap();
            let end = [tokenizer.eot_row(&ids) as u32];
            let inputs = Inputs::Tokens { ids: &ids, end: &end };
            let mode = crate::exec::Mode::TrainFrozenStatistics;
            let mut arena = Arena::default();
            let pass = crate::exec::cpu::forward(&clip.text, &params, inputs, mode, &mut arena);
            let raw: Vec<f64> = pass.embeddings().iter().map(|x| f64::from(*x)).collect();
            let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
            for (own, x) in unit.iter().zip(&raw) {
                assert!((f64::from(*own) - x / length).abs() < 1e-5, "{text:?}");
            }
        }
    }

    #[test]
    fn a_tokenizer_of_other_weights_is_refused() {
        let (mut clip, weights, tokenizer) = fresh(1);
        clip.config.text_cfg.vocab_size = 20;
        let line = TextEncoder::new(&clip, weights, tokenizer).unwrap_err().to_string();
        assert!(line.contains("belongs to other weights"), "{line}");
    }
}
