//! Published results: rows with their evidence below `benchmarks/results/`, and the tables of README made of them.
//!
//! `benchmarks/results/SUBMITTER/NAME/` holds `rows.jsonl`, `evidence.parquet` and `entry.json` of one run of
//! `benchmarks/NAME.toml`. What lies under our own name is shown in README between `<!-- results:NAME -->` and
//! `<!-- /results:NAME -->`, and a line of each benchmark with a `[finding]` between those of the name `findings`. The
//! catalogue of attacks and defenses stands there too, as `toxiclip list` prints it; `www/catalogue/` has a page for each,
//! `www/leaderboard/` ranks everybody's.

mod accept;
mod board;
mod changes;
mod coverage;
mod entry;
mod findings;
mod folders;
mod grow;
mod pages;
mod poisoned;
mod readme;
mod site;
mod verify;

pub use accept::accept;
pub use changes::{Base, changes};
pub(crate) use coverage::{Coverage, answered, coverage};
pub(crate) use folders::Published;
pub(crate) use verify::{every_value, names_cell, plain_names};

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use self::entry::Entry;
use self::findings::Findings;
use crate::benchmark::{Protocol, called};
use crate::catalogue::Kind;
use crate::files::{name_of, write_whole};
use crate::report::lines::lines;
use crate::{evidence, row};

/// The submitter whose results README shows.
const OWN: &str = "toxiclip";
const ROWS: &str = "rows.jsonl";

/// Recomputes all published rows of the repository at `root` from their evidence, and compares README's tables, the pages of
/// the catalogue and the leaderboard with them. Returns a line for each folder and table.
///
/// # Errors
/// On the first row that does not follow from its evidence, or of ours is not what its benchmark asks for today; if README
/// or a page shows something else. One line, with the remedy.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let shown = shown(root)?;
    let mut said = shown.said;
    said.extend(readme::check(&read_readme(root)?, &shown.tables)?);
    for (folder, files) in &shown.sites {
        said.extend(site::check(root, folder, files)?);
    }
    Ok(said)
}

/// Puts the tables of all published results into README, and writes the pages of catalogue and leaderboard; of results
/// without `entry.json` it writes that, and changes nothing else.
///
/// # Errors
/// As [`check`], but for README's own text; or if README cannot be written.
pub fn splice(root: &Path) -> Result<Vec<String>> {
    folders::describe_own(root, &folder(root))?;
    let shown = shown(root)?;
    let mut text = read_readme(root)?;
    for (name, table) in &shown.tables {
        text = readme::splice(&text, name, table);
    }
    write_whole(&root.join("README.md"), text.as_bytes())?;
    for (folder, files) in &shown.sites {
        site::write(&root.join("www").join(folder), files)?;
    }
    Ok(shown.said)
}

/// Writes the leaderboard of all results below `results` in place of what is there; benchmarks are those of the repository
/// at `root`. In a folder `out` of its own rows and evidence lie beside the pages; without one the pages are those of
/// `www/leaderboard`, as they are committed. Returns a line for each folder.
///
/// # Errors
/// On the first row that does not follow from its evidence; if the folder cannot be written to, or holds something else.
pub fn build(root: &Path, results: &Path, out: Option<&Path>) -> Result<Vec<String>> {
    let all = recomputed(root, results)?;
    ensure!(!all.is_empty(), "{}: no {ROWS} below it", results.display());
    let lined: Vec<_> = all.iter().map(|published| lines(&published.results)).collect();
    let Some(out) = out else {
        let place = root.join("www").join(board::FOLDER);
        site::replace(&place, &board::files(&all, &lined, board::COMMITTED)?)?;
        return Ok(all.iter().map(about).collect());
    };
    site::replace(out, &board::files(&all, &lined, board::BESIDE)?)?;
    for published in &all {
        let to = out.join(board::BESIDE).join(&published.submitter).join(published.called());
        for file in [entry::FILE, ROWS, evidence::ALL] {
            let from = published.dir.join(file);
            let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
            write_whole(&to.join(file), &bytes)?;
        }
    }
    Ok(all.iter().map(about).collect())
}

/// Writes a leaderboard of `count` made-up models to `out`, to see whether the page stays fluid.
///
/// # Errors
/// If `out` cannot be written to, or holds something else.
pub fn build_synthetic(count: usize, out: &Path) -> Result<()> {
    site::replace(out, &board::synthetic(count))
}

