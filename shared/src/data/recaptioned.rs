//! A set with other captions, such as parts of its own.

use std::sync::Arc;

use super::{Class, Dataset, Example};
use crate::digest::Digest;
use crate::image::Image;
use crate::{Error, Result};

/// All rows of a set with captions in place of their own.
pub struct Recaptioned {
    base: Arc<dyn Dataset>,
    name: String,
    examples: Vec<Example>,
    digest: Digest,
}

impl Recaptioned {
    /// `base` with the captions of every row in turn; `label` says in its name why. Rows keep their content digest.
    ///
    /// # Errors
    /// If a row has no caption, or there are not as many lists as rows.
    pub fn new(base: Arc<dyn Dataset>, label: &str, captions: Vec<Vec<String>>) -> Result<Self> {
        let rows = base.examples();
        if captions.len() != rows.len() || captions.iter().any(Vec::is_empty) {
            return Err(Error::request(format!(
                "{label}: {} lists of captions for the {} rows of {}; give each row at least one",
                captions.len(),
                rows.len(),
                base.name()
            )));
        }
        let digest = Digest::of(&(base.digest(), &captions));
        let with = |(row, captions): (&Example, Vec<String>)| Example { captions, ..row.clone() };
        let examples = rows.iter().zip(captions).map(with).collect();
        let name = format!("{}/{label}", base.name());
        Ok(Self { base, name, examples, digest })
    }
}

impl Dataset for Recaptioned {
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
        self.base.image(index)
    }
    fn tokenizer(&self) -> Option<&str> {
        self.base.tokenizer()
    }
}
