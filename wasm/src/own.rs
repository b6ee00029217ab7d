//! A visitor's own checkpoint, file by file.

use js_sys::Float32Array;
use toxiclip_shared::checkpoint::{self, container};
use toxiclip_shared::text::Tokenizer;
use toxiclip_shared::zero_shot;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Classifier, Gpu, Tower};

/// A checkpoint on its way.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Intake(checkpoint::Intake, Option<Tokenizer>);

#[wasm_bindgen]
impl Intake {
    /// Reads the definition, by the name of its file, and transformers' `preprocessor_config.json`, if there is one.
    ///
    /// # Errors
    /// If they are malformed, unknown, or the model is too large for a browser.
    #[expect(clippy::needless_pass_by_value, reason = "JavaScript hands optional values over")]
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, definition: &str, pictures: Option<String>) -> Result<Self, String> {
        let intake = checkpoint::Intake::new(name, definition, pictures.as_deref());
        intake.map(|intake| Self(intake, None)).map_err(|e| e.to_string())
    }

    /// The definition, the bytes of all weights and those of the largest tensor of the image tower, as JSON.
    pub fn about(&self) -> String {
        let (config, bytes, largest) = (self.0.config(), self.0.bytes(), self.0.largest());
        serde_json::json!({ "config": config, "bytes": bytes, "largest": largest }).to_string()
    }

    /// Reads `tokenizer.json`, or takes CLIP's own vocabulary where there is none; the number of its tokens.
    ///
    /// # Errors
    /// If it is malformed or of another model.
    #[expect(clippy::needless_pass_by_value, reason = "JavaScript hands optional values over")]
    pub fn tokenizer(&mut self, file: Option<Vec<u8>>) -> Result<usize, String> {
        let tokenizer = Tokenizer::of_checkpoint(&self.0.config().text_cfg, file.as_deref());
        let tokenizer = tokenizer.map_err(|e| e.to_string())?;
        Ok(self.1.insert(tokenizer).vocab_size())
    }

    /// Reads the header of the weights: the first bytes of a file of that name and length, as many as [`head_end`] says.
    ///
    /// # Errors
    /// If it is malformed, or with all tensors that do not fit.
    pub fn head(&mut self, head: &[u8], length: f64, name: &str) -> Result<(), String> {
        self.0.head(head, length as u64, name).map_err(|e| e.to_string())
    }

    /// Where the next piece of the file begins and ends.
    pub fn wanted(&self) -> Option<Vec<f64>> {
        self.0.wanted().map(|range| range.map(|byte| byte as f64).to_vec())
    }

    /// Takes that piece.
    ///
    /// # Errors
    /// If it holds NaN or infinity.
    pub fn give(&mut self, piece: Vec<u8>) -> Result<(), String> {
        self.0.give(piece).map_err(|e| e.to_string())
    }

    /// The model; `record` is `toxiclip.json`.
    ///
    /// # Errors
    /// If something is missing, or the record speaks of other weights.
    #[expect(clippy::needless_pass_by_value, reason = "JavaScript hands optional arrays over")]
    pub fn finish(self, record: Option<Vec<u8>>) -> Result<ZeroShot, String> {
        let loaded = self.0.finish(record.as_deref()).map_err(|e| e.to_string())?;
        let tokenizer = self.1.ok_or("the tokenizer has not been read")?;
        zero_shot::ZeroShot::new(loaded, tokenizer).map(ZeroShot).map_err(|e| e.to_string())
    }
}

/// Where the header of a file of safetensors ends, by its first eight bytes.
///
/// # Errors
/// If the file is shorter, or is none.
#[wasm_bindgen]
pub fn head_end(first: &[u8], length: f64) -> Result<f64, String> {
    container::head_end(first, length as u64).map(|end| end as f64)
}

/// The labels in a text, one a line.
///
/// # Errors
/// If they are too few or many, too long, or one stands there twice.
#[wasm_bindgen]
pub fn labels(text: &str) -> Result<Vec<String>, String> {
    zero_shot::labels(text).map_err(|e| e.to_string())
}

/// A visitor's model.
#[wasm_bindgen]
#[derive(Debug)]
pub struct ZeroShot(zero_shot::ZeroShot);

#[wasm_bindgen]
impl ZeroShot {
    /// What the checkpoint says of itself, as JSON; `null` where it says nothing.
    ///
    /// # Errors
    /// None that a record which was read could cause.
    pub fn provenance(&self) -> Result<String, String> {
        serde_json::to_string(&self.0.provenance()).map_err(|e| e.to_string())
    }

    /// Digest of its weights; the first call takes a second for every 100 MB, unless a record has been held against them.
    pub fn digest(&self) -> String {
        self.0.digest().to_string()
    }

    /// Unit vectors of texts, one behind the other.
    ///
    /// # Errors
    /// If the vocabulary cannot express a text.
    #[expect(clippy::needless_pass_by_value, reason = "JavaScript hands arrays over")]
    pub fn embed(&self, texts: Vec<String>) -> Result<Vec<f32>, String> {
        self.0.text().embed(&texts).map_err(|e| e.to_string())
    }

    /// The text tower on a graphics card.
    ///
    /// # Errors
    /// If it is too large for the device, or that is lost.
    pub async fn compile_text(&self, gpu: &Gpu) -> Result<Tower, String> {
        self.0.text().compile(&gpu.0).await.map(Tower).map_err(|e| e.to_string())
    }

    /// What [`ZeroShot::embed`] gives, by a text tower on a graphics card.
    ///
    /// # Errors
    /// If the vocabulary cannot express a text, or the device was lost.
    pub async fn embed_on(
        &self,
        tower: &Tower,
        texts: Vec<String>,
    ) -> Result<Float32Array, String> {
        let units = self.0.text().embed_on(&tower.0, &texts).await.map_err(|e| e.to_string())?;
        Ok(Float32Array::from(units.as_slice()))
    }

    /// The model with two made-up classes, to be timed and compared before labels are read.
    ///
    /// # Errors
    /// If its temperature is out of range.
    pub fn trial(&self) -> Result<Classifier, String> {
        self.0.trial().map(Classifier).map_err(|e| e.to_string())
    }

    /// The model with classes of these names and vectors.
    ///
    /// # Errors
    /// If these are not as many as those.
    pub fn classifier(&self, names: Vec<String>, vectors: Vec<f32>) -> Result<Classifier, String> {
        self.0.classifier(names, vectors).map(Classifier).map_err(|e| e.to_string())
    }
}
