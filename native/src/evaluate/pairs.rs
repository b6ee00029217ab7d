//! What filters see of pairs: how well a picture and its captions agree, and where the picture lies.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::defenses::Vectors;
use toxiclip_shared::encoders::LOGIT_SCALE;
use toxiclip_shared::seed::Seed;

use super::scores::{Gallery, cosine};
use super::{Caption, captions, unique};
use crate::encode;
use crate::failure::{Failure, Result};
use crate::model::Model;

/// The pairs of a set under a model.
struct Pairs {
    dim: usize,
    /// Unit vectors, one a row, (N, dim).
    images: Vec<f32>,
    captions: Vec<Caption>,
    /// Unit vectors, one a caption, (M, dim).
    texts: Vec<f32>,
}

impl Pairs {
    fn of(model: &Model, data: &dyn Dataset) -> Result<Self> {
        let (dim, images) = (model.clip.config.embed_dim, encode::images(model, data)?);
        let captions = captions(data);
        let texts: Vec<String> = captions.iter().map(|c| c.text.clone()).collect();
        let texts = unique(&texts, |texts| encode::texts(model, texts))?;
        Ok(Self { dim, images, captions, texts })
    }

    fn picture(&self, row: usize) -> &[f32] {
        &self.images[row * self.dim..(row + 1) * self.dim]
    }

    fn text(&self, caption: usize) -> &[f32] {
        &self.texts[caption * self.dim..(caption + 1) * self.dim]
    }
}

/// Refuses numbers that are none, `each` of them for a row: what is said of the first.
fn finite(values: Vec<f32>, each: usize, data: &dyn Dataset, what: &str) -> Result<Vec<f32>> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(values),
        Some(at) => Err(Failure::failed(format!(
            "{}: its {what} is not finite; look at the training curve of the model that judges",
            data.examples()[at / each].id
        ))),
    }
}

/// 1 − cos(picture, caption) of every row, in [0, 2], averaged over its captions, (N).
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn distances(model: &Model, data: &dyn Dataset) -> Result<Vec<f32>> {
    let pairs = Pairs::of(model, data)?;
    let mut sums = vec![(0.0f32, 0u32); data.examples().len()];
    for (i, caption) in pairs.captions.iter().enumerate() {
        let (sum, count) = &mut sums[caption.row];
        *sum += 1.0 - cosine(pairs.picture(caption.row), pairs.text(i));
        *count += 1;
    }
    let means = sums.into_iter().map(|(sum, count)| sum / count.max(1) as f32).collect();
    finite(means, 1, data, "distance")
}

/// Captions cut down to the `keep` words, in their order, without which each agrees least with its picture; of equal ones the
/// first. A caption of fewer words stays. Row by row.
///
/// # Errors
/// If a picture cannot be read, or a caption cannot be tokenised.
pub fn hinges(model: &Model, data: &dyn Dataset, keep: usize) -> Result<Vec<Vec<String>>> {
    let (dim, images) = (model.clip.config.embed_dim, encode::images(model, data)?);
    let captions = captions(data);
    let words = |caption: &Caption| -> Vec<String> {
        caption.text.split_whitespace().map(str::to_owned).collect()
    };
    let without = |caption: &Caption| {
        let words = words(caption);
        let drop = |at: usize| [&words[..at], &words[at + 1..]].concat().join(" ");
        (0..words.len()).map(drop).collect::<Vec<_>>()
    };
    let less: Vec<String> = captions.iter().flat_map(without).collect();
    let texts = unique(&less, |texts| encode::texts(model, texts))?;
    let mut texts = texts.chunks_exact(dim);
    let mut out = vec![Vec::new(); data.examples().len()];
    for caption in &captions {
        let (words, picture) = (words(caption), &images[caption.row * dim..][..dim]);
        let left: Vec<f32> =
            texts.by_ref().take(words.len()).map(|text| cosine(picture, text)).collect();
        let mut order: Vec<usize> = (0..words.len()).collect();
        order.sort_by(|&a, &b| left[a].total_cmp(&left[b]));
        order.truncate(keep);
        order.sort_unstable();
        let kept: Vec<&str> = order.iter().map(|&at| words[at].as_str()).collect();
        out[caption.row].push(kept.join(" "));
    }
    Ok(out)
}

