//! Data sets that users bring: where they lie below `--data-root`, and where to get them.

use std::path::{Path, PathBuf};

use toxiclip_shared::data::Splits;

use super::published::Published;
use super::{cifar, coco, csv, imagenet, karpathy, oxford_pets, token_file, visual_genome};
use crate::failure::{Failure, Result};

/// A data set that does not come with the program.
pub struct Brought {
    /// The name that configurations use.
    pub name: &'static str,
    /// One line: what is in it.
    pub summary: &'static str,
    /// Places below the root, of which the first that exists is read.
    pub places: &'static [&'static str],
    /// What lies there.
    pub layout: &'static str,
    /// Where to get it.
    pub origin: &'static str,
    /// On which terms.
    pub licence: &'static str,
    /// The paper.
    pub reference: &'static str,
    /// Whether its test split is asked zero-shot, and whether retrieval.
    pub tasks: (bool, bool),
    pub(super) read: fn(&Brought, &Path) -> Result<Splits>,
    pub(super) prompts: fn(Published) -> Vec<String>,
}

/// All of them.
pub const BROUGHT: &[&Brought] = &[
    &imagenet::IMAGENET,
    &imagenet::V2,
    &imagenet::A,
    &imagenet::R,
    &imagenet::SKETCH,
    &cifar::CIFAR_10,
    &cifar::CIFAR_100,
    &oxford_pets::OXFORD_PETS,
    &coco::COCO_2014,
    &coco::COCO_2017,
    &karpathy::COCO,
    &karpathy::FLICKR30K,
    &token_file::FLICKR30K,
    &csv::CC3M,
    &visual_genome::VISUAL_GENOME,
];

impl Brought {
    /// Reads it from below `root`, every file once for its digest.
    ///
    /// # Errors
    /// If `root` is not given, or something below it is missing or malformed; says where to get it.
    pub(super) fn open(&self, root: Option<&Path>) -> Result<Splits> {
        match root {
            Some(root) => (self.read)(self, root),
            None => Err(Failure::request(format!(
                "dataset {} does not come with the program: give --data-root DIR with {}; {}",
                self.name,
                self.wanted(),
                self.remedy()
            ))),
        }
    }

    /// Zero-shot prompts with `{}` for the class.
    pub(super) fn templates(&self) -> Result<Vec<String>> {
        Ok((self.prompts)(Published::read()?))
    }

    /// The first of its places that exists.
    pub(super) fn place(&self, root: &Path) -> Result<PathBuf> {
        let found = self.places.iter().map(|place| root.join(place)).find(|path| path.exists());
        found.ok_or_else(|| self.missing(&root.join(self.places[0]), "is missing"))
    }

    /// `path` is not as this set has it.
    pub(super) fn missing(&self, path: &Path, why: &str) -> Failure {
        Failure::request(format!(
            "{} {why}: {} is read from {}; {}",
            path.display(),
            self.name,
            self.wanted(),
            self.remedy()
        ))
    }

    /// What must lie below the root.
    pub fn wanted(&self) -> String {
        format!("{}/{}", self.places.join(" or "), self.layout)
    }

    fn remedy(&self) -> String {
        format!("get it from {} ({})", self.origin, self.licence)
    }
}
