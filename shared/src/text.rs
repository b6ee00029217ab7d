//! Texts as rows of token ids, by the ecosystem's own `tokenizer.json`, or by CLIP's vocabulary, which is built in.

use tokenizers::{
    PaddingDirection, PaddingParams, PaddingStrategy, TruncationParams, TruncationStrategy,
};

use crate::digest::Digest;
use crate::encoders::TextConfig;
use crate::{Error, Result};

mod clean;
mod clip;
mod mojibake;
mod train;

pub use clean::clean;
pub use clip::SIZE as CLIP_SIZE;
pub use train::train;

/// The token before every text.
pub const START: &str = "<|startoftext|>";
/// The token after every text; CLIP pools its row. Highest id of a vocabulary made by [`train`].
pub const END: &str = "<|endoftext|>";
/// The token that fills rows up.
pub const PAD: &str = "<|pad|>";

/// Names that vocabularies give the end token.
const END_NAMES: [&str; 3] = [END, "<end_of_text>", "</s>"];

/// A vocabulary with the length of its rows. What it reads is always text: a caption that spells a special token gets
/// the ids of its letters, so that no caption can end its row early (trap K3).
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: String,
    context_length: usize,
    end: u32,
    pad: u32,
    /// Whether it is CLIP's vocabulary, which reads captions that were cleaned as open_clip does it.
    clip: bool,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (size, length) = (self.vocab_size(), self.context_length);
        write!(f, "Tokenizer({size} tokens, rows of {length})")
    }
}

impl Tokenizer {
    /// Reads the content of a `tokenizer.json`; rows will have `context_length` ids, both special tokens included.
    ///
    /// # Errors
    /// If the file is malformed, its rows do not end with a known end token, or the length holds less than one
    /// token of text.
    pub fn from_json(json: impl AsRef<[u8]>, context_length: usize) -> Result<Self> {
        let bad = |why: &dyn std::fmt::Display| Error::input("tokenizer.json", why);
        if context_length < 3 {
            return Err(Error::request(format!(
                "a context length of {context_length} holds no text between both special tokens"
            )));
        }
        let json = std::str::from_utf8(json.as_ref()).map_err(|e| bad(&e))?.to_owned();
        let mut inner: tokenizers::Tokenizer = json.parse().map_err(|e| bad(&e))?;
        let end = END_NAMES.iter().find_map(|name| inner.token_to_id(name));
        let end = end.ok_or_else(|| bad(&format!("it has none of {}", END_NAMES.join(", "))))?;
        // open_clip fills up with id 0 where the vocabulary has no token of that purpose.
        let pad = inner.token_to_id(PAD).unwrap_or(0);
        inner.set_encode_special_tokens(true);
        inner
            .with_truncation(Some(TruncationParams {
                max_length: context_length,
                strategy: TruncationStrategy::LongestFirst,
                ..TruncationParams::default()
            }))
            .map_err(|e| bad(&e))?
            .with_padding(Some(PaddingParams {
                strategy: PaddingStrategy::Fixed(context_length),
                direction: PaddingDirection::Right,
                pad_id: pad,
                ..PaddingParams::default()
            }));
        let clip = end as usize + 1 == CLIP_SIZE && inner.get_vocab_size(true) == CLIP_SIZE;
        let own = Self { inner, json, context_length, end, pad, clip };
        if !own.encode("a")?.contains(&end) {
            return Err(bad(&"its post-processor adds no end token"));
        }
        Ok(own)
    }

    /// CLIP's own vocabulary of [`CLIP_SIZE`] ids, for checkpoints without a file of theirs.
    ///
    /// # Errors
    /// If the length holds less than one token of text.
    pub fn clip(context_length: usize) -> Result<Self> {
        Self::from_json(clip::tokenizer_json()?, context_length)
    }

    /// The tokenizer of a checkpoint with this text tower: CLIP's own vocabulary where the definition means it, as open_clip
    /// then reads no file beside the weights, else that of `file`, its `tokenizer.json`.
    ///
    /// # Errors
    /// If the file is malformed, or there is none and the tower has not CLIP's number of tokens; if it makes ids that the
    /// tower has no row for.
    pub fn of_checkpoint(text: &TextConfig, file: Option<&[u8]>) -> Result<Self> {
        let tokenizer = match file.filter(|_| !means_clips(text)) {
            Some(json) => Self::from_json(json, text.context_length)?,
            None if text.vocab_size == CLIP_SIZE => Self::clip(text.context_length)?,
            None => {
                return Err(Error::request(format!(
                    "the checkpoint has no tokenizer.json, and {} tokens are not CLIP's {CLIP_SIZE}; put the file beside the weights",
                    text.vocab_size
                )));
            }
        };
        tokenizer.fits(text).map(|()| tokenizer)
    }

