//! What must not share a column: rows of other data, another protocol or other code. A report refuses them unless it
//! is asked to go on, and then says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;
use toxiclip_shared::digest::Digest;

use super::extras::ReportExtras;
use crate::row::Row;

/// One note per mixture that was allowed.
///
/// # Errors
/// If rows come from several commits, one data set from several versions, or one cell from several configurations,
/// and `allowed` is off.
pub(super) fn refuse(rows: &[(Row, PathBuf)], allowed: bool) -> Result<Vec<String>> {
    let mut codes: Vec<String> = Vec::new();
    let mut data: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut configs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (row, _) in rows {
        add(&mut codes, code(row));
        add(data.entry(&row.dataset).or_default(), row.data.short());
        add(configs.entry(cell(row)).or_default(), row.config.short());
    }
    let mut mixtures = vec![("commits".to_owned(), codes)];
    mixtures.extend(data.into_iter().map(|(name, all)| (format!("versions of {name}"), all)));
    mixtures.extend(
        configs
            .into_iter()
            .map(|(cell, all)| (format!("configurations (recipe, protocol) of {cell}"), all)),
    );
    judge(mixtures, allowed)
}

/// The same for run directories: what all their cells have in common must be the same.
///
/// # Errors
/// If they differ and `allowed` is off.
pub(super) fn refuse_protocols(all: &[ReportExtras], allowed: bool) -> Result<Vec<String>> {
    let mut protocols = Vec::new();
    for extras in all {
        add(&mut protocols, extras.protocol.map_or("unknown".into(), |digest| digest.short()));
    }
    judge(vec![("protocols or recipes".to_owned(), protocols)], allowed)
}

/// Why the rows of one report cannot be compared with each other although they may share it.
pub(super) fn unfit(rows: &[Row]) -> Option<String> {
    let dirty = rows.iter().find(|row| row.code.dirty)?;
    Some(format!("rows of modified sources ({})", code(dirty)))
}

fn judge(mixtures: Vec<(String, Vec<String>)>, allowed: bool) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (what, all) in mixtures.into_iter().filter(|(_, all)| all.len() > 1) {
        let mixture = format!("{} {what} in one column: {}", all.len(), all.join(", "));
        if !allowed {
            bail!("{mixture}; report them apart, or say --allow-mixed");
        }
        notes.push(mixture);
    }
    Ok(notes)
}

fn code(row: &Row) -> String {
    let commit: String = row.code.commit.chars().take(12).collect();
    format!("{commit}{}", if row.code.dirty { " (modified)" } else { "" })
}

/// A cell in words and, as two may share these, by a digest of what its rows say before anything has run.
fn cell(row: &Row) -> String {
    const OF_THE_RUN: [&str; 15] = [
        "run",
        "benchmark",
        "seed",
        "metric",
        "value",
        "lo",
        "hi",
        "n",
        "config",
        "data",
        "poison",
        "weights",
        "code",
        "machine",
        "seconds",
    ];
    let name = |spec: &Value| spec["name"].as_str().unwrap_or("?").to_owned();
    let mut fixed = serde_json::to_value(row).unwrap_or_default();
    if let Some(fields) = fixed.as_object_mut() {
        fields.retain(|key, _| key != "error" && !OF_THE_RUN.contains(&key.as_str()));
    }
    format!("{} × {} ({})", name(&row.attack), name(&row.defense), Digest::of(&fixed).short())
}

fn add(all: &mut Vec<String>, item: String) {
    if !all.contains(&item) {
        all.push(item);
    }
}
