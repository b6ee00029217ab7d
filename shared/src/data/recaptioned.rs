//! A set with other captions: words put into them, as one asks a model that may have a text backdoor, or parts of them.

use std::sync::Arc;

use super::{Class, Dataset, Example};
use crate::digest::Digest;
use crate::image::Image;
use crate::triggers::Words;
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
        let name = format!("{}/{label}", base.name());
        Ok(Self::with(base, name, digest, captions))
    }

    /// `base` with `words` in all captions. Rows keep their content digest: it says which sample was asked about.
    pub fn worded(base: Arc<dyn Dataset>, words: &Words) -> Self {
        let put = |row: &Example| row.captions.iter().map(|c| words.apply(c)).collect();
        let captions = base.examples().iter().map(put).collect();
        let digest = Digest::of(&(base.digest(), words));
        let name = format!("{}+words", base.name());
        Self::with(base, name, digest, captions)
    }

    fn with(
        base: Arc<dyn Dataset>,
        name: String,
        digest: Digest,
        captions: Vec<Vec<String>>,
    ) -> Self {
        let with = |(row, captions): (&Example, Vec<String>)| Example { captions, ..row.clone() };
        let examples = base.examples().iter().zip(captions).map(with).collect();
        Self { base, name, examples, digest }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::Synthetic;

    #[test]
    fn captions_are_others_and_rows_are_the_same() {
        let base: Arc<dyn Dataset> = Arc::new(Synthetic::train());
        let rows = base.examples().len();
        let new = |captions| Recaptioned::new(Arc::clone(&base), "words", captions);
        let set = new(vec![vec!["ewe".to_owned()]; rows]).unwrap();
        assert!(set.examples().iter().all(|row| row.captions == ["ewe"]));
        assert_eq!(set.examples()[1].content, base.examples()[1].content);
        assert_ne!(set.digest(), base.digest());
        for wrong in [vec![vec!["ewe".to_owned()]; rows - 1], vec![vec![]; rows]] {
            assert!(new(wrong).err().unwrap().to_string().contains("give each row at least one"));
        }
    }
}
