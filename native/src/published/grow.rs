//! A matrix of days grows: what is published of it and is not in the new run stays beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use toxiclip_shared::digest::Digest;

use super::coverage::LeftOut;
use super::{ROWS, verify};
use crate::evidence;
use crate::row::{self, Row, RowFile};

/// Adds to the folder `next` the models that `before`, a folder of the same benchmark, has more, and keeps their order. Nothing
/// is added of another program, whose rows would be no comparison.
///
/// # Errors
/// If a file of either is damaged, or `next` cannot be written to.
pub(super) fn from(before: &Path, next: &Path) -> Result<()> {
    if !before.join(ROWS).exists() {
        return Ok(());
    }
    let rows = next.join(ROWS);
    let own = row::read(&rows)?.rows;
    let mut old = row::read(&before.join(ROWS))?.rows;
    old.retain(|row| own.first().is_some_and(|first| first.code == row.code));
    let order: Vec<Digest> = old.iter().chain(&own).map(|row| row.run).collect();
    let renewed: BTreeSet<Digest> = own.iter().map(|row| row.run).collect();
    old.retain(|row| !renewed.contains(&row.run));
    if old.is_empty() {
        return Ok(());
    }
    let mut judged = evidence::read_all(&before.join(evidence::ALL))?;
    judged.extend(evidence::read_all(&next.join(evidence::ALL))?);
    let mut by_run: BTreeMap<Digest, Vec<Row>> = BTreeMap::new();
    for row in old.into_iter().chain(own) {
        by_run.entry(row.run).or_default().push(row);
    }
    judged.retain(|run, _| by_run.contains_key(run));
    fs::remove_file(&rows).with_context(|| rows.display().to_string())?;
    let (mut file, _) = RowFile::open(&rows)?;
    for row in order.iter().filter_map(|run| by_run.remove(run)).flatten() {
        file.append(&row)?;
    }
    evidence::write_all(&next.join(evidence::ALL), &judged)
}

/// Refuses what takes the place of the folder `before`, leaving `left_out` out of the benchmark, where that is more than `before`
/// does: rows of another program are not added to it, and would be gone.
///
/// # Errors
/// With what would be lost; if a file of `before` is damaged.
pub(super) fn loses_nothing(
    root: &Path,
    name: &str,
    before: &Path,
    left_out: LeftOut,
) -> Result<()> {
    if left_out.is_empty() || !before.join(ROWS).exists() {
        return Ok(());
    }
    // What does not answer the benchmark of today is not missed.
    if let (_, Ok(answered)) = verify::looked_at(root, name, before)? {
        let lost = left_out.beyond(&answered.left_out);
        let before = before.display();
        ensure!(
            lost.is_empty(),
            "{before} has also {lost}, by another program; run that too, or delete the folder first"
        );
    }
    Ok(())
}
