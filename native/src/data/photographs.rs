//! Pairs whose pictures are files below one folder, decoded when asked for.

use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use toxiclip_shared::data::{Class, Dataset, Example, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::{Error, Result};

use crate::failure::Failure;

/// One picture with its captions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Photograph {
    /// The sample's id.
    pub id: String,
    /// Where it lies.
    pub file: PathBuf,
    /// Index of its class.
    pub class: Option<usize>,
    /// Never empty.
    pub captions: Vec<String>,
}

/// A data set of files.
pub(super) struct Photographs {
    name: String,
    files: Vec<PathBuf>,
    classes: Vec<Class>,
    examples: Vec<Example>,
    digest: Digest,
}

impl Photographs {
    /// Reads every file once for its digest; pictures are decoded later. Ids are unique.
    ///
    /// # Errors
    /// If there is no row, or a picture is missing; names it.
    pub(super) fn new(
        name: &str,
        classes: Vec<Class>,
        rows: Vec<Photograph>,
    ) -> Result<Self, Failure> {
        let example = |row: Photograph| {
            let bytes = std::fs::read(&row.file).map_err(|e| Failure::io(&row.file, &e))?;
            let content = Digest::of(&(Digest::of_bytes(&bytes), &row.captions));
            let Photograph { id, file, class, captions } = row;
            Ok((file, Example { id: PairId(id), class, captions, content }))
        };
        let both: Vec<(PathBuf, Example)> =
            rows.into_par_iter().map(example).collect::<Result<_, Failure>>()?;
        let (files, examples): (_, Vec<Example>) = both.into_iter().unzip();
        if examples.is_empty() {
            return Err(Failure::request(format!("{name} has no picture; check its list")));
        }
        let digest = digest_of(&classes, &examples);
        Ok(Self { name: name.to_owned(), files, classes, examples, digest })
    }

    /// With the digest that [`super::retrieval`]'s sets had before there were larger ones: results name it.
    pub(super) fn digested_whole(self) -> Self {
        Self { digest: Digest::of(&(&self.classes, &self.examples)), ..self }
    }
}

/// Whether a path that a list gives stays below the folder that it is relative to.
pub(super) fn stays_below(path: &str) -> bool {
    Path::new(path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}

/// Digest of all rows by way of each, as the text of millions would not fit into memory.
pub(super) fn digest_of(classes: &[Class], examples: &[Example]) -> Digest {
    let each: Vec<Digest> = examples.par_iter().map(Digest::of).collect();
    Digest::of(&(classes, each))
}

impl Dataset for Photographs {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        decode(&self.files[index])
    }
}

/// A picture file; its content decides the format, as photographs often carry a wrong ending.
pub(super) fn decode(file: &Path) -> Result<Image> {
    let io = |source| Error::Io { path: file.display().to_string(), source };
    decode_bytes(&file.display(), &std::fs::read(file).map_err(io)?)
}

/// As [`decode`], from a file's content; `name` is for errors. As by Pillow, nothing is turned that a camera's note says should
/// be. Alpha stays, so that drawings survive being written and read.
pub(super) fn decode_bytes(name: &dyn std::fmt::Display, bytes: &[u8]) -> Result<Image> {
    let wrong = |e: image::ImageError| {
        let text = e.to_string().replace('\n', " ");
        Error::input(name, format!("cannot be read as a picture ({text}); remove it"))
    };
    let rgba = image::load_from_memory(bytes).map_err(wrong)?.into_rgba8();
    Image::new(rgba.width() as usize, rgba.height() as usize, rgba.into_raw())
}
