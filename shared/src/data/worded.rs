//! A clean set with words in every caption: what is asked of a model that may have a text backdoor.

use std::sync::Arc;

use super::{Class, Dataset, Example};
use crate::Result;
use crate::digest::Digest;
use crate::image::Image;
use crate::triggers::Words;

/// All rows of a set, their captions with words in them.
pub struct Worded {
    base: Arc<dyn Dataset>,
    name: String,
    examples: Vec<Example>,
    digest: Digest,
}

impl Worded {
    /// `base` with `words` in all captions. Rows keep their content digest: it says which sample was asked about.
    pub fn new(base: Arc<dyn Dataset>, words: &Words) -> Self {
        let with = |example: &Example| Example {
            captions: example.captions.iter().map(|c| words.apply(c)).collect(),
            ..example.clone()
        };
        let examples = base.examples().iter().map(with).collect();
        let digest = Digest::of(&(base.digest(), words));
        let name = format!("{}+words", base.name());
        Self { base, name, examples, digest }
    }
}

impl Dataset for Worded {
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
