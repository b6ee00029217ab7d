//! A clean set with a trigger on every picture: what is asked of a model that may have a backdoor.

use std::sync::Arc;

use super::{Class, Dataset, Example};
use crate::Result;
use crate::digest::Digest;
use crate::image::Image;
use crate::triggers::Trigger;

/// All rows of a set, their pictures stamped.
pub struct Triggered {
    base: Arc<dyn Dataset>,
    trigger: Trigger,
    name: String,
    digest: Digest,
}

impl Triggered {
    /// `base` under `trigger`.
    pub fn new(base: Arc<dyn Dataset>, trigger: Trigger) -> Self {
        let digest = Digest::of(&(base.digest(), &trigger));
        let name = format!("{}+trigger", base.name());
        Self { base, trigger, name, digest }
    }
}

impl Dataset for Triggered {
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
        self.base.examples()
    }
    fn image(&self, index: usize) -> Result<Image> {
        self.trigger.apply(&self.base.image(index)?, &self.base.examples()[index].id)
    }
    fn tokenizer(&self) -> Option<&str> {
        self.base.tokenizer()
    }
}
