//! What filters see of pairs: how well a picture and its captions agree, and where the picture lies.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::defenses::Vectors;

use super::scores::cosine;
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
