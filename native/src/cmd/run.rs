//! `toxiclip run`: a benchmark, from its TOML file to table, rows and report.

use std::path::{Path, PathBuf};

use crate::argument::{Assignment, Device};
use crate::benchmark::{Benchmark, Verdict};
use crate::catalogue::benchmarks_folder;
use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::output;
use crate::pipeline::{self, Plan, Stages};
use crate::report::{self, ReportOptions, aggregate::Results};
use crate::store::Store;
use crate::table;

/// Runs every cell of a benchmark; finished stages are found, not repeated.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The benchmark.
    #[arg(value_name = "SPEC.toml")]
    pub spec: PathBuf,
    /// Where rows, evidence and report go [default: `runs/`, the benchmark's name and a digest of its settings].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Applies the file's `[tiny]` part: the same in seconds.
    #[arg(long)]
    pub tiny: bool,
    /// Replaces a value of the file, such as `train.epochs=5`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Assignment>,
    /// Keeps only cells with this value, such as `attack=none` or `seed=0`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub only: Vec<Assignment>,
    /// auto, cpu, `cuda[:N]` or wgpu.
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Prints the cells and what is already cached; computes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    /// The main job: what the program does when it is started without arguments.
    pub fn main_job() -> Self {
        Self {
            spec: benchmarks_folder().join("quick.toml"),
            out: None,
            tiny: false,
            set: Vec::new(),
            only: Vec::new(),
            device: Device::Auto,
            dry_run: false,
        }
    }

    /// The command that repeats this run.
    fn command(&self, out: &Path) -> String {
        let mut words = vec!["toxiclip run".to_owned(), quoted(&self.spec.to_string_lossy())];
        words.extend(self.tiny.then(|| "--tiny".to_owned()));
        for (flag, all) in [("--set", &self.set), ("--only", &self.only)] {
            words.extend(
                all.iter().map(|a| format!("{flag} {}", quoted(&format!("{}={}", a.key, a.value)))),
            );
        }
        words.push(format!("--out {}", quoted(&out.to_string_lossy())));
        words.join(" ")
    }
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs the benchmark, or says what would run.
///
/// # Errors
/// With code 2 if the request is wrong, with code 1 if a cell failed or an expectation was missed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let benchmark = Benchmark::read(&args.spec, args.tiny, &args.set, &args.only)?;
    let plan = Plan::new(&benchmark)?;
    if args.dry_run {
        return output::print(&dry_run(&plan, context)?);
    }
    let default = || {
        let name = benchmark.name.replace('/', "-");
        Path::new("runs").join(format!("{name}-{}", benchmark.digest().short()))
    };
    let out = args.out.clone().unwrap_or_else(default);
    let stages = Stages::new(context)?;
    let outcome = pipeline::run(&plan, &out, &args.command(&out), &stages)?;
    let verdicts = benchmark.judge(&outcome.measured);
    present(&benchmark, &out, &verdicts)?;
    let counts = stages.store.counts();
    context.progress.log(&format!("stages: {} computed, {} found", counts.computed, counts.reused));
    conclude(&plan, &outcome.failed, &verdicts)
}

/// Table, finding, expectations and files on stdout; the report on the disk.
fn present(benchmark: &Benchmark, out: &Path, verdicts: &[Verdict]) -> Result<()> {
    let results = Results::load(&[out], false)?;
    let finding = report::write(&[out], &ReportOptions::default())?;
    let mut text =
        format!("{}\n\n{}\n{}\n", benchmark.title, table::render(&results), finding.sentence);
    if !verdicts.is_empty() {
        text.push_str("\nexpectations\n");
        verdicts.iter().for_each(|v| text.push_str(&format!("  {v}\n")));
    }
    if benchmark.tiny {
        text.push_str(
            "\nthe small form: its numbers mean nothing, and no expectation was checked\n",
        );
    }
    text.push_str(&format!(
        "\nreport  {}\nrows    {}",
        finding.html.display(),
        out.join("rows.jsonl").display()
    ));
    output::print(&text)
}

fn conclude(plan: &Plan<'_>, failed: &[String], verdicts: &[Verdict]) -> Result<()> {
    let missed = verdicts.iter().filter(|v| !v.met).count();
    match (failed.first(), missed) {
        (None, 0) => Ok(()),
        (None, missed) => {
            Err(Failure::failed(format!("{missed} of {} expectations missed", verdicts.len())))
        }
        (Some(first), _) => Err(Failure::failed(format!(
            "{} of {} cells failed; the first: {first}",
            failed.len(),
            plan.works.len()
        ))),
    }
}

/// Cells and the state of their stages.
fn dry_run(plan: &Plan<'_>, context: &Context) -> Result<String> {
    // Opening a cache makes its folder, and a dry run makes nothing.
    let store = match context.cache_dir()? {
        Some(dir) if dir.is_dir() => Some(Store::open(Some(dir))?),
        _ => None,
    };
    const STAGES: [&str; 4] = ["pretrain", "reference", "train", "defend"];
    let mut rows = vec![["cell", "pretrain", "reference", "train", "defend"].map(str::to_owned)];
    let mut distinct = std::collections::BTreeMap::new();
    for work in &plan.works {
        let mut row = ["", "–", "–", "–", "–"].map(str::to_owned);
        row[0] = plan.benchmark.label(&work.cell);
        for fit in work.model.lineage() {
            let cached = store.as_ref().is_some_and(|store| fit.cached(store));
            let column = STAGES.iter().position(|s| *s == fit.stage);
            let state = if cached { "cached" } else { "to do" };
            row[column.map_or(1, |c| c + 1)] = format!("{} {state}", fit.key().short());
            distinct.insert((fit.stage, fit.key()), cached);
        }
        rows.push(row);
    }
    let cached = distinct.values().filter(|c| **c).count();
    Ok(format!(
        "{}\n{} cells, {} trainings: {cached} cached, {} to do",
        output::columns(&rows),
        plan.works.len(),
        distinct.len(),
        distinct.len() - cached
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let mut args = Args::main_job();
        args.spec = "benchmarks/quick.toml".into();
        args.only = vec!["attack=none".parse().unwrap()];
        args.set = vec!["matrix.seed=[0, 1]".parse().unwrap()];
        assert_eq!(
            args.command(Path::new("it's")),
            r"toxiclip run benchmarks/quick.toml --set 'matrix.seed=[0, 1]' --only attack=none --out 'it'\''s'"
        );
    }
}