/// Pairs that a loss contrasts: the batch of the common recipes.
const BATCH: usize = 128;
/// Ways to part the set into batches.
const ROUNDS: usize = 10;

/// ½·[CE of its row + CE of its column] of every row among the rows of a batch, averaged over [`ROUNDS`] random ways to
/// part the set into batches of nearly the same size; captions take turns, (N).
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn losses(model: &Model, data: &dyn Dataset, seed: &Seed) -> Result<Vec<f32>> {
    let pairs = Pairs::of(model, data)?;
    let rows = data.examples().len();
    let mut own = vec![Vec::new(); rows];
    pairs.captions.iter().enumerate().for_each(|(i, caption)| own[caption.row].push(i));
    let scale = f64::from(model.weights.data(LOGIT_SCALE)[0]).exp();
    let mut sums = vec![0.0; rows];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..rows).collect();
        seed.child("losses").child(round).stream().shuffle(&mut order);
        let parts = rows.div_ceil(BATCH);
        for part in 0..parts {
            let batch = &order[part * rows / parts..(part + 1) * rows / parts];
            let text = |&row: &usize| pairs.text(own[row][round % own[row].len()]);
            let pictures: Vec<f32> =
                batch.iter().flat_map(|&row| pairs.picture(row)).copied().collect();
            let texts: Vec<f32> = batch.iter().flat_map(text).copied().collect();
            for (from, to) in [(&pictures, &texts), (&texts, &pictures)] {
                let gallery = Gallery::new(to, pairs.dim);
                for (i, query) in from.chunks_exact(pairs.dim).enumerate() {
                    sums[batch[i]] += cross_entropy(&gallery.cosines(query), i, scale) / 2.0;
                }
            }
        }
    }
    let means = sums.into_iter().map(|sum: f64| (sum / ROUNDS as f64) as f32).collect();
    finite(means, 1, data, "loss")
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
    Ok(Vectors { dim, values: finite(values, dim, data, "embedding")? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use toxiclip_shared::data::Subset;
    use toxiclip_shared::encoders::library;

    use super::*;

    #[test]
    fn a_word_is_kept_if_its_caption_hangs_on_it() {
        let train = crate::data::named("emoji", None).unwrap().train.unwrap();
        let rows: Arc<dyn Dataset> = Arc::new(Subset::new(train, "some", vec![0, 7]).unwrap());
        let config = library::find("tiny-resnet").unwrap();
        let model = Model::scratch(&config, &*rows, &Seed::new(1)).unwrap();
        let kept = hinges(&model, &*rows, 1).unwrap();
        let images = encode::images(&model, &*rows).unwrap();
        let dim = config.embed_dim;
        let mut moved = 0;
        for (row, kept) in kept.iter().enumerate() {
            let own: Vec<Caption> = captions(&*rows).into_iter().filter(|c| c.row == row).collect();
            assert_eq!(kept.len(), own.len());
            for (caption, kept) in own.iter().zip(kept) {
                let words: Vec<&str> = caption.text.split_whitespace().collect();
                let left = |out: &usize| {
                    let rest = words.iter().enumerate().filter(|(at, _)| at != out);
                    let rest: Vec<&str> = rest.map(|(_, word)| *word).collect();
                    let text = encode::texts(&model, &[rest.join(" ")]).unwrap();
                    cosine(&images[row * dim..][..dim], &text)
                };
                let least = (0..words.len()).min_by(|a, b| left(a).total_cmp(&left(b))).unwrap();
                assert_eq!(kept, words[least], "{}", caption.text);
                moved += usize::from(least > 0);
            }
        }
        assert!(moved > 0, "the first word is not always the one");
        let whole = hinges(&model, &*rows, 99).unwrap();
        assert_eq!(whole[0][0], captions(&*rows)[0].text);
    }
}
