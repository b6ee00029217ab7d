//! Data sets by name: where pairs come from, and the prompts that go with them.

mod folder;

use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::data::{Dataset, Splits, emoji};

pub use folder::Folder;

use crate::argument::Source;
use crate::failure::Result;

/// The splits of a registered data set.
///
/// # Errors
/// If there is no set of that name; says which was probably meant.
pub fn named(name: &str) -> Result<Splits> {
    Ok(emoji::open(name)?)
}

/// The zero-shot prompts of a data set, with `{}` for the class name.
pub fn templates(name: &str) -> Vec<String> {
    if name.starts_with("emoji") {
        return emoji::captions::PROMPTS.map(str::to_owned).to_vec();
    }
    vec!["a photo of a {}.".to_owned()]
}

/// Pairs that a defender has beside the victim's: several data sets as one.
///
/// # Errors
/// If a name is unknown, or a set is the victim's.
pub fn holdings(names: &[String]) -> Result<Arc<dyn Dataset>> {
    Ok(emoji::holdings(names)?)
}

/// The pictures that are searched at test time, beside the pairs that a command trains on: the test split, or the
/// folder itself, which has no other.
///
/// # Errors
/// If the source cannot be read.
pub fn gallery(source: &Source, training: &Arc<dyn Dataset>) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Folder(_) => Ok(Arc::clone(training)),
        Source::Named(name) => Ok(named(name)?.test),
    }
}

/// The pairs that a command trains on.
///
/// # Errors
/// If the source cannot be read or has nothing to train on.
pub fn training(source: &Source) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Folder(dir) => Ok(Arc::new(Folder::classes(dir)?)),
        Source::Named(name) => named(name)?.train.ok_or_else(|| {
            crate::failure::Failure::request(format!(
                "{name} has no training split; it is for evaluation"
            ))
        }),
    }
}

/// The pictures that a command embeds: the test split of a data set, or a folder.
///
/// # Errors
/// If the source cannot be read.
pub fn pictures(source: &Source) -> Result<Arc<dyn Dataset>> {
    match source {
        Source::Folder(dir) => Ok(Arc::new(Folder::classes(dir)?)),
        Source::Named(dir) if Path::new(dir).is_dir() => {
            Ok(Arc::new(Folder::plain(Path::new(dir))?))
        }
        Source::Named(name) => Ok(named(name)?.test),
    }
}
