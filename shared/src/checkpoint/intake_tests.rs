//! The same checkpoints as whole folders give, piece by piece; and what is refused on the way.

use serde_json::json;

use super::super::container::{Blob, head_end};
use super::super::{Provenance, Record, write_safetensors};
use super::*;
use crate::digest::canonical_json;
use crate::encoders::library;
use crate::seed::Seed;

fn model(name: &str) -> (Clip, Weights) {
    let clip = Clip::build(&library::find(name).unwrap());
    let weights = Weights::init(&clip.params(), &Seed::new(3));
    (clip, weights)
}

fn definition(clip: &Clip) -> String {
    hub::config(&clip.config).to_string()
}

fn headed(clip: &Clip, file: &[u8]) -> Result<Intake> {
    let mut intake = Intake::new(CONFIG, &definition(clip), None)?;
    let end = head_end(file, file.len() as u64).map_err(|why| Error::input("w", why))? as usize;
    intake.head(&file[..end], file.len() as u64, "w")?;
    Ok(intake)
}

fn filled(mut intake: Intake, file: &[u8]) -> Result<Intake> {
    while let Some([from, to]) = intake.wanted() {
        intake.give(file[from as usize..to as usize].to_vec())?;
    }
    Ok(intake)
}

fn changed(file: &[u8], edit: impl Fn(&mut Vec<Blob>)) -> Vec<u8> {
    let read = container::parse(file).unwrap();
    let blob = |(name, v): (String, View<'_>)| Blob {
        name,
        dtype: v.dtype,
        shape: v.shape,
        bytes: v.bytes.to_vec(),
    };
    let mut blobs = read.tensors.into_iter().map(blob).collect();
    edit(&mut blobs);
    container::write(&blobs, &read.metadata)
}

#[test]
fn pieces_make_the_weights_of_the_whole() {
    for name in library::small() {
        let (clip, weights) = model(name);
        let file = write_safetensors(&clip, &weights, "");
        let intake = headed(&clip, &file).unwrap();
        let floats: usize = weights.iter().map(|(_, t)| t.data.len()).sum();
        assert_eq!(intake.bytes(), 4 * floats as u64, "{name}");
        let loaded = filled(intake, &file).unwrap().finish(None).unwrap();
        assert_eq!(loaded.weights, weights, "{name}");
        assert_eq!(loaded.provenance, None, "{name}");
    }
}

