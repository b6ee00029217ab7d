//! Pairs of images and captions: the data-set trait, and views that poison or thin out a set without copying it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::Image;
use crate::{Error, Result};

pub mod emoji;
mod mix;
mod poison;
mod recaptioned;
#[cfg(test)]
pub(crate) mod synthetic;
mod triggered;
mod words;

pub use mix::Mix;
pub use poison::{Edit, ImageEdit, Poison, Poisoned};
pub use recaptioned::Recaptioned;
pub use triggered::Triggered;
pub use words::class_words;

/// The prompt where nobody has published others, with `{}` for the class name.
pub const PROMPT: &str = "a photo of a {}.";

/// The name of a sample inside its data set, stable over versions of the set: `noto/ewe`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PairId(pub String);

impl std::fmt::Display for PairId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A class of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The name used in prompts and in goals: `ewe`.
    pub name: String,
    /// A coarser label, such as `animal-mammal`; empty where the set has none.
    pub subgroup: String,
}

/// One row of a data set: a picture (fetched by index) with all its captions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Its stable name.
    pub id: PairId,
    /// Index into [`Dataset::classes`]; `None` where the set has no labels.
    pub class: Option<usize>,
    /// Captions, never empty. Training draws one per epoch; retrieval evaluation uses all.
    pub captions: Vec<String>,
    /// Digest of pixels and captions: what a poison manifest checks before it edits.
    pub content: Digest,
}

/// An ordered set of pairs. Metadata are in memory; pixels are fetched by index.
pub trait Dataset: Send + Sync {
    /// Data-set and split, such as `emoji/train`.
    fn name(&self) -> &str;
    /// Digest over all rows: ids, classes, captions, pixels.
    fn digest(&self) -> Digest;
    /// All classes, also those without a row in this split.
    fn classes(&self) -> &[Class];
    /// The rows in their fixed order.
    fn examples(&self) -> &[Example];
    /// The picture of row `index`, in its own size, with alpha where the art has it.
    ///
    /// # Errors
    /// If the picture cannot be read or decoded; names the sample.
    fn image(&self, index: usize) -> Result<Image>;
    /// The `tokenizer.json` that comes with the set; `None` means one is made from its captions.
    fn tokenizer(&self) -> Option<&str> {
        None
    }
    /// What its reader had to leave out, in one line.
    fn remark(&self) -> Option<&str> {
        None
    }
}

/// The parts of a data set that a benchmark uses; all have the same classes.
#[derive(Clone)]
pub struct Splits {
    /// What training and attacks may touch; a set made for evaluation has none.
    pub train: Option<Arc<dyn Dataset>>,
    /// For choosing hyper-parameters.
    pub val: Option<Arc<dyn Dataset>>,
    /// What numbers are reported on.
    pub test: Arc<dyn Dataset>,
    /// What utility is reported on where a paper measures it elsewhere than its attacks.
    pub utility: Option<Arc<dyn Dataset>>,
}

/// Some rows of a set, in the given order.
pub struct Subset {
    base: Arc<dyn Dataset>,
    name: String,
    rows: Vec<usize>,
    examples: Vec<Example>,
    digest: Digest,
}

impl Subset {
    /// The rows `rows` of `base`; `label` says in its name why.
    ///
    /// # Errors
    /// If no row is left.
    pub fn new(base: Arc<dyn Dataset>, label: &str, rows: Vec<usize>) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::request(format!("{label}: no pair of {} is left", base.name())));
        }
        let examples = rows.iter().map(|&i| base.examples()[i].clone()).collect();
        let digest = Digest::of(&(base.digest(), &rows));
        let name = format!("{}/{label}", base.name());
        Ok(Self { base, name, rows, examples, digest })
    }
}

impl Dataset for Subset {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        self.base.classes()
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        self.base.image(self.rows[index])
    }
    fn tokenizer(&self) -> Option<&str> {
        self.base.tokenizer()
    }
}
