//! Rules of the house that no compiler checks: sizes, names, documents. Each rule is a function of text, and each
//! has a case in which it complains.
#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

const RUST_LINES: usize = 600;
const README_LINES: usize = 20;
const TOP_FOLDERS: [&str; 6] = ["benchmarks", "native", "shared", "wasm", "www", "xtask"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files of the repository with this ending; what builds and runs leave behind is not looked at.
fn files(ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let left = ["target", "runs", "node_modules"].contains(&name.as_str());
                if !left && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} file below {}", root().display());
    found.sort();
    found
}

/// Applies a rule to files and fails with all complaints at once.
fn enforce(paths: &[PathBuf], rule: impl Fn(&Path, &str) -> Vec<String>) {
    let complain = |path: &PathBuf| {
        let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        let complaints = rule(path, &fs::read_to_string(path).unwrap());
        complaints.into_iter().map(move |text| format!("{shown}: {text}")).collect::<Vec<_>>()
    };
    let complaints: Vec<String> = paths.iter().flat_map(complain).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn at_most(limit: usize, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines > limit { vec![format!("{lines} lines; {limit} are the limit")] } else { Vec::new() }
}

/// Marks of unfinished work, and drawers where things fall.
fn unfinished(path: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if ["utils", "util", "common", "misc", "helpers"].contains(&stem.as_str()) {
        complaints.push("name the file after what is in it".to_owned());
    }
    // Written in two halves, so that this file does not find itself.
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        let marked = |(i, line): (usize, &str)| line.contains(mark).then_some(i + 1);
        complaints.extend(
            text.lines().enumerate().filter_map(marked).map(|l| format!("{mark} in line {l}")),
        );
    }
    complaints
}

/// Local targets of Markdown links that do not exist.
fn broken_links(path: &Path, text: &str) -> Vec<String> {
    let folder = path.parent().unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local =
        targets.filter(|t| !t.contains("://") && !t.starts_with(['#', ' ']) && !t.contains(' '));
    let files = local.map(|t| t.split('#').next().unwrap_or(t)).filter(|t| !t.is_empty());
    files
        .filter(|t| !folder.join(t).exists())
        .map(|t| format!("link to {t}, which is not there"))
        .collect()
}

/// What Python scripts here use of its standard library.
const STANDARD: [&str; 36] = [
    "argparse",
    "collections",
    "concurrent",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "gzip",
    "hashlib",
    "html",
    "http",
    "importlib",
    "io",
    "json",
    "logging",
    "math",
    "os",
    "pathlib",
    "pickle",
    "platform",
    "random",
    "re",
    "resource",
    "shutil",
    "statistics",
    "struct",
    "subprocess",
    "sys",
    "tarfile",
    "tempfile",
    "threading",
    "time",
    "unicodedata",
    "warnings",
    "zipfile",
    "zlib",
];

/// Imports of a Python script that the `requirements.txt` beside it does not pin.
fn unpinned(path: &Path, text: &str) -> Vec<String> {
    let folder = path.parent().unwrap();
    let place = folder.join("requirements.txt");
    let pins = match fs::read_to_string(&place) {
        Ok(pins) => pins,
        // Scripts that import nothing need no such file.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return vec![format!("{}: {e}", place.display())],
    };
    let package = |module: &str| match module {
        "PIL" => "pillow".to_owned(),
        "open_clip" => "open_clip_torch".to_owned(),
        "skimage" => "scikit-image".to_owned(),
        "sklearn" => "scikit-learn".to_owned(),
        other => other.to_owned(),
    };
    let module = |line: &str| {
        let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "))?;
        rest.split([' ', '.', ',']).next().map(str::to_owned)
    };
    text.lines()
        .filter_map(module)
        .filter(|m| !STANDARD.contains(&m.as_str()) && !folder.join(format!("{m}.py")).exists())
        .map(|m| package(&m))
        .filter(|p| !pins.lines().any(|line| line.starts_with(&format!("{p}=="))))
        .map(|p| format!("{p} is imported and not pinned in requirements.txt"))
        .collect()
}

#[test]
fn python_scripts_pin_what_they_import() {
    enforce(&files(".py"), unpinned);
}

#[test]
fn rust_files_are_short_and_finished() {
    enforce(&files(".rs"), |path, text| {
        [at_most(RUST_LINES, text), unfinished(path, text)].concat()
    });
}

#[test]
fn every_top_folder_says_what_lives_there() {
    let readmes: Vec<PathBuf> = TOP_FOLDERS.map(|name| root().join(name).join("README.md")).into();
    enforce(&readmes, |_, text| at_most(README_LINES, text));
}

#[test]
fn links_in_documents_lead_somewhere() {
    enforce(&files(".md"), broken_links);
}

#[test]
fn ci_has_one_entrance() {
    let script = fs::read_to_string(root().join(".ci/run")).unwrap();
    let calls: Vec<&str> = script.lines().filter(|line| line.contains("cargo")).collect();
    assert_eq!(calls, ["exec cargo xtask test"]);
}

#[test]
fn the_rules_can_fail() {
    let here = Path::new("xtask/tests/utils.rs");
    assert_eq!(at_most(2, "a\nb\nc").len(), 1);
    assert_eq!(unfinished(here, concat!("// TO", "DO: later")).len(), 2);
    assert_eq!(
        broken_links(&root().join("README.md"), "[a](no/such.md) [b](#c) [d](README.md)").len(),
        1
    );
    let script = root().join("benchmarks/perf/a.py");
    let imports =
        "import json\nimport timing\nimport torch.nn\nfrom skimage import io\nimport no_such";
    assert_eq!(unpinned(&script, imports).len(), 2);
}
