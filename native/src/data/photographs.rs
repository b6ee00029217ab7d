//! Pairs whose pictures are files below one folder, decoded when asked for.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use toxiclip_shared::data::{Class, Dataset, Example, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::{Error, Result};

use crate::failure::Failure;

/// One picture with its captions, as a list of annotations gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Photograph {
    /// Path below the root; the sample's id.
    pub image: String,
    /// Name of its class.
    pub label: Option<String>,
    /// Never empty.
    pub captions: Vec<String>,
}

/// A data set of files.
pub(super) struct Photographs {
    name: String,
    root: PathBuf,
    classes: Vec<Class>,
    examples: Vec<Example>,
    digest: Digest,
}

impl Photographs {
    /// Reads every file once for its digest; pictures are decoded later. Labels must be among `classes`.
    ///
    /// # Errors
    /// If a picture is missing, or a label is no class; names it.
    pub(super) fn new(
        name: &str,
        root: &Path,
        classes: &[String],
        rows: Vec<Photograph>,
    ) -> Result<Self, Failure> {
        let example = |row: Photograph| {
            let class = row.label.as_ref().map(|label| {
                classes.iter().position(|c| c == label).ok_or_else(|| {
                    Failure::request(format!(
                        "{}: its label `{label}` is no class of {name}",
                        row.image
                    ))
                })
            });
            let file = root.join(&row.image);
            let bytes = std::fs::read(&file).map_err(|e| Failure::io(&file, &e))?;
            let content = Digest::of(&(Digest::of_bytes(&bytes), &row.captions));
            let class = class.transpose()?;
            Ok(Example { id: PairId(row.image), class, captions: row.captions, content })
        };
        let examples: Vec<Example> =
            rows.into_par_iter().map(example).collect::<Result<_, Failure>>()?;
        let class = |name: &String| Class { name: name.clone(), subgroup: String::new() };
        let classes: Vec<Class> = classes.iter().map(class).collect();
        let digest = Digest::of(&(&classes, &examples));
        Ok(Self { name: name.to_owned(), root: root.to_owned(), classes, examples, digest })
    }
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
        decode(&self.root.join(&self.examples[index].id.0))
    }
}

/// A picture file; its content decides the format, as photographs often carry a wrong ending.
pub(super) fn decode(file: &Path) -> Result<Image> {
    let wrong = |e: image::ImageError| {
        let text = e.to_string().replace('\n', " ");
        Error::input(file.display(), format!("cannot be read as a picture ({text}); remove it"))
    };
    let reader = image::ImageReader::open(file)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|source| Error::Io { path: file.display().to_string(), source })?;
    let rgba = reader.decode().map_err(wrong)?.into_rgba8();
    Image::new(rgba.width() as usize, rgba.height() as usize, rgba.into_raw())
}
