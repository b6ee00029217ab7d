//! Published results: rows with their evidence below `benchmarks/results/`, and the tables of README made of them.
//!
//! `benchmarks/results/SUBMITTER/NAME/` holds `rows.jsonl` and `evidence.parquet` of one run of `benchmarks/NAME.toml`.
//! What lies under our own name is shown in README between `<!-- results:NAME -->` and `<!-- /results:NAME -->`, and a
//! line of each benchmark with a `[finding]` between those of the name `findings`. The catalogue of attacks and defenses
//! stands there too, as `toxiclip list` prints it; `www/catalogue/` has a page for each entry.

mod findings;
mod leaderboard;
mod pages;
mod readme;
mod verify;

pub(crate) use verify::{answered, asked, every_value};

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use self::findings::Findings;
use crate::catalogue::Kind;
use crate::files::write_whole;
use crate::{evidence, row};

/// The submitter whose results README shows.
const OWN: &str = "toxiclip";
const ROWS: &str = "rows.jsonl";

/// Recomputes all published rows of the repository at `root` from their evidence, and compares README's tables and
/// the pages of the catalogue with them. Returns a line for each folder and table.
///
/// # Errors
/// On the first row that does not follow from its evidence or is not what its benchmark asks for today; if README or a
/// page shows something else. One line, with the remedy.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let shown = shown(root)?;
    let mut said = shown.said;
    said.extend(readme::check(&read_readme(root)?, &shown.tables)?);
    said.extend(pages::check(root, &shown.pages)?);
    Ok(said)
}

/// Puts the tables of all published results into README, and writes the pages of the catalogue; changes nothing else.
///
/// # Errors
/// As [`check`], but for README's own text; or if README cannot be written.
pub fn splice(root: &Path) -> Result<Vec<String>> {
    let shown = shown(root)?;
    let mut text = read_readme(root)?;
    for (name, table) in &shown.tables {
        text = readme::splice(&text, name, table);
    }
    write_whole(&root.join("README.md"), text.as_bytes())?;
    pages::write(root, &shown.pages)?;
    Ok(shown.said)
}

/// Publishes a run folder, or every run folder directly below `folder`, under our name in place of its predecessor,
/// then does as [`splice`].
///
/// Evidence is kept without the nearest items and their scores, which pictures need and values do not.
///
/// # Errors
/// If a run is not fit to be published: failed or missing cells, changed sources, another setting than the
/// committed benchmark's. Its predecessor then stays, and so do those of the runs after it.
pub fn publish(root: &Path, folder: &Path) -> Result<Vec<String>> {
    for run in runs(folder)? {
        publish_one(root, &run).with_context(|| format!("{} is not published", run.display()))?;
    }
    splice(root)
}

/// The folder itself if it has rows, else those directly below it that have some, sorted.
fn runs(folder: &Path) -> Result<Vec<PathBuf>> {
    let has_rows = |dir: &PathBuf| dir.join(ROWS).exists();
    if has_rows(&folder.to_owned()) {
        return Ok(vec![folder.to_owned()]);
    }
    let below = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut runs: Vec<PathBuf> = below.flatten().map(|entry| entry.path()).collect();
    runs.retain(has_rows);
    runs.sort();
    ensure!(!runs.is_empty(), "{}: no {ROWS} in it or in a folder of it", folder.display());
    Ok(runs)
}

fn publish_one(root: &Path, run: &Path) -> Result<()> {
    let kept = row::read(&run.join(ROWS))?;
    let Some(first) = kept.rows.first() else { bail!("{}: no rows", run.display()) };
    let name = first.benchmark.clone();
    let place = folder(root).join(OWN).join(&name);
    let next = place.with_extension("next");
    remove(&next)?;
    write_whole(&next.join(ROWS), &fs::read(run.join(ROWS))?)?;
    let mut all = BTreeMap::new();
    for id in kept.rows.iter().map(|row| row.run).collect::<BTreeSet<_>>() {
        let mut judgements = evidence::read(&run.join(format!("evidence/{id}.parquet")))?;
        for judgement in &mut judgements {
            judgement.top.clear();
            judgement.scores.clear();
        }
        all.insert(id, judgements);
    }
    evidence::write_all(&next.join(evidence::ALL), &all)?;
    let verified = verify::verified(root, &name, &next);
    if verified.is_err() {
        remove(&next)?;
    }
    verified?;
    remove(&place)?;
    fs::rename(&next, &place).with_context(|| place.display().to_string())
}

/// What people are shown of the published results.
struct Shown {
    /// README's blocks by name.
    tables: BTreeMap<String, String>,
    /// Pages by file name.
    pages: BTreeMap<String, String>,
    /// A line about every folder.
    said: Vec<String>,
}

fn shown(root: &Path) -> Result<Shown> {
    let (mut tables, mut said, mut own) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut findings = Findings::default();
    for (submitter, name, dir) in published(&folder(root))? {
        let (benchmark, results) = verify::verified(root, &name, &dir)?;
        said.push(format!(
            "{submitter}/{name}: {} rows follow from their evidence",
            results.rows.len()
        ));
        if submitter == OWN {
            findings.add(&benchmark, &results)?;
            tables.insert(format!("results:{name}"), readme::block(&name, &results));
            own.push((name, benchmark.title, results));
        }
    }
    tables.extend(findings.block().map(|block| (findings::BLOCK.to_owned(), block)));
    for (block, kind) in
        [("catalogue:attacks", Kind::Attacks), ("catalogue:defenses", Kind::Defenses)]
    {
        tables.insert(block.to_owned(), kind.markdown()?);
    }
    let triggers = fs::read_to_string(root.join(pages::TRIGGERS)).unwrap_or_default();
    Ok(Shown { tables, pages: pages::all(&own, &triggers)?, said })
}

/// Submitter, benchmark and place of every folder with rows, sorted.
fn published(results: &Path) -> Result<Vec<(String, String, PathBuf)>> {
    let (mut found, mut folders) = (Vec::new(), vec![results.to_owned()]);
    while let Some(current) = folders.pop().filter(|f| f.is_dir()) {
        for entry in fs::read_dir(&current).with_context(|| current.display().to_string())? {
            folders.extend(Some(entry?.path()).filter(|path| path.is_dir()));
        }
        let parts = current.strip_prefix(results).unwrap_or(&current).iter();
        let parts: Vec<String> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
        if let ([submitter, name @ ..], true) = (&parts[..], current.join(ROWS).exists()) {
            found.push((submitter.clone(), name.join("/"), current));
        }
    }
    found.sort();
    Ok(found)
}

fn folder(root: &Path) -> PathBuf {
    root.join("benchmarks/results")
}

fn read_readme(root: &Path) -> Result<String> {
    let path = root.join("README.md");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).context(dir.display().to_string())
        }
        _ => Ok(()),
    }
}
