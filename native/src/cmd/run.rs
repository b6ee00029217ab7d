//! `toxiclip run`: a benchmark, from its TOML file to table, rows and report.

use std::path::{Path, PathBuf};

use crate::argument::Assignment;
use crate::benchmark::{Benchmark, Form, Verdict};
use crate::catalogue::benchmarks_folder;
use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::output;
use crate::pipeline::{self, Plan, Stages};
use crate::report::{self, ReportOptions};
use crate::store::Store;

/// Runs every cell of one or several benchmarks; finished stages are found, not repeated.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Benchmarks, or folders of them.
    #[arg(value_name = "SPEC.toml|DIR", required = true)]
    pub specs: Vec<PathBuf>,
    /// Where rows, evidence and report go; with several benchmarks, one folder each below it [default: `runs/`, the
    /// benchmark's name and a digest of its settings].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Applies the file's `[tiny]` part: the same in seconds.
    #[arg(long)]
    pub tiny: bool,
    /// Applies the file's `[full]` part: the published setting, for which data and checkpoint must be there.
    #[arg(long, conflicts_with = "tiny")]
    pub full: bool,
    /// Folder of data sets and checkpoints that do not come with the program.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Replaces a value of the file, such as `train.epochs=5`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Assignment>,
    /// Keeps only cells with this value, such as `attack=none` or `seed=0`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub only: Vec<Assignment>,
    /// Prints the cells and what is already cached; computes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    /// The main job: what the program does when it is started without arguments.
    pub fn main_job() -> Self {
        Self {
            specs: vec![benchmarks_folder().join("quick.toml")],
            out: None,
            tiny: false,
            full: false,
            data_root: None,
            set: Vec::new(),
            only: Vec::new(),
            dry_run: false,
        }
    }

    fn form(&self) -> Form {
        match (self.tiny, self.full) {
            (true, _) => Form::Tiny,
            (_, true) => Form::Full,
            _ => Form::Laptop,
        }
    }

    /// The command that repeats the run of one benchmark.
    fn command(&self, spec: &Path, out: &Path) -> String {
        let mut words = vec!["toxiclip run".to_owned(), quoted(&spec.to_string_lossy())];
        words.extend(self.tiny.then(|| "--tiny".to_owned()));
        words.extend(self.full.then(|| "--full".to_owned()));
        let root = self.data_root.as_ref();
        words.extend(root.map(|dir| format!("--data-root {}", quoted(&dir.to_string_lossy()))));
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

/// Runs the benchmarks one after the other, or says what would run.
///
/// # Errors
/// With code 2 if a request is wrong (nothing has run then), with code 1 if a cell failed or an expectation was missed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let specs = files(&args.specs)?;
    let read = |spec: &PathBuf| Benchmark::read(spec, args.form(), &args.set, &args.only);
    let benchmarks: Vec<Benchmark> = specs.iter().map(read).collect::<Result<_>>()?;
    let lay_out = |(spec, benchmark): (&PathBuf, _)| {
        Plan::new(benchmark, args.data_root.as_deref()).map_err(|e| e.during(spec.display()))
    };
    let each = || specs.iter().zip(&benchmarks);
    // What is wrong with the last of several shows before the first has run. The others' plans would fill the memory.
    let mut first = None;
    for one in each() {
        let plan = lay_out(one)?;
        first.get_or_insert(plan);
    }
    let several = benchmarks.len() > 1;
    let stages = if args.dry_run { None } else { Some(Stages::new(context)?) };
    let mut failures = Vec::new();
    for (spec, benchmark) in each() {
        let mut plan = first.take().map_or_else(|| lay_out((spec, benchmark)), Ok)?;
        let Some(stages) = &stages else {
            output::print(&dry_run(&mut plan, context)?)?;
            continue;
        };
        let name = benchmark.name.replace('/', "-");
        let out = match &args.out {
            Some(dir) if several => dir.join(&name),
            Some(dir) => dir.clone(),
            None => Path::new("runs").join(format!("{name}-{}", benchmark.digest().short())),
        };
        match run_one(&mut plan, &out, &args.command(spec, &out), stages) {
            Err(Failure::Failed(why)) if several => failures.push(format!("{name}: {why}")),
            other => other?,
        }
    }
    if let Some(stages) = &stages {
        let counts = stages.store.counts();
        let text = format!("stages: {} computed, {} found", counts.computed, counts.reused);
        context.progress.log(&text);
    }
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(Failure::failed(format!(
            "{} of {} benchmarks failed; the first: {first}",
            failures.len(),
            benchmarks.len()
        ))),
    }
}