/// Publishes a run folder, or every run folder directly below `folder`, under our name in place of its predecessor,
/// then does as [`splice`]. What a predecessor of the same program has more is kept, so that a matrix grows; one of another
/// protocol stays, as `NAME@PROTOCOL`.
///
/// Evidence is kept without the nearest items and their scores, which pictures need and values do not.
///
/// # Errors
/// If a run is not fit to be published: failed or missing cells, changed sources, another setting than the
/// committed benchmark's; or if its predecessor, of another program, answers more of the benchmark. That then stays, and so do
/// those of the runs after it.
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
    lay_out(run, &kept.rows, &next)?;
    grow::from(&place, &next)?;
    let made = verify::verified(root, &name, &next).and_then(|(benchmark, answered)| {
        grow::loses_nothing(root, &name, &place, answered.left_out)?;
        let protocol = Protocol::of(&benchmark, None)?.digest();
        Entry::of(&next, OWN, &name, protocol)?.write(&next)
    });
    if made.is_err() {
        remove(&next)?;
    }
    made?;
    replace(&place, &next)
}

/// Rows of a run, and its evidence in one file without what values do not need, as a folder of published results.
fn lay_out(run: &Path, rows: &[row::Row], to: &Path) -> Result<()> {
    remove(to)?;
    write_whole(&to.join(ROWS), &fs::read(run.join(ROWS))?)?;
    let mut all = BTreeMap::new();
    for id in rows.iter().map(|row| row.run).collect::<BTreeSet<_>>() {
        let mut judgements = evidence::read(&run.join(format!("evidence/{id}.parquet")))?;
        for judgement in &mut judgements {
            judgement.top.clear();
            judgement.scores.clear();
        }
        all.insert(id, judgements);
    }
    evidence::write_all(&to.join(evidence::ALL), &all)
}

/// Puts `next` into the place of its predecessor, which stays under its protocol's name if that was another.
fn replace(place: &Path, next: &Path) -> Result<()> {
    // A damaged one is an error: its results would be taken away for good.
    let protocol = |dir: &Path| -> Result<_> {
        let path = dir.join(entry::FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        let entry: Entry =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        Ok(Some(entry.protocol))
    };
    let (before, after) = (protocol(place)?, protocol(next)?);
    if let Some(old) = before.filter(|_| before != after) {
        let kept = place.with_file_name(format!("{}@{}", name_of(place)?, called(old)));
        remove(&kept)?;
        fs::rename(place, &kept).with_context(|| kept.display().to_string())?;
    }
    remove(place)?;
    fs::rename(next, place).with_context(|| place.display().to_string())
}

/// What people are shown of the published results.
struct Shown {
    /// README's blocks by name.
    tables: BTreeMap<String, String>,
    /// Files by name, for each folder below `www/`.
    sites: BTreeMap<&'static str, site::Files>,
    /// A line about every folder.
    said: Vec<String>,
}

fn shown(root: &Path) -> Result<Shown> {
    let mut tables = BTreeMap::new();
    let mut findings = Findings::default();
    let all = recomputed(root, &folder(root))?;
    for published in all.iter().filter(|p| p.submitter == OWN) {
        let Some(benchmark) = &published.benchmark else { continue };
        let name = &published.name;
        findings.add(benchmark, &published.results)?;
        tables.insert(format!("results:{name}"), readme::block(name, published));
    }
    tables.extend(findings.block().map(|block| (findings::BLOCK.to_owned(), block)));
    for (block, kind) in
        [("catalogue:attacks", Kind::Attacks), ("catalogue:defenses", Kind::Defenses)]
    {
        tables.insert(block.to_owned(), kind.markdown()?);
    }
    let triggers = match fs::read_to_string(root.join(pages::TRIGGERS)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.context(pages::TRIGGERS)?,
    };
    let lined: Vec<_> = all.iter().map(|published| lines(&published.results)).collect();
    let sites = BTreeMap::from([
        (pages::FOLDER, pages::all(&all, &lined, &triggers)?),
        (board::FOLDER, board::files(&all, &lined, board::COMMITTED)?),
    ]);
    Ok(Shown { tables, sites, said: all.iter().map(about).collect() })
}

fn recomputed(root: &Path, results: &Path) -> Result<Vec<Published>> {
    folders::all(results)?.iter().map(|folder| folders::recompute(root, folder)).collect()
}

fn about(published: &Published) -> String {
    let (submitter, rows) = (&published.submitter, published.results.rows.len());
    let line =
        format!("{submitter}/{}: {rows} rows follow from their evidence", published.called());
    match (&published.older, published.left_out()) {
        (Some(why), _) => format!("{line}; an older version: {why}"),
        (None, Some(without)) => format!("{line}; {without}"),
        (None, None) => line,
    }
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
