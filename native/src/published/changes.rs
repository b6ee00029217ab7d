//! What a pull request does to the published results: entries added, values before and after; nothing may be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use toxiclip_shared::digest::Digest;

use super::ROWS;
use crate::row::Row;

/// Where results lie below the repository.
const PLACE: &str = "benchmarks/results";
/// Bytes of one folder at most: evidence of 10,000 samples and a hundred models is a tenth of it.
const FOLDER_BYTES: u64 = 64 << 20;
/// Lines of the table at most.
const LINES: usize = 200;

/// The results of a commit to compare with.
#[derive(Debug)]
pub struct Base {
    /// The commit, as somebody named it.
    rev: String,
    /// Content hash of every file, by its path below the results.
    files: BTreeMap<String, String>,
}

impl Base {
    /// Those of `rev`; without one, of the commit from which this branch left `origin/main`, else of `HEAD`.
    ///
    /// # Errors
    /// If git does not know the commit.
    pub fn read(root: &Path, rev: Option<&str>) -> Result<Self> {
        let left = || git(root, &["merge-base", "HEAD", "origin/main"]).ok();
        let rev = match rev {
            // What begins with a dash would be an option of git.
            Some(rev) if rev.starts_with('-') => bail!("--base {rev}: give a commit"),
            Some(rev) => rev.to_owned(),
            None => left().map_or_else(|| "HEAD".to_owned(), |rev| rev.trim().to_owned()),
        };
        let tree = git(root, &["ls-tree", "-r", &rev, "--", PLACE])
            .with_context(|| format!("--base {rev}: give a commit that git knows"))?;
        let mut files = BTreeMap::new();
        for line in tree.lines() {
            let (head, path) = line.split_once('\t').context("git ls-tree said something else")?;
            let (_, hash) = head.rsplit_once(' ').context("git ls-tree said something else")?;
            files.insert(below(path)?, hash.to_owned());
        }
        Ok(Self { rev, files })
    }
}

/// The changes since a commit as a table in Markdown.
///
/// # Errors
/// If a folder is gone, was replaced by one of another protocol without being kept, or is too large.
pub fn changes(root: &Path, base: &Base) -> Result<String> {
    let now = here(root)?;
    let folders = |files: &BTreeMap<String, String>| -> BTreeSet<String> {
        files
            .keys()
            .filter_map(|path| path.strip_suffix(&format!("/{ROWS}")))
            .map(str::to_owned)
            .collect()
    };
    let (before, after) = (folders(&base.files), folders(&now));
    let rows = |folder: &str| format!("{folder}/{ROWS}");
    let contents: BTreeSet<&String> = now.values().collect();
    for gone in before.difference(&after) {
        ensure!(
            contents.contains(&base.files[&rows(gone)]),
            "{PLACE}/{gone} is gone; results stay: those of an older protocol as NAME@PROTOCOL"
        );
    }
    let mut lines = Vec::new();
    for folder in &after {
        sized(&root.join(PLACE).join(folder))?;
        let (old, new) = (base.files.get(&rows(folder)), &now[&rows(folder)]);
        let text = fs::read_to_string(root.join(PLACE).join(rows(folder)))?;
        match old {
            None => {
                let moved = before.iter().find(|b| &base.files[&rows(b)] == new);
                let how = moved.map_or_else(|| "added".to_owned(), |from| format!("was {from}"));
                lines.push(format!("| {folder} | {how} | {} values | | |", means(&text)?.len()));
            }
            Some(old) if old == new => {}
            Some(_) => {
                let place = format!("{}:{PLACE}/{}", base.rev, rows(folder));
                let before = means(&git(root, &["show", &place])?)?;
                lines.extend(compared(folder, &before, &means(&text)?));
            }
        }
    }
    Ok(table(&base.rev, &lines))
}

fn table(rev: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("Results are those of {rev:.12}.\n");
    }
    let mut out = format!(
        "Results since {rev:.12}:\n\n| entry | model | metric | before | after |\n|---|---|---|---|---|\n"
    );
    lines.iter().take(LINES).for_each(|line| out += &format!("{line}\n"));
    if lines.len() > LINES {
        out += &format!("\n{} more lines are left out.\n", lines.len() - LINES);
    }
    out
}

/// A line for each value that is not what it was.
fn compared(
    folder: &str,
    before: &BTreeMap<(String, String), f64>,
    after: &BTreeMap<(String, String), f64>,
) -> Vec<String> {
    let shown = |value: Option<&f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let line = |key: &(String, String)| {
        let (model, metric) = key;
        format!(
            "| {folder} | {model} | {metric} | {} | {} |",
            shown(before.get(key)),
            shown(after.get(key))
        )
    };
    let lines: Vec<String> = changed.map(line).collect();
    match lines.is_empty() {
        true => vec![format!("| {folder} | same values, other rows | | | |")],
        false => lines,
    }
}

/// Means over seeds, by model and metric.
fn means(text: &str) -> Result<BTreeMap<(String, String), f64>> {
    let mut all: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let row: Row = serde_json::from_str(line).context("a line is not a row")?;
        let model =
            [Some(&row.attack), row.against.as_ref(), Some(&row.defense), row.victim.as_ref()];
        let model: Vec<String> = model.into_iter().flatten().map(called).collect();
        let model = format!("{}, {}: {}", row.dataset, row.encoder, model.join(" + "));
        let value = row.value.context("a row has no value")?;
        all.entry((model, row.metric)).or_default().push(value);
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    Ok(all.into_iter().map(|(key, values)| (key, mean(values))).collect())
}

/// A name, and what tells it from others of that name.
fn called(spec: &Value) -> String {
    let name = spec["name"].as_str().unwrap_or("victim").replace('|', "\\|");
    let parameters = spec.as_object().map_or(0, serde_json::Map::len);
    if parameters > 1 { format!("{name} {:.4}", Digest::of(spec).to_string()) } else { name }
}

/// A path below the results, of one that git gives.
fn below(path: &str) -> Result<String> {
    let rest = path.strip_prefix(PLACE).and_then(|rest| rest.strip_prefix('/'));
    Ok(rest.with_context(|| format!("git names {path}, which is not below {PLACE}"))?.to_owned())
}

/// Content hashes of all files, as git computes them.
fn here(root: &Path) -> Result<BTreeMap<String, String>> {
    let listed =
        git(root, &["ls-files", "--cached", "--others", "--exclude-standard", "--", PLACE])?;
    let mut files = BTreeMap::new();
    let paths = listed.lines().filter(|path| root.join(path).is_file());
    let paths: Vec<&str> = paths.collect();
    for part in paths.chunks(200) {
        let hashes = git(root, &[&["hash-object", "--"], part].concat())?;
        for (path, hash) in part.iter().zip(hashes.lines()) {
            files.insert(below(path)?, hash.to_owned());
        }
    }
    Ok(files)
}

fn sized(folder: &Path) -> Result<()> {
    let mut bytes = 0;
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        bytes += file?.metadata()?.len();
    }
    ensure!(
        bytes <= FOLDER_BYTES,
        "{}: {bytes} bytes; {FOLDER_BYTES} are the limit for one folder",
        folder.display()
    );
    Ok(())
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    let done = command.arg("-C").arg(root).args(arguments).output().context("git cannot be run")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "git {}: {}", arguments[0], said.trim().replace('\n', " "));
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
