//! The folders of published results: `SUBMITTER/NAME/` for today's protocol, `SUBMITTER/NAME@PROTOCOL/` for an older one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use toxiclip_shared::digest::Digest;

use super::coverage::LeftOut;
use super::entry::{Entry, FILE};
use super::verify::{self, Answered};
use super::{OWN, ROWS};
use crate::benchmark::{Benchmark, Protocol, called};
use crate::pipeline::known::Known;
use crate::report::aggregate::Results;
use crate::strict;

/// What stands between a benchmark's name and the protocol of an older version.
const VERSION: char = '@';

/// A folder with rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Folder {
    /// Whose.
    pub(crate) submitter: String,
    /// Of which benchmark.
    pub(crate) name: String,
    /// The protocol's first digits, where it is an older one.
    pub(crate) version: Option<String>,
    /// Its place.
    pub(crate) dir: PathBuf,
}

/// A folder whose values follow from its evidence.
#[derive(Debug)]
pub(crate) struct Published {
    /// Whose.
    pub(crate) submitter: String,
    /// Of which benchmark.
    pub(crate) name: String,
    /// The benchmark's line, or its name where it is gone.
    pub(crate) title: String,
    /// What lies beside the rows.
    pub(crate) entry: Entry,
    /// Rows and estimates.
    pub(crate) results: Results,
    /// Training and evaluation that all its cells have in common.
    pub(crate) recipe: Digest,
    /// Its place.
    pub(super) dir: PathBuf,
    /// Why it is not ranked beside today's.
    pub(crate) older: Option<String>,
    /// What of the benchmark has not been run yet.
    pub(crate) left_out: LeftOut,
    /// What its benchmark tells without a training; nothing for those of an older version.
    pub(super) known: Known,
    /// The benchmark as it is today; `None` for those of an older version.
    pub(super) benchmark: Option<Benchmark>,
    version: Option<String>,
}

impl Published {
    /// The folder's name below its submitter's.
    pub(crate) fn called(&self) -> String {
        match &self.version {
            Some(version) => format!("{}{VERSION}{version}", self.name),
            None => self.name.clone(),
        }
    }

    /// In words what it leaves out of its benchmark, if anything.
    pub(crate) fn left_out(&self) -> Option<String> {
        (!self.left_out.is_empty()).then(|| format!("not yet with {}", self.left_out))
    }
}

/// Every folder with rows below `results`, sorted.
///
/// # Errors
/// If a folder cannot be read, or has a name that none may have.
pub(crate) fn all(results: &Path) -> Result<Vec<Folder>> {
    let (mut found, mut folders) = (Vec::new(), vec![results.to_owned()]);
    while let Some(current) = folders.pop().filter(|f| f.is_dir()) {
        for entry in fs::read_dir(&current).with_context(|| current.display().to_string())? {
            folders.extend(Some(entry?.path()).filter(|path| path.is_dir()));
        }
        let parts = current.strip_prefix(results).unwrap_or(&current).iter();
        let parts: Vec<String> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
        if let ([submitter, name @ ..], true) = (&parts[..], current.join(ROWS).exists()) {
            found.push(folder(submitter, &name.join("/"), current)?);
        }
    }
    found.sort();
    Ok(found)
}

fn folder(submitter: &str, called: &str, dir: PathBuf) -> Result<Folder> {
    let plain = strict::name("submitter", submitter).and_then(|()| strict::name("folder", called));
    if let Err(why) = plain {
        bail!("{}: {why}", dir.display());
    }
    let (name, version) = match called.rsplit_once(VERSION) {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (called, None),
    };
    Ok(Folder { submitter: submitter.to_owned(), name: name.to_owned(), version, dir })
}

/// Recomputes a folder. Our own newest results must answer the benchmark as it is today; results of others, and those of
/// older protocols, are marked where they do not.
///
/// # Errors
/// On the first thing that does not follow, or is not as the folder's name says.
pub(super) fn recompute(root: &Path, folder: &Folder) -> Result<Published> {
    let entry = Entry::read(&folder.dir, &folder.submitter, &folder.name)?;
    let place = folder.dir.display();
    // One that is gone leaves its results behind; one that is damaged is an error.
    let spec = root.join(format!("benchmarks/{}.toml", folder.name));
    let benchmark = match spec.exists() {
        true => Some(verify::benchmark(root, &folder.name)?),
        false => None,
    };
    let protocol = |benchmark| Protocol::of(benchmark, None).map(|protocol| protocol.digest());
    let today = benchmark.as_ref().map(protocol).transpose()?;
    let same = today == Some(entry.protocol);
    let short = called(entry.protocol);
    match &folder.version {
        Some(version) => {
            ensure!(*version == short, "{place}: its protocol is {short}; name the folder so");
            ensure!(!same, "{place}: its protocol is today's; leave {VERSION}{version} out");
        }
        None if !same && folder.submitter == OWN => {
            let today = today.map_or_else(|| "gone".to_owned(), called);
            bail!(
                "{place}: its protocol is {short}, today's is {today}; run the benchmark again, or keep it as {}{VERSION}{short}",
                folder.name
            );
        }
        None => {}
    }
    let newest = match (same, folder.submitter == OWN) {
        (true, true) => Some(verify::verified(root, &folder.name, &folder.dir)?),
        // Others do not have to follow when a benchmark is changed here; what is wrong is wrong for them too.
        (true, false) => match verify::looked_at(root, &folder.name, &folder.dir)? {
            (benchmark, Ok(answered)) if answered.left_out.seeds.is_empty() => {
                Some((benchmark, answered))
            }
            _ => None,
        },
        (false, _) => None,
    };
    let (older, benchmark, answered) = match newest {
        Some((benchmark, answered)) => (None, Some(benchmark), answered),
        None => {
            let results = verify::recomputed(&folder.name, &folder.dir)?;
            let (left_out, known) = (LeftOut::default(), Known::default());
            (Some(why(same, today)), None, Answered { results, left_out, known })
        }
    };
    let Answered { results, left_out, known } = answered;
    let title = benchmark.as_ref().map_or_else(|| folder.name.clone(), |b| b.title.clone());
    let recipe = benchmark.as_ref().map_or(entry.protocol, Benchmark::recipe);
    let Folder { submitter, name, version, dir } = folder.clone();
    Ok(Published {
        submitter,
        name,
        title,
        entry,
        results,
        recipe,
        dir,
        older,
        left_out,
        known,
        benchmark,
        version,
    })
}

fn why(same: bool, today: Option<Digest>) -> String {
    match (same, today) {
        (true, _) => "it is not all of the benchmark as it is today".to_owned(),
        (false, Some(today)) => format!("today's protocol is {}", called(today)),
        (false, None) => "there is no such benchmark any more".to_owned(),
    }
}

/// Writes `entry.json` of our own folders that have none, which must answer their benchmark as it is today.
///
/// # Errors
/// If one does not.
pub(super) fn describe_own(root: &Path, results: &Path) -> Result<()> {
    for folder in all(results)? {
        let missing = !folder.dir.join(FILE).exists();
        if missing && folder.submitter == OWN && folder.version.is_none() {
            let (benchmark, _) = verify::verified(root, &folder.name, &folder.dir)?;
            let protocol = Protocol::of(&benchmark, None)?.digest();
            Entry::of(&folder.dir, OWN, &folder.name, protocol)?.write(&folder.dir)?;
        }
    }
    Ok(())
}
