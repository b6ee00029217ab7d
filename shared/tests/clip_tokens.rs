//! CLIP's tokenizer against open_clip's, on the captions of `golden/clip_tokens.py`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;

use serde::Deserialize;
use toxiclip_shared::text::Tokenizer;

#[derive(Deserialize)]
struct Golden {
    captions: Vec<(String, Vec<u32>)>,
    mistaken: Vec<(String, Vec<u32>)>,
}

fn golden() -> Golden {
    let packed = &include_bytes!("golden/clip_tokens.json.gz")[..];
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Captions whose row is not open_clip's.
fn differing<'a>(clip: &Tokenizer, captions: &'a [(String, Vec<u32>)]) -> Vec<&'a str> {
    let differs = |(text, ids): &&(String, Vec<u32>)| {
        let row = clip.encode(text).unwrap();
        let padding = std::iter::repeat_n(0, 77 - ids.len());
        row != ids.iter().copied().chain(padding).collect::<Vec<_>>()
    };
    captions.iter().filter(differs).map(|(text, _)| text.as_str()).collect()
}

#[test]
fn rows_are_open_clips() {
    let (clip, golden) = (Tokenizer::clip(77).unwrap(), golden());
    let cut = golden.captions.iter().filter(|(_, ids)| ids.len() == 77).count();
    assert!(golden.captions.len() >= 5000 && cut >= 40, "{} captions", golden.captions.len());
    let wrong = differing(&clip, &golden.captions);
    println!("{} captions, {} differ", golden.captions.len(), wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// ftfy leaves some that stand beside good text (`tuÅŸ – 日本`), and we repair them.
#[test]
fn most_mistaken_encodings_are_repaired_as_by_ftfy() {
    let (clip, golden) = (Tokenizer::clip(77).unwrap(), golden());
    let wrong = differing(&clip, &golden.mistaken);
    println!(
        "{} with a mistaken encoding, {} differ: {wrong:#?}",
        golden.mistaken.len(),
        wrong.len()
    );
    assert!(
        golden.mistaken.len() >= 500 && wrong.len() * 33 <= golden.mistaken.len(),
        "{}",
        wrong.len()
    );
}

#[test]
fn a_wrong_row_would_be_seen() {
    let (clip, mut golden) = (Tokenizer::clip(77).unwrap(), golden());
    let row = &mut golden.captions[40].1;
    row[1] += 1;
    assert_eq!(differing(&clip, &golden.captions).len(), 1);
}
