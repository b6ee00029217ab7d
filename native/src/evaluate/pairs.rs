//! What filters see of pairs: how well a picture and its captions agree, and where the picture lies.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::defenses::Vectors;
use toxiclip_shared::encoders::LOGIT_SCALE;
use toxiclip_shared::seed::Seed;

use super::scores::{Gallery, cosine};
use super::{captions, unique};
use crate::encode;
use crate::failure::{Failure, Result};
use crate::model::Model;

/// 1 − cos(picture, caption) of every row, in [0, 2], averaged over its captions.
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn distances(model: &Model, data: &dyn Dataset) -> Result<Vec<f32>> {
    let images = encode::images(model, data)?;
    let captions = captions(data);
    let texts: Vec<String> = captions.iter().map(|c| c.text.clone()).collect();
    let vectors = unique(&texts, |texts| encode::texts(model, texts))?;
    let dim = images.len() / data.examples().len().max(1);
    let mut sums = vec![(0.0f32, 0u32); data.examples().len()];
    for (caption, vector) in captions.iter().zip(vectors.chunks_exact(dim)) {
        let picture = &images[caption.row * dim..(caption.row + 1) * dim];
        let (sum, count) = &mut sums[caption.row];
        *sum += 1.0 - cosine(picture, vector);
        *count += 1;
    }
    let means: Vec<f32> = sums.into_iter().map(|(sum, count)| sum / count.max(1) as f32).collect();
    match means.iter().position(|d| !d.is_finite()) {
        None => Ok(means),
        Some(row) => Err(Failure::failed(format!(
            "{}: its distance is not finite; look at the training curve of the model that judges",
            data.examples()[row].id
        ))),
    }
}

/// Pairs that a loss contrasts: the batch of the common recipes.
const BATCH: usize = 128;
/// Ways to part the set into batches.
const ROUNDS: usize = 10;

/// ½·[CE of its row + CE of its column] of every row among the rows of a batch, averaged over [`ROUNDS`] random ways to
/// part the set into batches of nearly the same size; captions take turns.
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn losses(model: &Model, data: &dyn Dataset, seed: &Seed) -> Result<Vec<f32>> {
    let images = encode::images(model, data)?;
    let captions = captions(data);
    let texts: Vec<String> = captions.iter().map(|c| c.text.clone()).collect();
    let vectors = unique(&texts, |texts| encode::texts(model, texts))?;
    let (rows, dim) = (data.examples().len(), model.clip.config.embed_dim);
    let mut own = vec![Vec::new(); rows];
    captions.iter().enumerate().for_each(|(i, caption)| own[caption.row].push(i));
    let scale = f64::from(model.weights.data(LOGIT_SCALE)[0]).exp();
    let mut sums = vec![0.0; rows];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..rows).collect();
        seed.child("losses").child(round).stream().shuffle(&mut order);
        let parts = rows.div_ceil(BATCH);
        for part in 0..parts {
            let batch = &order[part * rows / parts..(part + 1) * rows / parts];
            let caption = |&row: &usize| own[row][round % own[row].len()];
            let vector = |all: &[f32], i: usize| all[i * dim..(i + 1) * dim].to_vec();
            let pictures = batch.iter().flat_map(|&row| vector(&images, row)).collect::<Vec<_>>();
            let texts = batch.iter().flat_map(|row| vector(&vectors, caption(row)));
            let texts = texts.collect::<Vec<_>>();
            let both = [(&pictures, &texts), (&texts, &pictures)];
            for (from, to) in both {
                let gallery = Gallery::new(to, dim);
                for (i, query) in from.chunks_exact(dim).enumerate() {
                    sums[batch[i]] += cross_entropy(&gallery.cosines(query), i, scale) / 2.0;
                }
            }
        }
    }
    let means: Vec<f32> = sums.into_iter().map(|sum| (sum / ROUNDS as f64) as f32).collect();
    match means.iter().position(|loss| !loss.is_finite()) {
        None => Ok(means),
        Some(row) => Err(Failure::failed(format!(
            "{}: its loss is not finite; look at the training curve of the model that judges",
            data.examples()[row].id
        ))),
    }
}

/// −ln of the share that softmax(`scale`·cosines) gives to one of them.
fn cross_entropy(cosines: &[f32], right: usize, scale: f64) -> f64 {
    let logit = |cosine: f32| scale * f64::from(cosine);
    let largest = cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = cosines.iter().map(|c| (logit(*c) - logit(largest)).exp()).sum();
    logit(largest) + total.ln() - logit(cosines[right])
}

/// Embeddings of the pictures as the tower gives them.
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn places(model: &Model, data: &dyn Dataset) -> Result<Vectors> {
    let values = encode::raw_images(model, data)?;
    let dim = model.clip.config.embed_dim;
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(Vectors { dim, values }),
        Some(at) => Err(Failure::failed(format!(
            "{}: its embedding is not finite; look at the training curve of the model that judges",
            data.examples()[at / dim].id
        ))),
    }
}
