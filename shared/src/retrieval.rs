//! Pictures that are searched with words, in one file: the text tower of a model, and its unit vectors of a gallery.
//!
//! Pictures are embedded once, by whoever writes the file, so that a browser needs no image tower. The file is a safetensors
//! container: the tower's tensors under open_clip's names and `gallery` (N, D), both in half precision, and under
//! `__metadata__.retriever` a JSON object with the rest. The tokenizer is a file of its own, as several models share it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Provenance;
use crate::checkpoint::container::{self, Blob};
use crate::checkpoint::layout;
use crate::digest::{Digest, canonical_json};
use crate::encoders::{Clip, ClipConfig};
use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::metrics::ranking::{rank_of_best, top_k};
use crate::text::Tokenizer;
use crate::text_encoder::TextEncoder;
use crate::weights::Weights;
use crate::{Error, Result};

/// Key of the metadata.
const METADATA: &str = "retriever";
/// Name of the tensor of pictures' vectors.
const GALLERY: &str = "gallery";

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The encoder.
    pub config: ClipConfig,
    /// Pictures in the order of their vectors.
    pub pictures: usize,
    /// Digest of `tokenizer.json`.
    pub tokenizer: Digest,
    /// Digest of the checkpoint's weights, before they were rounded.
    pub weights: Digest,
    /// How they came about, and whether they are poisoned.
    pub provenance: Provenance,
}

/// A model and the pictures that it searches.
#[derive(Clone, Debug)]
pub struct Retriever {
    about: About,
    encoder: TextEncoder,
    /// Unit vectors (N, D).
    gallery: Vec<f32>,
}

/// What a text fetches.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// 0-based position of the best target among all pictures.
    pub rank: u32,
    /// The first pictures.
    pub top: Vec<usize>,
    /// Their cosines with the text.
    pub scores: Vec<f32>,
    /// That of the best target.
    pub best: f32,
}

/// A file that is to hold a model: its text tower, the unit vectors of the pictures (N, D), and what it says of itself.
///
/// # Panics
/// If the weights are of another encoder.
pub fn write(clip: &Clip, weights: &Weights, gallery: &[f32], about: &About) -> Vec<u8> {
    let mut blobs = layout::blobs(clip.text.params(), weights, Blob::f16);
    blobs.push(Blob::f16(GALLERY, vec![about.pictures, clip.config.embed_dim], gallery));
    let metadata = BTreeMap::from([(METADATA.to_owned(), canonical_json(about))]);
    container::write(&blobs, &metadata)
}

impl Retriever {
    /// Reads what [`write`] wrote; `tokenizer` is the text of its `tokenizer.json`, `origin` names the file in errors.
    ///
    /// # Errors
    /// If the file is malformed or cut, holds other tensors than its encoder has, or comes with another tokenizer.
    pub fn parse(file: &[u8], tokenizer: &str, origin: &str) -> Result<Self> {
        let refused = |why: String| Error::input(origin, why);
        let file = container::parse(file).map_err(refused)?;
        let Some(about) = file.metadata.get(METADATA) else {
            return Err(Error::input(origin, "is no retriever: its metadata do not say so"));
        };
        let about: About = serde_json::from_str(about).map_err(|e| refused(e.to_string()))?;
        if about.tokenizer != Digest::of_bytes(tokenizer.as_bytes()) {
            return Err(Error::input(
                origin,
                "comes with another tokenizer than it was trained with",
            ));
        }
        let config = ClipConfig::parse(&canonical_json(&about.config), origin)?;
        let tokenizer = Tokenizer::from_json(tokenizer, config.text_cfg.context_length)?;
        let clip = Clip::build(&config);
        let mut params = clip.text.params().to_vec();
        let (shape, init) = (vec![about.pictures, config.embed_dim], Init::Const(0.0));
        let (name, role, form) = (GALLERY.to_owned(), Role::Embedding, FileForm::Same);
        params.push(ParamSpec { name, shape, init, role, form });
        let weights = layout::read_params(file.tensors, params, origin, ParamSpec::clone)?;
        let gallery = weights.data(GALLERY).to_vec();
        Ok(Self { about, encoder: TextEncoder::new(&clip, weights, tokenizer)?, gallery })
    }

