//! Checkpoints behind the rows of a bundle: found by the digest of their weights, and packed if asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toxiclip_shared::checkpoint::PROVENANCE;
use toxiclip_shared::digest::Digest;

use crate::failure::{Failure, Result};

/// Folders above a checkpoint: the stage and the key of a cache.
const DEPTH: usize = 2;

/// Folders with checkpoints at `dir` or at most two folders below it, by the weights that they say they have. Whoever loads
/// one asks whether it has them.
///
/// # Errors
/// If a folder or a record in it cannot be read.
pub(super) fn below(dir: &Path) -> Result<BTreeMap<Digest, PathBuf>> {
    let mut found = BTreeMap::new();
    collect(dir, DEPTH, &mut found)?;
    Ok(found)
}

fn collect(dir: &Path, depth: usize, found: &mut BTreeMap<Digest, PathBuf>) -> Result<()> {
    #[derive(Deserialize)]
    struct Record {
        weights: Digest,
    }
    let path = dir.join(PROVENANCE);
    if path.exists() {
        let text = fs::read(&path).map_err(|e| Failure::io(&path, &e))?;
        let Record { weights } = serde_json::from_slice(&text).map_err(|e| {
            let why = "it does not say which weights it is about; take its folder out of the way";
            Failure::request(format!("{}: {why} ({e})", path.display()))
        })?;
        found.insert(weights, dir.to_owned());
    }
    if depth > 0 {
        // The system's order is its own; which of two folders with the same weights is found does not matter.
        for entry in fs::read_dir(dir).map_err(|e| Failure::io(dir, &e))? {
            let path = entry.map_err(|e| Failure::io(dir, &e))?.path();
            if path.is_dir() {
                collect(&path, depth - 1, found)?;
            }
        }
    }
    Ok(())
}

/// The files of all of these checkpoints as members of a bundle, `checkpoint-DIGEST/FILE`.
///
/// # Errors
/// If one is not below `dir`, or cannot be read.
pub(super) fn members(wanted: &BTreeSet<Digest>, dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let known = below(dir)?;
    let mut members = BTreeMap::new();
    for weights in wanted {
        let Some(place) = known.get(weights) else {
            return Err(Failure::request(format!(
                "no checkpoint with weights {} below {}; give the folder with --checkpoints",
                weights.short(),
                dir.display()
            )));
        };
        for name in toxiclip_shared::checkpoint::FILES {
            let path = place.join(name);
            // A checkpoint has no file that it does not need.
            if path.exists() {
                let bytes = fs::read(&path).map_err(|e| Failure::io(&path, &e))?;
                members.insert(format!("checkpoint-{}/{name}", weights.short()), bytes);
            }
        }
    }
    Ok(members)
}
