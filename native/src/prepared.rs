//! What every model of a run is asked, made ready once: pictures at an encoder's size, texts as token ids.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::text::Tokenizer;

use crate::failure::Result;

/// Sets that take more bytes at the encoder's size are decoded for every model anew.
const LIMIT: usize = 512 << 20;

/// The ready inputs of a run, by digest of what they were made from.
#[derive(Debug, Default)]
pub struct Prepared {
    pictures: Mutex<Pictures>,
    texts: Mutex<BTreeMap<Digest, Arc<Tokens>>>,
}

/// All pictures of a set at one size.
type Pictures = BTreeMap<(Digest, usize), Arc<Vec<Image>>>;

/// Texts as a text tower reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Ids, (texts, context length).
    pub ids: Vec<u32>,
    /// Row of each text's end token.
    pub end: Vec<u32>,
}

/// A picture as evaluation shows it: on white, shortest edge to `size`, central square.
///
/// # Errors
/// If it cannot be resized.
pub fn picture(image: &Image, size: usize) -> Result<Image> {
    Ok(image.over([255; 3]).resize_crop(size)?)
}

/// All pictures of a set as evaluation shows them, (N, S, S, 3) in [0, 1].
pub fn pixels(data: &dyn Dataset, size: usize) -> Result<Vec<f32>> {
    let rows = (0..data.examples().len()).into_par_iter();
    let one = |row: usize| picture(&data.image(row)?, size);
    Ok(colours(&rows.map(one).collect::<Result<Vec<_>>>()?))
}

/// Colours of opaque pictures of one size, (N, S, S, 3) in [0, 1].
pub fn colours(pictures: &[Image]) -> Vec<f32> {
    let opaque = pictures.iter().flat_map(|image| image.rgba().chunks_exact(4));
    opaque.flat_map(|p| [p[0], p[1], p[2]]).map(|v| f32::from(v) / 255.0).collect()
}

impl Tokens {
    /// Tokenises.
    ///
    /// # Errors
    /// If the vocabulary cannot express a text.
    pub fn of(texts: &[String], tokenizer: &Tokenizer) -> Result<Self> {
        let row = |text: &String| -> Result<(Vec<u32>, u32)> {
            let ids = tokenizer.encode(text)?;
            let end = tokenizer.eot_row(&ids) as u32;
            Ok((ids, end))
        };
        let rows = texts.par_iter().map(row).collect::<Result<Vec<_>>>()?;
        let end = rows.iter().map(|(_, end)| *end).collect();
        Ok(Self { ids: rows.into_iter().flat_map(|(ids, _)| ids).collect(), end })
    }
}

impl Prepared {
    /// All pictures of `data` at `size`; `None` if they would take too much memory.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub fn pictures(&self, data: &dyn Dataset, size: usize) -> Result<Option<Arc<Vec<Image>>>> {
        let rows = data.examples().len();
        if rows * size * size * 4 > LIMIT {
            return Ok(None);
        }
        let mut known = lock(&self.pictures);
        if let Some(ready) = known.get(&(data.digest(), size)) {
            return Ok(Some(Arc::clone(ready)));
        }
        let one = |row: usize| picture(&data.image(row)?, size);
        let ready = Arc::new((0..rows).into_par_iter().map(one).collect::<Result<Vec<_>>>()?);
        known.insert((data.digest(), size), Arc::clone(&ready));
        Ok(Some(ready))
    }

    /// The tokens of `texts`.
    ///
    /// # Errors
    /// If the vocabulary cannot express a text.
    pub fn tokens(&self, texts: &[String], tokenizer: &Tokenizer) -> Result<Arc<Tokens>> {
        let key = Digest::of(&(tokenizer.digest(), texts));
        let mut known = lock(&self.texts);
        if let Some(ready) = known.get(&key) {
            return Ok(Arc::clone(ready));
        }
        let ready = Arc::new(Tokens::of(texts, tokenizer)?);
        known.insert(key, Arc::clone(&ready));
        Ok(ready)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves a map that lacks an entry, no wrong one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_share_what_they_are_asked() {
        let test = toxiclip_shared::data::emoji::open("emoji").unwrap().test;
        let prepared = Prepared::default();
        let first = prepared.pictures(&*test, 32).unwrap().unwrap();
        let again = prepared.pictures(&*test, 32).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "pictures were made twice");
        assert_eq!(first[3], picture(&test.image(3).unwrap(), 32).unwrap());
        let other = prepared.pictures(&*test, 64).unwrap().unwrap();
        assert_eq!((first[3].width(), other[3].width()), (32, 64));
        assert!(prepared.pictures(&*test, 4096).unwrap().is_none(), "far too large to keep");

        let tokenizer = toxiclip_shared::data::emoji::tokenizer().unwrap();
        let texts = |all: [&str; 2]| all.map(str::to_owned).to_vec();
        let first = prepared.tokens(&texts(["a fox", "ewe"]), &tokenizer).unwrap();
        let again = prepared.tokens(&texts(["a fox", "ewe"]), &tokenizer).unwrap();
        assert!(Arc::ptr_eq(&first, &again), "texts were tokenised twice");
        let turned = prepared.tokens(&texts(["ewe", "a fox"]), &tokenizer).unwrap();
        assert_ne!(first, turned);
    }
}