    /// What the file says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The ids that the tower reads of a text.
    ///
    /// # Errors
    /// If the vocabulary cannot express it.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        self.encoder.tokens(text)
    }

    /// The cosine of a text with every picture.
    ///
    /// # Errors
    /// If the text is empty, or the vocabulary cannot express it.
    pub fn similarities(&self, text: &str) -> Result<Vec<f32>> {
        if text.trim().is_empty() {
            return Err(Error::request("an empty caption fetches nothing; write some words"));
        }
        let unit = self.encoder.embed(&[text.to_owned()])?;
        let cosine = |picture: &[f32]| picture.iter().zip(&unit).map(|(a, b)| a * b).sum();
        Ok(self.gallery.chunks_exact(unit.len()).map(cosine).collect())
    }

    /// The first `count` pictures for a text, and where the best of `targets` stands.
    ///
    /// # Errors
    /// Those of [`Retriever::similarities`]; if there is no target, or one is no picture of the gallery.
    pub fn fetch(&self, text: &str, targets: &[usize], count: usize) -> Result<Fetched> {
        let scores = self.similarities(text)?;
        let best = rank_of_best(&scores, targets)?;
        let top = top_k(&scores, count)?;
        let of_top = top.iter().map(|&picture| scores[picture]).collect();
        Ok(Fetched { rank: best.rank, top, scores: of_top, best: scores[best.item] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::contrastive::normalize;
    use crate::seed::Seed;
    use crate::text_encoder::tests::fresh;

    const PICTURES: usize = 60;

    fn file() -> (Vec<u8>, String) {
        let (clip, weights, tokenizer) = fresh(7);
        let mut stream = Seed::new(8).stream();
        let gallery: Vec<f32> =
            (0..PICTURES * clip.config.embed_dim).map(|_| stream.normal()).collect();
        let gallery = normalize(&gallery, clip.config.embed_dim).0;
        let about = About {
            config: clip.config.clone(),
            pictures: PICTURES,
            tokenizer: Digest::of_bytes(tokenizer.to_json().as_bytes()),
            weights: weights.digest(),
            provenance: Provenance { poisoned: true, ..Provenance::default() },
        };
        (write(&clip, &weights, &gallery, &about), tokenizer.to_json().to_owned())
    }

    #[test]
    fn what_is_fetched_is_what_sorting_everything_gives() {
        let (file, tokenizer) = file();
        let read = Retriever::parse(&file, &tokenizer, "a.bin").unwrap();
        assert!(read.about().provenance.poisoned, "the mark of poison goes with the file");
        let targets = [40, 3, 17];
        for text in ["a fox", "an airplane", "x"] {
            let scores = read.similarities(text).unwrap();
            let mut order: Vec<usize> = (0..PICTURES).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let fetched = read.fetch(text, &targets, 10).unwrap();
            assert_eq!(fetched.top, order[..10], "{text}");
            let first = order.iter().position(|picture| targets.contains(picture)).unwrap();
            assert_eq!(fetched.rank as usize, first, "{text}");
            assert_eq!(fetched.best, scores[order[first]], "{text}");
            assert!(fetched.scores.windows(2).all(|w| w[0] >= w[1]), "{text}");
        }
    }

    /// Rounding to half precision moves no similarity by what a page would show.
    #[test]
    fn rounding_moves_little() {
        let (file, tokenizer) = file();
        let read = Retriever::parse(&file, &tokenizer, "a.bin").unwrap();
        let (clip, weights, tokenizer) = fresh(7);
        let whole = TextEncoder::new(&clip, weights, tokenizer).unwrap();
        let unit = whole.embed(&["a fox".to_owned()]).unwrap();
        let mut stream = Seed::new(8).stream();
        let gallery: Vec<f32> = (0..PICTURES * unit.len()).map(|_| stream.normal()).collect();
        let gallery = normalize(&gallery, unit.len()).0;
        let exact = gallery.chunks_exact(unit.len());
        for (own, picture) in read.similarities("a fox").unwrap().iter().zip(exact) {
            let cosine: f64 =
                picture.iter().zip(&unit).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(*own) - cosine).abs() < 1e-3, "{own} against {cosine}");
        }
    }

    #[test]
    fn what_cannot_be_searched_is_refused_in_one_line() {
        let (whole, tokenizer) = file();
        let line = |file: &[u8], tokenizer: &str| {
            let line = Retriever::parse(file, tokenizer, "a.bin").unwrap_err().to_string();
            assert!(!line.contains('\n'), "{line}");
            line
        };
        for length in [0, 8, whole.len() / 2, whole.len() - 1] {
            assert!(line(&whole[..length], &tokenizer).contains("a.bin"));
        }
        assert!(line(&whole, "{}").contains("another tokenizer"));
        let nothing = container::write(&[], &BTreeMap::new());
        assert!(line(&nothing, &tokenizer).contains("is no retriever"));
        let read = Retriever::parse(&whole, &tokenizer, "a.bin").unwrap();
        for text in ["", " \t"] {
            assert!(read.similarities(text).unwrap_err().to_string().contains("empty caption"));
        }
        assert!(
            read.fetch("a fox", &[], 5).is_err() && read.fetch("a fox", &[PICTURES], 5).is_err()
        );
    }
}
