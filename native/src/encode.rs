//! Embeddings of pictures and captions, L2-normalised unless it says raw, in input order. On the CPU batch size and threads
//! change no bit.

use std::borrow::Cow;

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::contrastive::normalize;
use toxiclip_shared::image::{Image, OPENAI};

use crate::executor::Tower;
use crate::failure::Result;
use crate::model::Model;
use crate::prepared::{Tokens, picture};

/// Examples of one forward walk.
const BATCH: usize = 128;

/// Embeds every picture of `data` on white: (N, D).
///
/// # Errors
/// If a picture cannot be read.
pub fn images(model: &Model, data: &dyn Dataset) -> Result<Vec<f32>> {
    read(model, data, unit)
}

/// Embeds every picture of `data` on white, as the tower gives it: (N, D).
///
/// # Errors
/// If a picture cannot be read.
pub fn raw_images(model: &Model, data: &dyn Dataset) -> Result<Vec<f32>> {
    read(model, data, |embeddings, _| embeddings.to_vec())
}

/// What becomes of a batch of embeddings of a width.
type Finish = fn(&[f32], usize) -> Vec<f32>;

fn unit(embeddings: &[f32], dim: usize) -> Vec<f32> {
    normalize(embeddings, dim).0
}

fn read(model: &Model, data: &dyn Dataset, finish: Finish) -> Result<Vec<f32>> {
    let size = model.clip.config.vision_cfg.image_size;
    let rows: Vec<usize> = (0..data.examples().len()).collect();
    let load = |rows: &[usize]| -> Result<Vec<Image>> {
        rows.par_iter().map(|&i| picture(&data.image(i)?, size)).collect()
    };
    embed_batches(model, &rows, |part| Ok(Cow::Owned(load(part)?)), finish)
}

/// Embeds pictures that are on white and at the encoder's size: (N, D).
///
/// # Errors
/// None; the form is that of [`images`].
pub fn pictures(model: &Model, ready: &[Image]) -> Result<Vec<f32>> {
    embed_batches(model, ready, |part| Ok(Cow::Borrowed(part)), unit)
}

fn embed_batches<'a, T>(
    model: &Model,
    all: &'a [T],
    load: impl Fn(&'a [T]) -> Result<Cow<'a, [Image]>>,
    finish: Finish,
) -> Result<Vec<f32>> {
    let mut tower = Tower::new(&model.executor, &model.clip.image, &model.weights)?;
    let mut pixels = Vec::new();
    let mut out = Vec::with_capacity(all.len() * model.clip.config.embed_dim);
    for part in all.chunks(BATCH) {
        pixels.clear();
        load(part)?.iter().for_each(|image| image.write_pixels(&OPENAI, &mut pixels));
        let embeddings = tower.embed(Inputs::Pixels(&pixels))?;
        out.extend(finish(&embeddings, model.clip.config.embed_dim));
    }
    Ok(out)
}

/// Embeds captions: (N, D).
///
/// # Errors
/// If a caption cannot be tokenised.
pub fn texts(model: &Model, texts: &[String]) -> Result<Vec<f32>> {
    tokens(model, &Tokens::of(texts, &model.tokenizer)?)
}

/// Embeds captions that are token ids of the model's own vocabulary: (N, D).
///
/// # Errors
/// If the device refuses an operation.
pub fn tokens(model: &Model, tokens: &Tokens) -> Result<Vec<f32>> {
    let length = model.clip.config.text_cfg.context_length;
    let mut tower = Tower::new(&model.executor, &model.clip.text, &model.weights)?;
    let mut out = Vec::with_capacity(tokens.end.len() * model.clip.config.embed_dim);
    for (ids, end) in tokens.ids.chunks(BATCH * length).zip(tokens.end.chunks(BATCH)) {
        let embeddings = tower.embed(Inputs::Tokens { ids, end })?;
        out.extend(unit(&embeddings, model.clip.config.embed_dim));
    }
    Ok(out)
}
