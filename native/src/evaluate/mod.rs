//! From a model to evidence: embeddings of the test split, then one [`Judgement`] per query.
//!
//! Embedding is the expensive half and depends on the weights alone; judging is a function of embeddings, goals and
//! seed, and knows no model. All scores are cosines of unit vectors.

mod judge;
mod pairs;
mod scores;
mod screened;
mod shift;
mod targeted;
pub mod task;
#[cfg(test)]
mod tests;
mod triggered;
mod worded;

use std::path::Path;

use toxiclip_shared::checkpoint::container::{self, Blob, Dtype};
use toxiclip_shared::data::Dataset;

pub use judge::{Query, judge_goals, judge_utility};
pub use pairs::{distances, hinges, losses, places};
pub use screened::judge_screened;
pub use shift::judge_shift;
pub use targeted::judge_targeted;
pub use triggered::{judge_key, judge_trigger};
pub use worded::judge_worded;

use crate::encode;
use crate::failure::{Failure, Result};
use crate::model::Model;
use crate::prepared::Prepared;
use crate::store::write_atomic;

/// Raised when embeddings of the same model and data change.
pub const VERSION: u32 = 2;

/// A caption of a data set and the row it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// Index of the row.
    pub row: usize,
    /// The text.
    pub text: String,
}

/// Unit vectors of one model over one test split.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Width of a vector.
    pub dim: usize,
    /// One per row, `[N, dim]`.
    pub images: Vec<f32>,
    /// One per entry of [`captions`], `[M, dim]`.
    pub captions: Vec<f32>,
    /// One per class, the mean over its prompts, `[C, dim]`.
    pub classes: Vec<f32>,
}

/// All captions of a split in row order; a caption that a row has twice counts once.
pub fn captions(data: &dyn Dataset) -> Vec<Caption> {
    let mut out: Vec<Caption> = Vec::new();
    for (row, example) in data.examples().iter().enumerate() {
        for (i, text) in example.captions.iter().enumerate() {
            if !example.captions[..i].contains(text) {
                out.push(Caption { row, text: text.clone() });
            }
        }
    }
    out
}

/// The prompts of every class, class by class, in the order of the templates.
fn prompts(data: &dyn Dataset, templates: &[String]) -> Vec<String> {
    let of = |name: &str| templates.iter().map(|t| t.replace("{}", name)).collect::<Vec<_>>();
    data.classes().iter().flat_map(|class| of(&class.name)).collect()
}

/// Embeds pictures, captions and class prompts of a split; what is asked of several models is made ready once.
///
/// # Errors
/// If a picture cannot be read, or the model gives a number that is not finite.
pub fn embed(
    model: &Model,
    data: &dyn Dataset,
    templates: &[String],
    prepared: &Prepared,
) -> Result<Embeddings> {
    let Embeddings { dim, images, .. } = embed_pictures(model, data, prepared)?;
    let encode = |texts: &[String]| -> Result<Vec<f32>> {
        encode::tokens(model, &*prepared.tokens(texts, &model.tokenizer)?)
    };
    let texts: Vec<String> = captions(data).into_iter().map(|c| c.text).collect();
    let captions = unique(&texts, encode)?;
    let prompts = encode(&prompts(data, templates))?;
    let classes = by_class(&prompts, templates.len(), dim);
    Embeddings { dim, images, captions, classes }.finite(data)
}

/// The mean over the prompts of each class, made unit: (C, `dim`).
fn by_class(prompts: &[f32], templates: usize, dim: usize) -> Vec<f32> {
    let classes = prompts.chunks_exact((dim * templates).max(1));
    classes.flat_map(|class| scores::unit_mean(class, dim)).collect()
}

/// Embeds the class prompts of a set alone: (C, D).
///
/// # Errors
/// If the vocabulary cannot express a prompt.
pub fn embed_classes(model: &Model, data: &dyn Dataset, templates: &[String]) -> Result<Vec<f32>> {
    let prompts = encode::texts(model, &prompts(data, templates))?;
    Ok(by_class(&prompts, templates.len(), model.clip.config.embed_dim))
}

/// Embeds the pictures of a split alone; captions and classes are empty.
///
/// # Errors
/// As [`embed`].
pub fn embed_pictures(
    model: &Model,
    data: &dyn Dataset,
    prepared: &Prepared,
) -> Result<Embeddings> {
    let images = match prepared.pictures(data, model.clip.config.vision_cfg.image_size)? {
        Some(ready) => encode::pictures(model, &ready)?,
        None => encode::images(model, data)?,
    };
    let dim = model.clip.config.embed_dim;
    Embeddings { dim, images, captions: vec![], classes: vec![] }.finite(data)
}

/// Runs `encode` on the distinct texts and puts the vectors back in place: test captions of one concept are the
/// same under all its pictures.
fn unique(
    texts: &[String],
    encode: impl FnOnce(&[String]) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let mut distinct: Vec<String> = texts.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let vectors = encode(&distinct)?;
    let dim = vectors.len() / distinct.len().max(1);
    let mut out = Vec::with_capacity(texts.len() * dim);
    for text in texts {
        let at = distinct.partition_point(|d| d < text);
        out.extend_from_slice(&vectors[at * dim..(at + 1) * dim]);
    }
    Ok(out)
}

impl Embeddings {
    fn finite(self, data: &dyn Dataset) -> Result<Self> {
        match self.parts().iter().find(|(_, values)| values.iter().any(|x| !x.is_finite())) {
            None => Ok(self),
            Some((what, _)) => Err(Failure::failed(format!(
                "{}: the model's {what} embeddings are not finite; look at its training curve",
                data.name()
            ))),
        }
    }

    fn parts(&self) -> [(&'static str, &Vec<f32>); 3] {
        [("image", &self.images), ("caption", &self.captions), ("class", &self.classes)]
    }

    /// Writes a safetensors file with the tensors `image`, `caption` and `class`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let blob = |(name, values): (&str, &Vec<f32>)| Blob {
            name: name.to_owned(),
            dtype: Dtype::F32,
            shape: vec![values.len() / self.dim.max(1), self.dim],
            bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        let blobs = self.parts().map(blob);
        write_atomic(path, &container::write(&blobs, &std::collections::BTreeMap::new()))
    }

    /// Reads what [`Embeddings::write`] wrote.
    ///
    /// # Errors
    /// If the file is another.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Failure::io(path, &e))?;
        let damaged = |why: &str| Failure::failed(format!("{}: {why}; delete it", path.display()));
        let file = container::parse(&bytes).map_err(|e| damaged(&e))?;
        let part = |name: &str| -> Result<(usize, Vec<f32>)> {
            let view =
                file.tensors.get(name).filter(|v| v.dtype == Dtype::F32 && v.shape.len() == 2);
            let view = view.ok_or_else(|| damaged("no embeddings of this version"))?;
            let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            Ok((view.shape[1], view.bytes.chunks_exact(4).map(float).collect()))
        };
        let ((dim, images), (_, captions), (_, classes)) =
            (part("image")?, part("caption")?, part("class")?);
        Ok(Self { dim, images, captions, classes })
    }
}
