//! `entry.json` beside published rows: whose they are, by which protocol they were measured, and what the files must be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;

use super::ROWS;
use crate::evidence;
use crate::files::write_whole;
use crate::strict;

/// Its file.
pub(crate) const FILE: &str = "entry.json";
/// The files that an entry is made of.
const FILES: [&str; 2] = [ROWS, evidence::ALL];

/// `entry.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Who submitted it: the first folder below the results.
    pub(crate) submitter: String,
    /// Path of the benchmark below `benchmarks/`, without its ending.
    pub(crate) benchmark: String,
    /// Digest of the protocol by which it was measured.
    pub(crate) protocol: Digest,
    /// The day of the submission, where somebody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<String>,
    /// What it ran on, where it came as a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Value>,
    /// The address below which its checkpoints lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoints: Option<String>,
    /// What was checked before it was accepted, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) verifications: Vec<Verification>,
    /// sha256 of rows and evidence.
    pub(crate) files: BTreeMap<String, Digest>,
}

/// A look at an entry by a program that recomputes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    /// The program: version and commit.
    pub(crate) by: String,
    /// A line for each check that was passed.
    pub(crate) passed: Vec<String>,
    /// A line for each check that could not be made, with the reason.
    pub(crate) skipped: Vec<String>,
    /// Judgements that were put to their checkpoints again.
    #[serde(default)]
    pub(crate) replayed: usize,
}

impl Entry {
    /// An entry about the files in `dir`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn of(
        dir: &Path,
        submitter: &str,
        benchmark: &str,
        protocol: Digest,
    ) -> Result<Self> {
        Ok(Self {
            submitter: submitter.to_owned(),
            benchmark: benchmark.to_owned(),
            protocol,
            date: None,
            environment: None,
            checkpoints: None,
            verifications: Vec::new(),
            files: digests(dir)?,
        })
    }

    /// Reads that of a folder, and compares the files with it.
    ///
    /// # Errors
    /// If it is missing, damaged, or about other files or another folder; one line with the remedy.
    pub(crate) fn read(dir: &Path, submitter: &str, benchmark: &str) -> Result<Self> {
        let path = dir.join(FILE);
        let remedy = "`cargo xtask check-results --update` writes that of your own newest results";
        let text = fs::read(&path).with_context(|| format!("{}; {remedy}", path.display()))?;
        let place = path.display();
        strict::check(&text).map_err(|why| anyhow::anyhow!("{place}: {why}"))?;
        let entry: Self = serde_json::from_slice(&text).with_context(|| place.to_string())?;
        ensure!(
            (&entry.submitter[..], &entry.benchmark[..]) == (submitter, benchmark),
            "{place}: it is about {}/{}; move the folder there",
            entry.submitter,
            entry.benchmark
        );
        for (file, digest) in digests(dir)? {
            ensure!(
                entry.files.get(&file) == Some(&digest),
                "{place}: {file} is not the file that it is about; publish the run again"
            );
        }
        Ok(entry)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        Ok(write_whole(&dir.join(FILE), format!("{:#}\n", json!(self)).as_bytes())?)
    }
}

fn digests(dir: &Path) -> Result<BTreeMap<String, Digest>> {
    let digest = |file: &str| {
        let path = dir.join(file);
        let bytes = fs::read(&path)
            .with_context(|| format!("{}: no evidence file or no rows", path.display()))?;
        Ok((file.to_owned(), Digest::of_bytes(&bytes)))
    };
    FILES.into_iter().map(digest).collect()
}
