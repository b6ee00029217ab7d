//! Benchmarks through the whole program, for tests that look at what it leaves behind.
#![allow(dead_code, reason = "no test needs all of it")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs a benchmark in `place`, with a cache and a folder for results of these names there.
pub(crate) fn run(place: &Path, spec: &str, [cache, out]: [&str; 2], more: &[&str]) -> Output {
    let file = place.join("benchmark.toml");
    fs::write(&file, spec).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.arg("run").arg(file).arg("--cache").arg(place.join(cache));
    command.arg("--out").arg(place.join(out)).args(more).output().unwrap()
}

/// The rows in a folder of results.
pub(crate) fn rows(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("rows.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many finished stages of a kind the cache called `cache` holds.
pub(crate) fn stages(place: &Path, stage: &str) -> usize {
    let entries = fs::read_dir(place.join("cache").join(stage)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

/// What a program said to people.
pub(crate) fn error(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}
