//! From a bundle to a folder of published results: checked, then laid out as a pull request brings it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::entry::{Entry, Verification};
use super::{lay_out, remove, replace};
use crate::bundle::{self, Contents, Report};
use crate::provenance::Code;
use crate::{row, strict};

/// Lays a bundle out as `RESULTS/SUBMITTER/NAME/`; `report` is what verifying it said. Returns the folder.
///
/// # Errors
/// If a name is not plain, the program was built from changed sources, the bundle names no protocol, or the folder
/// cannot be written to.
pub fn accept(
    bytes: &[u8],
    report: Report,
    submitter: &str,
    date: Option<&str>,
    results: &Path,
) -> Result<PathBuf> {
    let bad = |why: String| anyhow::anyhow!(why);
    strict::name("submitter", submitter).map_err(bad)?;
    ensure!(!submitter.contains(['/', '@']), "the submitter `{submitter}` is no plain name");
    if let Some(date) = date {
        day(date)?;
    }
    let unpacked = tempfile::tempdir().context("no folder for the bundle")?;
    let contents = bundle::lay_out_at(bytes, unpacked.path())?;
    let name = contents.benchmark().to_owned();
    ensure!(
        !contents.dirty(),
        "the bundle's program was built from changed sources; commit, then run and pack again"
    );
    let Some(protocol) = contents.protocol() else {
        bail!(
            "the bundle names no protocol; pack the run again, with --data-root where its data lie"
        );
    };
    let place = results.join(submitter).join(&name);
    let next = place.with_extension("next");
    let rows = row::read(&unpacked.path().join(super::ROWS))?.rows;
    lay_out(unpacked.path(), &rows, &next)?;
    let entry = Entry {
        date: date.map(str::to_owned),
        environment: environment(&contents),
        checkpoints: contents.link().map(str::to_owned),
        verifications: vec![verification(report)],
        ..Entry::of(&next, submitter, &name, protocol)?
    };
    let placed = entry.write(&next).and_then(|()| replace(&place, &next));
    if placed.is_err() {
        remove(&next)?;
    }
    placed?;
    Ok(place)
}

fn environment(contents: &Contents) -> Option<Value> {
    Some(contents.environment().clone()).filter(|environment| !environment.is_null())
}

fn verification(report: Report) -> Verification {
    let code = Code::of_this_build();
    let commit = code.commit.get(..12).unwrap_or(&code.commit);
    let by = format!("toxiclip {} at {commit}", env!("CARGO_PKG_VERSION"));
    let Report { passed, skipped, replayed } = report;
    Verification { by, passed, skipped, replayed }
}

/// `2026-01-31`.
fn day(date: &str) -> Result<()> {
    let parts: Vec<&str> = date.split('-').collect();
    let digits = |part: &str, length: usize| {
        part.len() == length && part.chars().all(|c| c.is_ascii_digit())
    };
    match parts[..] {
        [y, m, d] if digits(y, 4) && digits(m, 2) && digits(d, 2) => Ok(()),
        _ => bail!("the date `{}` is not like 2026-01-31", date.escape_debug()),
    }
}
