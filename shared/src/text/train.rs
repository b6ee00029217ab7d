//! Training a byte-level BPE vocabulary on captions.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence, Strip};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerBuilder,
};

use super::{END, PAD, START};
use crate::{Error, Result};

/// Learns a vocabulary of at most `size` ids (special tokens included, the end token last) and returns its
/// `tokenizer.json`. Texts are lower-cased and runs of white space become one space; every byte has an id,
/// so any text can be encoded.
///
/// # Errors
/// If `size` does not hold the 256 bytes and three special tokens.
pub fn train<T: AsRef<str> + Sync>(texts: &[T], size: usize) -> Result<String> {
    if size < 259 {
        return Err(Error::request(format!(
            "a vocabulary of {size} does not hold 256 bytes and 3 specials"
        )));
    }
    let failed = |e: &dyn std::fmt::Display| Error::input("training the tokenizer", e);
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(size - 2)
        .special_tokens(vec![AddedToken::from(PAD, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ");
    let normalizer = Sequence::new(vec![
        NFC.into(),
        spaces.map_err(|e| failed(&e))?.into(),
        Strip::new(true, true).into(),
        Lowercase.into(),
    ]);
    // The first word gets a space before it like all others, so that a word has one id wherever it stands.
    let bytes = ByteLevel::new(true, false, true);
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_normalizer(Some(normalizer.into()))
    .with_pre_tokenizer(Some(bytes.into()))
    .with_decoder(Some(bytes.into()))
    .build()
    .map_err(|e| failed(&e))?;
    tokenizer.train(&mut trainer, texts.iter().map(AsRef::as_ref)).map_err(|e| failed(&e))?;
    // Added after training, so that the end token has the highest id: open_clip pools at the argmax of ids.
    let ends = [START, END].map(|name| AddedToken::from(name, true));
    tokenizer.add_special_tokens(ends).map_err(|e| failed(&e))?;
    let ids = [START, END].map(|name| (name, tokenizer.token_to_id(name).unwrap_or_default()));
    let template = TemplateProcessing::builder()
        .try_single(format!("{START} $A {END}"))
        .map_err(|e| failed(&e))?
        .special_tokens(ids.to_vec())
        .build()
        .map_err(|e| failed(&e))?;
    tokenizer.with_post_processor(Some(template));
    tokenizer.to_string(true).map_err(|e| failed(&e))
}
