//! Pictures that are searched with words.

use toxiclip_shared::metrics::ranking::{rank_of_best, top_k};
use toxiclip_shared::retrieval;
use wasm_bindgen::prelude::wasm_bindgen;

/// A model and the pictures that it searches.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Retriever(retrieval::Retriever);

#[wasm_bindgen]
impl Retriever {
    /// Reads a file that the exporter wrote, with the text of its tokenizer's.
    ///
    /// # Errors
    /// If it is another file, cut or damaged.
    #[wasm_bindgen(constructor)]
    pub fn new(file: &[u8], tokenizer: &str) -> Result<Self, String> {
        retrieval::Retriever::parse(file, tokenizer, "the model")
            .map(Self)
            .map_err(|e| e.to_string())
    }

    /// What the file says of itself, as JSON.
    ///
    /// # Errors
    /// None that a file which was read could cause.
    pub fn about(&self) -> Result<String, String> {
        serde_json::to_string(self.0.about()).map_err(|e| e.to_string())
    }

    /// The ids that the model reads of a text.
    ///
    /// # Errors
    /// If the vocabulary cannot express it.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, String> {
        self.0.tokens(text).map_err(|e| e.to_string())
    }

    /// The cosine of a text with every picture.
    ///
    /// # Errors
    /// If the text is empty, or the vocabulary cannot express it.
    pub fn similarities(&self, text: &str) -> Result<Vec<f32>, String> {
        self.0.similarities(text).map_err(|e| e.to_string())
    }
}

/// The first `count` of a ranking.
///
/// # Errors
/// If a score is not finite.
#[wasm_bindgen]
pub fn top(scores: &[f32], count: usize) -> Result<Vec<usize>, String> {
    top_k(scores, count).map_err(|e| e.to_string())
}

/// 0-based position of the best target in a ranking.
///
/// # Errors
/// If a score is not finite, or a target is none of them.
#[wasm_bindgen]
#[expect(clippy::needless_pass_by_value, reason = "JavaScript hands arrays of this type over")]
pub fn rank(scores: &[f32], targets: Vec<usize>) -> Result<u32, String> {
    rank_of_best(scores, &targets).map(|best| best.rank).map_err(|e| e.to_string())
}
