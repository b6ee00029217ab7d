//! A matrix of days grows: what is published of it and is not in the new run stays beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use toxiclip_shared::digest::Digest;

use super::ROWS;
use crate::evidence;
use crate::files::write_whole;
use crate::row::{self, Row};

/// Adds to the folder `next` the models that `before`, a folder of the same benchmark, has more, and keeps their order. Nothing
/// is added of another program, whose rows would be no comparison.
///
/// # Errors
/// If a file of either is damaged, or `next` cannot be written to.
pub(super) fn from(before: &Path, next: &Path) -> Result<()> {
    if !before.join(ROWS).exists() {
        return Ok(());
    }
    let own = row::read(&next.join(ROWS))?.rows;
    let mut old = row::read(&before.join(ROWS))?.rows;
    let code = own.first().map(|row| row.code.clone());
    old.retain(|row| Some(&row.code) == code.as_ref());
    let renewed: BTreeSet<Digest> = own.iter().map(|row| row.run).collect();
    let kept: BTreeSet<Digest> =
        old.iter().map(|row| row.run).filter(|run| !renewed.contains(run)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let mut judged = evidence::read_all(&before.join(evidence::ALL))?;
    judged.retain(|run, _| kept.contains(run));
    judged.extend(evidence::read_all(&next.join(evidence::ALL))?);
    write_whole(&next.join(ROWS), text(&old, own)?.as_bytes())?;
    evidence::write_all(&next.join(evidence::ALL), &judged)
}

/// The rows of both, those of a run from `own` if it has it; runs stand where they stood.
fn text(old: &[Row], own: Vec<Row>) -> Result<String> {
    let order: Vec<Digest> = old.iter().chain(&own).map(|row| row.run).collect();
    let mut by_run: BTreeMap<Digest, Vec<Row>> = BTreeMap::new();
    for row in own {
        by_run.entry(row.run).or_default().push(row);
    }
    let renewed: BTreeSet<Digest> = by_run.keys().copied().collect();
    for row in old.iter().filter(|row| !renewed.contains(&row.run)) {
        by_run.entry(row.run).or_default().push(row.clone());
    }
    let rows = order.into_iter().filter_map(|run| by_run.remove(&run)).flatten();
    let line = |row| Ok(serde_json::to_string(&row).context("a row is not JSON")? + "\n");
    rows.map(line).collect()
}
