//! Embeddings of pictures and captions, L2-normalised, in input order. Batch size and threads change no bit.

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::exec::cpu::contrastive::normalize;
use toxiclip_shared::exec::cpu::{Arena, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::image::{Image, OPENAI};

use crate::failure::Result;
use crate::model::Model;

/// Examples of one forward walk.
const BATCH: usize = 128;

/// Embeds every picture of `data` on white: (N, D).
///
/// # Errors
/// If a picture cannot be read.
pub fn images(model: &Model, data: &dyn Dataset) -> Result<Vec<f32>> {
    let rows: Vec<usize> = (0..data.examples().len()).collect();
    let load = |rows: &[usize]| -> Result<Vec<Image>> {
        rows.par_iter().map(|&i| Ok(data.image(i)?)).collect()
    };
    embed_batches(model, &rows, load)
}

/// Embeds pictures in memory: (N, D).
///
/// # Errors
/// If a picture cannot be resized.
pub fn pictures(model: &Model, all: &[Image]) -> Result<Vec<f32>> {
    embed_batches(model, all, |part| Ok(part.to_vec()))
}

fn embed_batches<T>(
    model: &Model,
    all: &[T],
    load: impl Fn(&[T]) -> Result<Vec<Image>>,
) -> Result<Vec<f32>> {
    let size = model.clip.config.vision_cfg.image_size;
    let params = params_of(&model.clip.image, &model.weights);
    let mut arena = Arena::default();
    let mut out = Vec::with_capacity(all.len() * model.clip.config.embed_dim);
    for part in all.chunks(BATCH) {
        let ready: Vec<Image> = load(part)?
            .par_iter()
            .map(|image| Ok(image.over([255; 3]).resize_crop(size)?))
            .collect::<Result<_>>()?;
        let mut pixels = Vec::with_capacity(part.len() * size * size * 3);
        ready.iter().for_each(|image| image.write_pixels(&OPENAI, &mut pixels));
        let pass =
            forward(&model.clip.image, &params, Inputs::Pixels(&pixels), Mode::Infer, &mut arena);
        out.extend(normalize(pass.embeddings(), model.clip.config.embed_dim).0);
        pass.recycle(&mut arena);
    }
    Ok(out)
}

/// Embeds captions: (N, D).
///
/// # Errors
/// If a caption cannot be tokenised.
pub fn texts(model: &Model, texts: &[String]) -> Result<Vec<f32>> {
    let params = params_of(&model.clip.text, &model.weights);
    let mut arena = Arena::default();
    let mut out = Vec::with_capacity(texts.len() * model.clip.config.embed_dim);
    for part in texts.chunks(BATCH) {
        let (mut ids, mut end) = (vec![], vec![]);
        for text in part {
            let row = model.tokenizer.encode(text)?;
            end.push(model.tokenizer.eot_row(&row) as u32);
            ids.extend(row);
        }
        let inputs = Inputs::Tokens { ids: &ids, end: &end };
        let pass = forward(&model.clip.text, &params, inputs, Mode::Infer, &mut arena);
        out.extend(normalize(pass.embeddings(), model.clip.config.embed_dim).0);
        pass.recycle(&mut arena);
    }
    Ok(out)
}
