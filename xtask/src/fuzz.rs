//! Fuzzing of the readers in `fuzz/`: builds them with LLVM's coverage counters, runs each for a time, says what was reached.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::{Outcome, cargo, command, output};
use crate::{root, target_dir};

/// What `cargo fuzz` gives the compiler: a counter for every edge, a table of their places, and operands of comparisons.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// Fewer counters than any reader has: the pass did not run.
const FEWEST: u64 = 1000;

/// Seconds for one input, and MiB of memory, above which it is a finding.
const LIMITS: [&str; 2] = ["-timeout=20", "-rss_limit_mb=2048"];

/// Runs the targets of these names, or all, each for some seconds.
pub(crate) fn run(seconds: u32, wanted: &[String]) -> Result<()> {
    let all = targets()?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("no target is called {unknown}; there are {}", all.join(", "));
    }
    let chosen: Vec<&str> = all
        .iter()
        .filter(|t| wanted.is_empty() || wanted.contains(t))
        .map(String::as_str)
        .collect();
    let place = target_dir().join("fuzz");
    let binaries = build(&chosen, &place)?;
    command(Command::new("python3").arg("fuzz/seeds.py").arg(place.join("corpus")))?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for name in chosen {
        let found = match hunt(name, seconds, &binaries, &place) {
            Ok(reached) => reached.to_string(),
            Err(error) => {
                failed.push(name);
                format!("FAILED: {error:#}")
            }
        };
        println!("    {found}");
        lines.push(format!("{name:<12} {found}"));
    }
    println!("\n{}", lines.join("\n"));
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Whether the lock file of the targets, which lie apart from the workspace, names what the program depends on today.
pub(crate) fn locked() -> Result<Outcome> {
    command(&mut cargo("update --quiet --workspace --locked --manifest-path fuzz/Cargo.toml"))
        .context(
            "fuzz/Cargo.lock is behind: the same command without --locked brings it up to date",
        )
}

/// Names of the files in `fuzz/targets`, as their programs are called.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/targets");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_str()?.replace('_', "-"));
    let mut names: Vec<String> = paths.iter().filter_map(stem).collect();
    names.sort();
    Ok(names)
}

/// The folder of the programs. A target platform is given, or build scripts would get the counters too.
fn build(targets: &[&str], place: &Path) -> Result<PathBuf> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]));
    let host = host.context("rustc does not answer; install Rust with rustup")?;
    let mut build = cargo("build --release --locked --manifest-path fuzz/Cargo.toml");
    build.args(["--target", &host, "--target-dir"]).arg(place);
    build.args(targets.iter().flat_map(|name| ["--bin", name]));
    command(build.env("RUSTFLAGS", COUNTERS))
        .context("the targets do not build; libFuzzer in them needs a C++ compiler")?;
    Ok(place.join(host).join("release"))
}

/// Looks for `seconds`. A finding is an error that names the input.
fn hunt(name: &str, seconds: u32, binaries: &Path, place: &Path) -> Result<Reached> {
    let (corpus, artifacts) = (place.join("corpus").join(name), place.join("artifacts").join(name));
    std::fs::create_dir_all(&artifacts).with_context(|| artifacts.display().to_string())?;
    let mut fuzzer = Command::new(binaries.join(name));
    fuzzer.arg(&corpus).args(LIMITS).arg("-print_final_stats=1");
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
    println!("    {name}: {seconds} s from {}", corpus.display());
    let done = fuzzer.current_dir(root()).stdin(Stdio::null()).output().context(name.to_owned())?;
    let log = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        tail.iter().rev().for_each(|line| println!("    {line}"));
        bail!("found something; the input lies in {}", artifacts.display());
    }
    let reached = Reached::of(&log).with_context(|| format!("{name} does not say what it did"))?;
    ensure!(
        reached.counters >= FEWEST,
        "{name} has {} counters: the compiler did not put them in",
        reached.counters
    );
    Ok(reached)
}

/// What one run of a target did.
#[derive(Debug, PartialEq)]
struct Reached {
    inputs: u64,
    counters: u64,
    edges: u64,
    corpus: String,
}

impl Reached {
    /// Reads libFuzzer's log.
    fn of(log: &str) -> Option<Self> {
        let number = |text: &str| text.split_whitespace().next()?.parse().ok();
        let behind = |mark: &str| log.rsplit_once(mark).map(|(_, rest)| rest);
        let done = behind("DONE ")?.lines().next()?;
        Some(Self {
            inputs: number(behind("stat::number_of_executed_units:")?)?,
            counters: number(behind(" modules   (")?)?,
            edges: number(done.split_once("cov: ")?.1)?,
            corpus: done.split_once("corp: ")?.1.split_whitespace().next()?.to_owned(),
        })
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inputs, counters, edges, corpus } = self;
        write!(f, "{inputs:>9} inputs, {edges:>6} of {counters} edges, corpus {corpus}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_with_seeds() {
        let read = |file: &str| std::fs::read_to_string(root().join("fuzz").join(file)).unwrap();
        let (manifest, seeds) = (read("Cargo.toml"), read("seeds.py"));
        let names = targets().unwrap();
        assert!(names.len() >= 10, "{names:?}");
        for name in names {
            let file = name.replace('-', "_");
            let bin = format!("name = \"{name}\"\npath = \"targets/{file}.rs\"");
            assert!(manifest.contains(&bin) && seeds.contains(&format!("\"{name}\": ")), "{name}");
        }
        assert!(run(1, &["none-such".to_owned()]).unwrap_err().to_string().contains("safetensors"));
    }

    #[test]
    fn a_log_without_counters_is_no_run() {
        let log = "INFO: Loaded 1 modules   (151201 inline 8-bit counters): 151201 [0x5, 0x6),\n\
            #2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb\n\
            #8123\tDONE   cov: 1234 ft: 4321 corp: 57/12Kb lim: 4096 exec/s: 270 rss: 78Mb\n\
            Done 8123 runs in 31 second(s)\nstat::number_of_executed_units: 8123\n";
        let corpus = "57/12Kb".to_owned();
        let reached = Reached { inputs: 8123, counters: 151_201, edges: 1234, corpus };
        assert_eq!(Reached::of(log), Some(reached));
        assert_eq!(Reached::of(&log.replace(" modules   (", "")), None);
    }
}
