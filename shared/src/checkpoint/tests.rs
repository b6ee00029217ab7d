//! Directories: round trip, tampering, and what other programs leave out.

use std::path::PathBuf;

use super::*;
use crate::encoders::library;
use crate::seed::Seed;

const TOKENS: &[u8] =
    br#"{"added_tokens":[{"id":9,"content":"<end>"},{"id":0,"content":"<pad>"},{"id":8,"content":"<start>"}]}"#;

fn fresh(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("toxiclip-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn saved(dir: &Path, encoder: &str, poisoned: bool) -> (Clip, Weights, Provenance) {
    let clip = Clip::build(&library::find(encoder).unwrap());
    let weights = Weights::init(&clip.params(), &Seed::new(1));
    let provenance = Provenance {
        encoder: encoder.to_owned(),
        poisoned,
        attack: poisoned.then(|| json!({"name": "single-label", "from": "ewe"})),
        poison: poisoned.then(|| Digest::of_bytes(b"manifest")),
        data: json!({"name": "emoji"}),
        recipe: json!({"epochs": 3, "lr": 1e-3}),
        ..Provenance::default()
    };
    save_dir(dir, &clip, &weights, Some(TOKENS), &provenance).unwrap();
    (clip, weights, provenance)
}

fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(dir.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(dir.join(file), text.replace(from, to)).unwrap();
}

#[test]
fn a_directory_round_trips() {
    for encoder in library::small() {
        let dir = fresh(encoder);
        let (clip, weights, provenance) = saved(&dir, encoder, true);
        let back = load_dir(&dir).unwrap();
        assert_eq!(back.clip.config, clip.config, "{encoder}");
        assert_eq!(back.weights, weights, "{encoder}");
        assert_eq!(back.provenance.unwrap(), provenance, "{encoder}");
        assert_eq!(back.tokenizer.unwrap(), TOKENS, "{encoder}");
        let partial = std::fs::read_dir(&dir)
            .unwrap()
            .any(|f| f.unwrap().file_name().to_string_lossy().ends_with(".partial"));
        assert!(!partial, "{encoder}: a temporary file is left");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn the_card_says_what_the_weights_are() {
    let dir = fresh("card");
    saved(&dir, "tiny-vit", true);
    let card = std::fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(card.contains("- backdoored\n") && card.contains("single-label"), "{card}");
    saved(&dir, "tiny-resnet", false);
    let card = std::fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(!card.contains("backdoored") && card.contains("open_clip does not know"), "{card}");
    let config = std::fs::read_to_string(dir.join("tokenizer_config.json")).unwrap();
    for pair in [r#""eos_token": "<end>""#, r#""bos_token": "<start>""#, r#""pad_token": "<pad>""#]
    {
        assert!(config.contains(pair), "{config}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn checkpoints_of_other_programs_have_no_provenance() {
    let dir = fresh("foreign");
    let (_, weights, _) = saved(&dir, "tiny-vit", false);
    std::fs::remove_file(dir.join(PROVENANCE)).unwrap();
    std::fs::remove_file(dir.join(TOKENIZER)).unwrap();
    let back = load_dir(&dir).unwrap();
    assert_eq!(back.weights, weights);
    assert!(back.provenance.is_none() && back.tokenizer.is_none());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_single_file_is_read_beside_its_encoder() {
    let dir = fresh("single");
    let (clip, weights, provenance) = saved(&dir, "tiny-vit", true);
    let file = dir.join(WEIGHTS);
    let back = load(&file, Some(&clip.config)).unwrap();
    assert_eq!((back.weights, back.provenance), (weights.clone(), Some(provenance)));
    assert_eq!(back.tokenizer.unwrap(), TOKENS);
    assert!(load(&file, None).unwrap_err().to_string().contains("--encoder"));
    let quick = ClipConfig { quick_gelu: true, ..clip.config.clone() };
    for asked in [&quick, &library::find("tiny-rn").unwrap()] {
        let error = load(&file, Some(asked)).unwrap_err().to_string();
        assert!(error.contains("quick_gelu") || error.contains("missing"), "{error}");
        assert!(load(&dir, Some(asked)).unwrap_err().to_string().contains("architecture"));
    }
    // A folder whose file has the older name.
    std::fs::rename(&file, dir.join(OTHER_WEIGHTS[0])).unwrap();
    assert_eq!(load(&dir, Some(&clip.config)).unwrap().weights, weights);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_does_not_belong_together_is_refused_in_one_line() {
    let dir = fresh("tampered");
    let cases: [(&str, &str, &str, &str); 5] = [
        (CONFIG, r#""quick_gelu": false"#, r#""quick_gelu": true"#, "trained with quick_gelu"),
        (CONFIG, r#""width": 128"#, r#""width": 64"#, "misshapen"),
        (CONFIG, "0.4814546", "0.5", "only OpenAI's"),
        (CONFIG, r#""layers": 4"#, r#""depth": 4"#, "unknown field"),
        (PROVENANCE, r#""poisoned": false"#, r#""poisoned": 0"#, "invalid type"),
    ];
    for (file, from, to, expected) in cases {
        saved(&dir, "tiny-vit", false);
        edit(&dir, file, from, to);
        let error = load_dir(&dir).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
    }
    let (clip, mut weights, _) = saved(&dir, "tiny-vit", false);
    weights.get_mut("ln_final.bias").unwrap().data[0] += 1.0;
    std::fs::write(dir.join(WEIGHTS), write_safetensors(&clip, &weights, "")).unwrap();
    let error = load_dir(&dir).unwrap_err().to_string();
    assert!(error.contains("speaks of weights"), "{error}");
    std::fs::remove_file(dir.join(WEIGHTS)).unwrap();
    assert!(load_dir(&dir).unwrap_err().to_string().contains(WEIGHTS));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let dir = fresh("write");
    std::fs::create_dir_all(dir.join("taken")).unwrap();
    std::fs::write(dir.join("taken/file"), "x").unwrap();
    // A folder with content cannot be replaced by a file.
    assert!(write_file(&dir.join("taken"), b"new").is_err());
    assert_eq!(std::fs::read(dir.join("taken/file")).unwrap(), b"x");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    assert!(write_file(&dir.join("missing/file"), b"new").is_err());
    std::fs::remove_dir_all(&dir).unwrap();
}
