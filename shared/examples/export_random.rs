//! `export_random ENCODER DIR`: writes a checkpoint with random weights, and beside it `example.safetensors`
//! with pictures, captions and the embeddings that we compute, for `tests/golden/checkpoints.py` to compare.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use toxiclip_shared::checkpoint::container::{self, Blob};
use toxiclip_shared::checkpoint::{Provenance, save_dir, write_file};
use toxiclip_shared::data::emoji::{self, captions::training};
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::exec::cpu::{self, Arena, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Graph, Role};
use toxiclip_shared::image::{Image, OPENAI};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::text::Tokenizer;
use toxiclip_shared::weights::Weights;

const PICTURES: usize = 16;
const CAPTIONS: usize = 50;

/// What a tokenizer may get wrong: case, white space, other scripts, special tokens as text, length.
const HARD: [&str; 8] = [
    "",
    "A  Photo\tof\n a FOX ",
    "Ünïcödé naïveté",
    "日本 🦊",
    "a <|endoftext|> in <|pad|> the middle",
    "3,000 birds' nests... can't-stop!",
    "a very long caption about a ship with many words that do not fit into any row of sixteen tokens at all",
    "don't _underscore_ #hash @at 50% (off)",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [encoder, dir] = arguments.as_slice() else {
        return Err("usage: export_random ENCODER DIR".into());
    };
    let (clip, dir) = (Clip::build(&library::find(encoder)?), Path::new(dir));
    let tokenizer = emoji::tokenizer()?;
    let weights = random_weights(&clip);
    let provenance = Provenance { encoder: encoder.clone(), ..Provenance::default() };
    save_dir(dir, &clip, &weights, Some(tokenizer.to_json().as_bytes()), &provenance)?;

    let (size, width) = (clip.config.vision_cfg.image_size, clip.config.embed_dim);
    let pictures = random_pictures(size)?;
    let mut pixels = Vec::new();
    pictures.iter().for_each(|picture| picture.write_pixels(&OPENAI, &mut pixels));
    let image = embed(&clip.image, &weights, Inputs::Pixels(&pixels));
    let captions = captions()?;
    let (ids, end) = tokens(&tokenizer, &captions)?;
    let text = embed(&clip.text, &weights, Inputs::Tokens { ids: &ids, end: &end });

    let rgb = |picture: &Image| -> Vec<i64> {
        picture.rgba().chunks(4).flat_map(|c| [c[0], c[1], c[2]]).map(i64::from).collect()
    };
    let bytes: Vec<i64> = pictures.iter().flat_map(rgb).collect();
    let blobs = [
        Blob::i64("images", vec![PICTURES, size, size, 3], &bytes),
        Blob::f32("image_features", vec![PICTURES, width], &image),
        Blob::f32("text_features", vec![captions.len(), width], &text),
    ];
    let metadata = [("captions".to_owned(), serde_json::to_string(&captions)?)];
    let file = container::write(&blobs, &BTreeMap::from(metadata));
    Ok(write_file(&dir.join("example.safetensors"), &file)?)
}

/// Start values with every constant moved, so that no gain, bias or statistic goes untested.
fn random_weights(clip: &Clip) -> Weights {
    let mut weights = Weights::init(&clip.params(), &Seed::new(0));
    for spec in clip.params().iter().filter(|p| p.shape.len() == 1) {
        let mut stream = Seed::new(1).child(&spec.name).stream();
        let is_variance = spec.role == Role::Statistic && spec.name.ends_with("var");
        for x in weights.get_mut(&spec.name).into_iter().flat_map(|t| &mut t.data) {
            *x = if is_variance { stream.range(0.5, 1.5) } else { *x + 0.2 * stream.normal() };
        }
    }
    weights
}

/// Opaque noise of the encoder's own size: no resampling stands between the programs.
fn random_pictures(size: usize) -> Result<Vec<Image>, Box<dyn Error>> {
    let mut stream = Seed::new(2).stream();
    let mut picture = || {
        let rgba =
            (0..size * size * 4).map(|i| if i % 4 == 3 { 255 } else { stream.next_u32() as u8 });
        Image::new(size, size, rgba.collect())
    };
    (0..PICTURES).map(|_| Ok(picture()?)).collect()
}

/// The hard ones, captions of the data set with other letters than ASCII, then captions of all kinds of classes.
fn captions() -> Result<Vec<String>, Box<dyn Error>> {
    let all: Vec<String> = emoji::described()?.iter().flat_map(training).collect();
    let mut out: Vec<String> = HARD.iter().map(|&text| text.to_owned()).collect();
    out.extend(all.iter().filter(|caption| !caption.is_ascii()).take(10).cloned());
    let rest = CAPTIONS - out.len();
    out.extend(all.iter().step_by(all.len() / rest).take(rest).cloned());
    Ok(out)
}

fn tokens(
    tokenizer: &Tokenizer,
    captions: &[String],
) -> Result<(Vec<u32>, Vec<u32>), Box<dyn Error>> {
    let (mut ids, mut end) = (vec![], vec![]);
    for caption in captions {
        let row = tokenizer.encode(caption)?;
        end.push(tokenizer.eot_row(&row) as u32);
        ids.extend(row);
    }
    Ok((ids, end))
}

fn embed(graph: &Graph, weights: &Weights, inputs: Inputs<'_>) -> Vec<f32> {
    let params = params_of(graph, weights);
    cpu::forward(graph, &params, inputs, Mode::TrainFrozenStatistics, &mut Arena::default())
        .embeddings()
        .to_vec()
}
