//! CLIP's own vocabulary: 49,408 ids, for checkpoints that come without a tokenizer file.
//!
//! `clip/merges.txt.gz` are the 48,894 merges that OpenAI's list of 262,145 lines gives CLIP, one a line (MIT,
//! `clip/LICENSE`). Ids are 256 bytes, 256 bytes at the end of a word, the merges, start and end. The bytes come in the
//! order of GPT-2's alphabet: 188 printable ones, then the others.

use std::io::Read as _;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{END, START};
use crate::{Error, Result};

/// Ids, both special tokens included.
pub const SIZE: usize = 49_408;

const MERGES: &[u8] = include_bytes!("clip/merges.txt.gz");

/// Marks the last symbol of a word.
const WORD_END: &str = "</w>";

/// Contractions, runs of letters, single digits, runs of anything else.
const WORDS: &str = r"(?i)'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The vocabulary as a `tokenizer.json`.
///
/// # Errors
/// Never for a program that was built whole.
pub(super) fn tokenizer_json() -> Result<&'static str> {
    static JSON: OnceLock<String> = OnceLock::new();
    if let Some(json) = JSON.get() {
        return Ok(json);
    }
    let mut merges = String::new();
    flate2::read::GzDecoder::new(MERGES)
        .read_to_string(&mut merges)
        .map_err(|e| Error::input("CLIP's merges", e))?;
    Ok(JSON.get_or_init(|| definition(&merges).to_string()))
}

/// The character that stands for each byte, in the order of their ids.
fn alphabet() -> impl Iterator<Item = char> {
    let printable = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff);
    let shown = printable.clone().map(char::from);
    let others = (0..=255u8).filter(move |byte| !printable.clone().any(|known| known == *byte));
    shown.chain(others.zip(0x100u32..).filter_map(|(_, code)| char::from_u32(code)))
}

fn definition(merges: &str) -> Value {
    let bytes = alphabet().map(String::from);
    let last = alphabet().map(|c| format!("{c}{WORD_END}"));
    let merged = merges.lines().map(|line| line.replace(' ', ""));
    let specials = [START, END].map(str::to_owned);
    let vocabulary: serde_json::Map<String, Value> =
        bytes.chain(last).chain(merged).chain(specials).zip((0..).map(Value::from)).collect();
    let special = |name: &str| {
        json!({
            "id": vocabulary[name], "content": name, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let token = |name: &str| json!({ "id": name, "ids": [vocabulary[name]], "tokens": [name] });
    let place = |kind: &str, id: &str| json!({ kind: { "id": id, "type_id": 0 } });
    let whole = [place("SpecialToken", START), place("Sequence", "A"), place("SpecialToken", END)];
    let spaces = json!({ "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " });
    let split = json!({
        "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true,
    });
    let level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    // The byte alphabet's space stands where a word ends.
    let space = json!({ "type": "Replace", "pattern": { "String": WORD_END }, "content": "Ġ" });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(START), special(END)],
        "normalizer": { "type": "Sequence", "normalizers": [{ "type": "NFC" }, spaces, { "type": "Lowercase" }] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [split, level] },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": whole,
            "pair": [place("Sequence", "A"), place("Sequence", "B")],
            "special_tokens": { START: token(START), END: token(END) },
        },
        "decoder": { "type": "Sequence", "decoders": [space, level] },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": WORD_END,
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocabulary,
            "merges": merges.lines().collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    #[test]
    fn ids_that_openai_published() {
        let clip = Tokenizer::from_json(tokenizer_json().unwrap(), 77).unwrap();
        assert_eq!((clip.vocab_size(), clip.end(), clip.pad()), (SIZE, 49_407, 0));
        for (text, ids) in [
            ("hello world", &[3306, 1002][..]),
            ("how are you doing?", &[829, 631, 592, 1960, 286]),
            ("You should've done this", &[592, 1535, 1200, 1700, 589]),
            (
                "The company was founded in 2016.",
                &[518, 2634, 739, 12240, 530, 273, 271, 272, 277, 269],
            ),
        ] {
            let row = clip.encode(text).unwrap();
            let end = clip.eot_row(&row);
            assert_eq!((row[0], &row[1..end], row.len()), (49_406, ids, 77), "{text}");
            assert_eq!(row[end..], [&[49_407][..], &vec![0; 76 - end]].concat(), "{text}");
        }
    }
}