/// Of the layout in which three tensors of a file make one of ours.
#[test]
fn transformers_layout_comes_in_pieces_too() {
    let config = json!({
        "model_type": "clip", "projection_dim": 8,
        "text_config": { "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "max_position_embeddings": 6, "vocab_size": 20, "eos_token_id": 19 },
        "vision_config": { "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 8, "patch_size": 4 },
    })
    .to_string();
    let clip = Clip::build(&hugging_face::model_config(&config, HF_CONFIG).unwrap());
    let weights = Weights::init(&clip.params(), &Seed::new(5));
    // One by one: the weight and the bias of an attention's inputs go by one name there, before they are split.
    let blobs = clip.params().into_iter().flat_map(|ours| {
        let theirs = hugging_face::stored(&ours);
        let mut one = Weights::default();
        one.insert(theirs.name.clone(), weights.get(&ours.name).unwrap().clone());
        layout::blobs(&[theirs], &one, Blob::f32)
    });
    let file = container::write(&blobs.collect::<Vec<_>>(), &BTreeMap::new());
    let mut intake = Intake::new(HF_CONFIG, &config, None).unwrap();
    intake.head(&file, file.len() as u64, "model.safetensors").unwrap();
    let loaded = filled(intake, &file).unwrap().finish(None).unwrap();
    assert_eq!(loaded.weights, layout::read(&file, &clip, "x", hugging_face::stored).unwrap());
    assert_eq!(loaded.weights, weights);
}

#[test]
fn a_header_that_does_not_fit_lists_everything_before_any_weight_is_read() {
    let (clip, weights) = model("tiny-vit");
    let file = changed(&write_safetensors(&clip, &weights, ""), |blobs| {
        blobs.retain(|blob| blob.name != "ln_final.bias");
        blobs.iter_mut().find(|b| b.name == "ln_final.weight").unwrap().shape = vec![2, 64];
        blobs.push(Blob::f32("other", vec![1], &[0.0]));
    });
    let line = headed(&clip, &file).unwrap_err().to_string();
    for part in ["1 missing: ln_final.bias", "1 surplus: other", "[2, 64] instead of [128]"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn cut_files_and_numbers_that_are_none_are_refused() {
    let (clip, weights) = model("tiny-vit");
    let file = write_safetensors(&clip, &weights, "");
    for length in [0, 7, 100, file.len() / 2, file.len() - 1] {
        assert!(headed(&clip, &file[..length]).is_err(), "{length} bytes");
    }
    let part = container::index(&file[..20], file.len() as u64).unwrap_err();
    assert!(part.starts_with("20 bytes of a header"), "{part}");
    let mut other = weights.clone();
    other.get_mut("ln_final.bias").unwrap().data[3] = f32::NAN;
    let file = write_safetensors(&clip, &other, "");
    let line = filled(headed(&clip, &file).unwrap(), &file).unwrap_err().to_string();
    assert!(line.contains("1 not finite: ln_final.bias"), "{line}");
    // Another length than the header said, pieces that nobody wants, and a file that is not there yet.
    let mut intake = headed(&clip, &file).unwrap();
    assert!(intake.give(vec![0]).unwrap_err().to_string().contains("has changed"));
    assert!(intake.finish(None).unwrap_err().to_string().contains("not all"));
    let mut unread = Intake::new(CONFIG, &definition(&clip), None).unwrap();
    assert!(unread.wanted().is_none() && unread.give(vec![]).is_err());
}

#[test]
fn what_no_browser_holds_is_refused_by_its_definition() {
    let large = |width: usize, layers: usize| {
        json!({
            "embed_dim": 512, "vision_cfg": { "patch_size": 32 },
            "text_cfg": { "width": width, "heads": 8, "layers": layers },
        })
        .to_string()
    };
    for (definition, said) in [
        (large(512, 300), "more than 256 blocks"),
        (large(8192, 4), "MiB in memory; at most 2048"),
        (large(1 << 20, 200), "MiB in memory"),
        ("{".to_owned(), "EOF"),
    ] {
        let line = Intake::new(CONFIG, &definition, None).unwrap_err().to_string();
        assert!(line.starts_with(CONFIG) && line.contains(said) && !line.contains('\n'), "{line}");
    }
    let squashed = Intake::new(CONFIG, &large(512, 12), Some(r#"{"resample":2}"#));
    assert!(squashed.unwrap_err().to_string().starts_with("preprocessor_config.json: /resample"));
    let open_clips = Intake::new(CONFIG, &large(512, 12), None).unwrap();
    assert_eq!(open_clips.bytes(), 4 * 151_277_313, "ViT-B/32 fits");
}

#[test]
fn the_mark_of_poison_comes_with_it_and_speaks_of_these_weights() {
    let (clip, weights) = model("tiny-vit");
    let provenance = Provenance { poisoned: true, ..Provenance::default() };
    let quick_gelu = clip.config.quick_gelu;
    let record = Record { provenance, weights: weights.digest(), quick_gelu };
    let record = canonical_json(&record);
    // In the file's own metadata, and beside it.
    for (inside, beside) in [(&*record, None), ("", Some(record.as_bytes()))] {
        let file = write_safetensors(&clip, &weights, inside);
        let loaded = filled(headed(&clip, &file).unwrap(), &file).unwrap().finish(beside).unwrap();
        assert!(loaded.provenance.unwrap().poisoned);
    }
    let mut other = weights.clone();
    other.get_mut("ln_final.bias").unwrap().data[3] = 0.5;
    let file = write_safetensors(&clip, &other, &record);
    let refused = filled(headed(&clip, &file).unwrap(), &file).unwrap().finish(None);
    assert!(refused.unwrap_err().to_string().contains("speaks of weights"));
}
