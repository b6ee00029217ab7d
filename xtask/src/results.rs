//! Published results and README's tables: checked, or brought up to date.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::step::{cargo, command};

/// Recomputes every published row from its evidence and compares README's tables with them. With `update` README is
/// spliced, after publishing a run folder if one is given.
pub(crate) fn run(update: Option<Option<PathBuf>>) -> Result<()> {
    let mut line = cargo("run --release --quiet --package toxiclip --example results --");
    match update {
        None => line.arg("check"),
        Some(None) => line.arg("update"),
        Some(Some(run)) => line.arg("update").arg(absolute(&run)?),
    };
    command(&mut line).map(drop)
}

/// Commands run in the repository, whatever folder the path was given in.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{}: give a folder that `toxiclip run` wrote", path.display()))
}