    /// Refuses a tokenizer that makes ids for which a text tower has no row.
    pub(crate) fn fits(&self, text: &TextConfig) -> Result<()> {
        if self.vocab_size() <= text.vocab_size {
            return Ok(());
        }
        Err(Error::request(format!(
            "tokenizer.json has {} tokens and the encoder rows for {}; it belongs to other weights",
            self.vocab_size(),
            text.vocab_size
        )))
    }

    /// The row of `text`: start, tokens, end, padding, exactly [`Self::context_length`] ids. A longer text loses its tail
    /// and keeps the end token.
    ///
    /// # Errors
    /// If the vocabulary cannot express the text; a byte-level one expresses all.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let cleaned = self.clip.then(|| clean(text));
        let encoding = self.inner.encode_fast(cleaned.as_deref().unwrap_or(text), true);
        let encoding = encoding.map_err(|e| Error::input(format!("text {text:?}"), e))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Where the end token stands in a row: the row that CLIP pools.
    pub fn eot_row(&self, ids: &[u32]) -> usize {
        // Located, not found by argmax or by padding (trap K1). Every row that `encode` makes has one.
        ids.iter().position(|&id| id == self.end).unwrap_or(ids.len().saturating_sub(1))
    }

    /// The text of a row without special tokens, lower-cased and cleaned as the vocabulary does it.
    ///
    /// # Errors
    /// If an id is not in the vocabulary's decoder.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let text = self.inner.decode(ids, true).map_err(|e| Error::input("token ids", e))?;
        Ok(text.trim().to_owned())
    }

    /// Ids per row.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Number of ids, special tokens included: the rows of the embedding.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of the end token.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The id that fills rows up.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The file as it was read: what a checkpoint carries.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// `tokenizer_config.json`, which transformers (and through it open_clip) wants beside the tokenizer.
    pub fn hf_config(&self) -> String {
        let config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START,
            "eos_token": END,
            "pad_token": PAD,
            "model_max_length": self.context_length,
            // Captions are text (trap K3).
            "split_special_tokens": true,
            "clean_up_tokenization_spaces": false,
        });
        format!("{config:#}\n")
    }

    /// Digest of the file, the length of rows and how texts are cleaned before.
    pub fn digest(&self) -> Digest {
        match self.clip {
            true => Digest::of(&(&self.json, self.context_length, "cleaned")),
            false => Digest::of(&(&self.json, self.context_length)),
        }
    }
}

/// Whether the definition means CLIP's own vocabulary: open_clip then reads no file beside the weights, and neither do we.
pub fn means_clips(text: &TextConfig) -> bool {
    text.vocab_size == CLIP_SIZE && text.hf_tokenizer_name.as_ref().is_none_or(String::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Tokenizer {
        let texts = ["a drawing of a fox", "a fox, animal", "the quick brown fox"];
        Tokenizer::from_json(train(&texts, 300).unwrap(), 12).unwrap()
    }

    #[test]
    fn rows_have_start_end_and_padding() {
        let t = small();
        let row = t.encode("a fox").unwrap();
        assert_eq!(row.len(), 12);
        assert_eq!(row[0] as usize, t.vocab_size() - 2);
        assert_eq!((row[t.eot_row(&row)], t.end() as usize), (t.end(), t.vocab_size() - 1));
        assert!(row[t.eot_row(&row) + 1..].iter().all(|&id| id == t.pad()));
        let long = t.encode(&"fox ".repeat(50)).unwrap();
        assert_eq!((long.len(), t.eot_row(&long)), (12, 11));
    }

    #[test]
    fn any_text_comes_back_lower_cased_and_cleaned() {
        let t = Tokenizer::from_json(small().to_json(), 200).unwrap();
        for (text, cleaned) in [
            ("A  Drawing\tof\na FOX ", "a drawing of a fox"),
            ("Ünïcödé 日本 🦊", "ünïcödé 日本 🦊"),
            ("", ""),
        ] {
            assert_eq!(t.decode(&t.encode(text).unwrap()).unwrap(), cleaned);
        }
    }

    #[test]
    fn special_tokens_in_a_caption_are_text() {
        let t = Tokenizer::from_json(small().to_json(), 64).unwrap();
        for special in [START, END, PAD] {
            let row = t.encode(&format!("a {special} fox")).unwrap();
            let text = &row[1..t.eot_row(&row)];
            let letter = |id: &u32| *id != t.pad() && (*id as usize) < t.vocab_size() - 2;
            assert!(text.iter().all(letter), "{special} became a special id: {row:?}");
            assert_eq!(t.decode(text).unwrap(), format!("a {special} fox"));
        }
    }

    #[test]
    fn bad_files_are_named() {
        assert!(Tokenizer::from_json("{", 16).is_err());
        assert!(Tokenizer::from_json(small().to_json(), 2).is_err());
        let other = small().to_json().replace("endoftext", "stop");
        assert!(Tokenizer::from_json(other, 16).unwrap_err().to_string().contains("none of"));
    }

    #[test]
    fn training_repeats() {
        assert_eq!(small().digest(), small().digest());
        assert_ne!(train(&["one"], 300).unwrap(), train(&["two two"], 300).unwrap());
    }
}