/// The named files, and those of named folders sorted by name.
fn files(specs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for spec in specs {
        if !spec.is_dir() {
            files.push(spec.clone());
            continue;
        }
        let entries = std::fs::read_dir(spec).map_err(|e| Failure::io(spec, &e))?;
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        found.sort();
        if found.is_empty() {
            return Err(Failure::request(format!("{}: no benchmark in it", spec.display())));
        }
        files.extend(found);
    }
    Ok(files)
}

fn run_one(plan: &mut Plan<'_>, out: &Path, command: &str, stages: &Stages) -> Result<()> {
    if let Some(banner) = plan.works.iter().find_map(|work| work.model.banner()) {
        stages.lab.progress.warn(&banner);
    }
    let outcome = pipeline::run(plan, out, command, stages)?;
    let verdicts = plan.benchmark.judge(&outcome.measured);
    present(plan.benchmark, out, &verdicts)?;
    conclude(plan, &outcome.failed, &verdicts)
}

/// Table, finding, expectations and files on stdout; the report on the disk.
fn present(benchmark: &Benchmark, out: &Path, verdicts: &[Verdict]) -> Result<()> {
    let finding = report::write(&[out], &ReportOptions::default())?;
    let mut text = format!("{}\n\n{}\n{}\n", benchmark.title, finding.table, finding.sentence);
    if !verdicts.is_empty() {
        text.push_str("\nexpectations\n");
        verdicts.iter().for_each(|v| text.push_str(&format!("  {v}\n")));
    }
    if benchmark.form == Form::Tiny {
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
fn dry_run(plan: &mut Plan<'_>, context: &Context) -> Result<String> {
    // Opening a cache makes its folder, and a dry run makes nothing.
    let store = match context.cache_dir()? {
        Some(dir) if dir.is_dir() => Some(Store::open(Some(dir))?),
        _ => None,
    };
    if let Some(store) = &store {
        plan.arm_from(store)?;
    }
    const STAGES: [&str; 4] = ["pretrain", "reference", "train", "defend"];
    let mut rows = vec![["cell", "pretrain", "reference", "train", "defend"].map(str::to_owned)];
    let mut distinct = std::collections::BTreeMap::new();
    for work in &plan.works {
        let mut row = ["", "–", "–", "–", "–"].map(str::to_owned);
        row[0] = plan.benchmark.label(&work.cell);
        for fit in work.model.lineage() {
            let cached = store.as_ref().is_some_and(|store| fit.cached(store));
            // An attacker's training stands in the place of the victim's.
            let stage = if fit.stage == "tamper" { "train" } else { fit.stage };
            let column = STAGES.iter().position(|s| *s == stage);
            let state = if cached { "cached" } else { "to do" };
            row[column.map_or(1, |c| c + 1)] = format!("{} {state}", fit.key().short());
            distinct.insert((fit.stage, fit.key()), cached);
        }
        rows.push(row);
    }
    let cached = distinct.values().filter(|c| **c).count();
    let searches = match plan.all_drawn().filter(|p| p.arming.is_some()).count() {
        0 => String::new(),
        n => {
            format!("; searches of attacks to do first: {n}; what they find names their trainings")
        }
    };
    Ok(format!(
        "{}\n{} cells, {} trainings: {cached} cached, {} to do{searches}",
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
    fn folders_stand_for_their_benchmarks() {
        let folder = benchmarks_folder();
        let found = files(&[folder.join("quick.toml"), folder.join("seed")]).unwrap();
        assert_eq!((found.len(), found[0].file_name().unwrap().to_str()), (14, Some("quick.toml")));
        assert!(found[1..].is_sorted());
        let empty = tempfile::tempdir().unwrap();
        let error = files(&[empty.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no benchmark in it"), "{error}");
    }

    #[test]
    fn the_command_can_be_pasted() {
        let mut args = Args::main_job();
        args.only = vec!["attack=none".parse().unwrap()];
        args.set = vec!["matrix.seed=[0, 1]".parse().unwrap()];
        assert_eq!(
            args.command(Path::new("benchmarks/quick.toml"), Path::new("it's")),
            r"toxiclip run benchmarks/quick.toml --set 'matrix.seed=[0, 1]' --only attack=none --out 'it'\''s'"
        );
    }
}
