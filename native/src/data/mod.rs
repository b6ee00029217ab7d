//! Data sets by name: where pairs come from, and the prompts that go with them.

mod brought;
mod cifar;
mod coco;
mod csv;
mod devkit;
mod folder;
mod imagenet;
mod karpathy;
mod oxford_pets;
mod photographs;
mod published;
mod retrieval;
mod shards;
mod token_file;
mod visual_genome;

use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::data::{Dataset, PROMPT, Splits, emoji};

pub use brought::{BROUGHT, Brought};
pub use folder::Folder;
pub use retrieval::{RETRIEVAL, RetrievalSet};

use toxiclip_shared::registry::unknown;

use crate::argument::Source;
use crate::benchmark::Utility;
use crate::failure::{Failure, Result};

/// The splits of a registered data set: an embedded one, or one that lies below `root`.
///
/// # Errors
/// If there is no set of that name, with a guess which was meant; or its files are not there.
pub fn named(name: &str, root: Option<&Path>) -> Result<Splits> {
    if let Some(known) = RETRIEVAL.iter().find(|set| set.name == name) {
        return known.open(root);
    }
    if let Some(known) = BROUGHT.iter().find(|set| set.name == name) {
        return known.open(root);
    }
    if emoji::DATASETS.iter().any(|set| set.name == name) {
        return Ok(emoji::open(name)?);
    }
    let embedded = emoji::DATASETS.iter().map(|set| set.name);
    let theirs = BROUGHT.iter().map(|set| set.name);
    let names: Vec<&str> =
        embedded.chain(RETRIEVAL.iter().map(|set| set.name)).chain(theirs).collect();
    Err(Failure::request(unknown("data set", name, &names)))
}

/// The zero-shot prompts of a data set, with `{}` for the class name.
///
/// # Errors
/// Never for a program whose published prompts were tested.
pub fn templates(name: &str) -> Result<Vec<String>> {
    if let Some(known) = BROUGHT.iter().find(|set| set.name == name) {
        return known.templates();
    }
    if name.starts_with("emoji") {
        return Ok(emoji::captions::PROMPTS.map(str::to_owned).to_vec());
    }
    Ok(vec![PROMPT.to_owned()])
}

/// The zero-shot prompts of a command's pictures: those of the data set or beside the shards, or the plain one.
///
/// # Errors
/// As [`templates`].
pub fn prompts(source: &Source) -> Result<Vec<String>> {
    match source {
        Source::Named(name) => templates(name),
        Source::Shards(pattern) => {
            let beside = shards::templates(pattern)?;
            Ok(beside.unwrap_or_else(|| vec![PROMPT.to_owned()]))
        }
        Source::Folder(_) | Source::Table(_) => Ok(vec![PROMPT.to_owned()]),
    }
}

/// Whether a task makes sense there: pictures that have labels alone have no captions to search with, and pairs without
/// classes nothing to classify.
pub fn answers(name: &str, task: Utility) -> bool {
    BROUGHT.iter().find(|set| set.name == name).is_none_or(|set| match task {
        Utility::ZeroShot => set.tasks.0,
        Utility::Retrieval => set.tasks.1,
        Utility::Shift => true,
    })
}

/// Pairs that a defender has beside the victim's: several data sets as one.
///
/// # Errors
/// If a name is unknown, or a set is the victim's.
pub fn holdings(names: &[String]) -> Result<Arc<dyn Dataset>> {
    Ok(emoji::holdings(names)?)
}

/// The pictures that are searched at test time, beside the pairs that a command trains on: the test split, or the
/// pairs themselves where they are a folder, a table or shards, which have no other.
///
/// # Errors
/// If the source cannot be read.
pub fn gallery(
    source: &Source,
    root: Option<&Path>,
    training: &Arc<dyn Dataset>,
) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Named(name) => Ok(named(name, root)?.test),
        Source::Folder(_) | Source::Table(_) | Source::Shards(_) => Ok(Arc::clone(training)),
    }
}

/// The pairs that a command trains on.
///
/// # Errors
/// If the source cannot be read or has nothing to train on.
pub fn training(source: &Source, root: Option<&Path>) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Named(name) => named(name, root)?.train.ok_or_else(|| {
            Failure::request(format!("{name} has no training split; it is for evaluation"))
        }),
        located => pairs(located),
    }
}

/// The pictures that a command embeds: the test split of a data set, or a folder.
///
/// # Errors
/// If the source cannot be read.
pub fn pictures(source: &Source, root: Option<&Path>) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Named(dir) if root.is_none() && Path::new(dir).is_dir() => {
            Ok(Arc::new(Folder::plain(Path::new(dir))?))
        }
        Source::Named(name) if root.is_some() => Ok(named(name, root)?.test),
        Source::Named(name) => match named(name, None) {
            Ok(splits) => Ok(splits.test),
            Err(e) => Err(Failure::request(format!("{name}: no such folder, and {e}"))),
        },
        located => pairs(located),
    }
}

/// The pairs at a place.
fn pairs(source: &Source) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Folder(dir) => Ok(Arc::new(Folder::classes(dir)?)),
        Source::Table(file) => csv::pairs(file),
        Source::Shards(pattern) => Ok(Arc::new(shards::Shards::open(pattern)?)),
        Source::Named(name) => Err(Failure::request(format!("{name}: expected a place"))),
    }
}
