//! `toxiclip eval`: one checkpoint on one data set.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::Splits;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Value as Measured};

use crate::argument::{Checkpoint, Place, Source};
use crate::catalogue::Kind;
use crate::cli::Context;
use crate::data;
use crate::evaluate::task::{Asked, Estimator, Question, Task, measure};
use crate::evidence;
use crate::failure::{Failure, Result};
use crate::files::name_of;
use crate::manifest;
use crate::model::{Model, banner};
use crate::output;
use crate::prepared::Prepared;
use crate::provenance::Code;
use crate::row::Row;
use crate::store::write_atomic;
use crate::timer::Timer;

/// Measures a checkpoint: zero-shot, retrieval or a linear probe, and an attack that is already drawn.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked.
    #[command(flatten)]
    pub model: Checkpoint,
    /// What it is measured on: a data set's test split, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// What it is asked.
    #[arg(long, value_name = "TASK")]
    pub task: Task,
    /// What a linear probe is fitted to [default: the data set's own training split].
    #[arg(long, value_name = "SOURCE")]
    pub train: Option<Source>,
    /// How it is fitted [default: clip-benchmark].
    #[arg(long, value_name = "ESTIMATOR")]
    pub probe: Option<Estimator>,
    /// Class prompts: those of a data set, or a file with one a line, `{}` or `{c}` being the class [default: the set's own].
    #[arg(long, value_name = "NAME|FILE")]
    pub templates: Option<String>,
    /// The attack whose trigger and goals are tested too: `armed.json` of `train`, `poison` or `run`.
    #[arg(long, value_name = "FILE.json")]
    pub armed: Option<PathBuf>,
    /// Seed of the random captions that goals are compared with, and of a probe's random numbers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where rows, evidence and the result in CLIP_benchmark's form go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Measures, prints the table, and writes rows and evidence.
///
/// # Errors
/// If the checkpoint or the data cannot be read, the task does not fit them, or the folder holds other results.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let timer = Timer::start();
    let question = question(args)?;
    let path = &args.model.checkpoint;
    let (model, provenance) = Model::load(path, args.model.encoder()?.as_ref())?;
    let model = model.on(&context.executor);
    if let Some(banner) = banner(path, provenance.as_ref()) {
        context.progress.warn(&banner);
    }
    let splits = splits(args)?;
    let measured_on = splits.utility.as_ref().unwrap_or(&splits.test);
    if let Some(remark) = measured_on.remark() {
        context.progress.warn(remark);
    }
    let attack = args.armed.as_deref().map(manifest::armed).transpose()?;
    let templates = templates(args)?;
    let lab = context.lab()?;
    let (model, splits, prepared) = (&model, &splits, &Prepared::default());
    let asked = Asked { model, splits, templates: &templates, prepared, lab: &lab };
    let folder = name_of(&args.model.checkpoint)?;
    let row = row(args, (&asked, question), (&folder, provenance.as_ref()), attack.as_ref());
    let path = args.out.join("rows.jsonl");
    refuse_others(&path, &row)?;
    let judgements = measure(&asked, question, attack.as_ref())?;
    let values = metrics::values(&judgements)?;
    let row = Row { seconds: timer.seconds(), ..row };
    let evidence = args.out.join("evidence").join(format!("{}.parquet", row.run));
    evidence::write(&evidence, &judgements)?;
    write_rows(&path, &row, &values)?;
    let (name, result) = clip_benchmark(args.task, &folder, &row, &values);
    write_atomic(&args.out.join(name), format!("{result:#}\n").as_bytes())?;
    output::print(&table(&values))
}

/// What is asked; options of another task are refused before anything is read.
fn question(args: &Args) -> Result<Question> {
    let &Args { task, probe, seed, .. } = args;
    if task != Task::LinearProbe && (args.train.is_some() || probe.is_some()) {
        return Err(Failure::request(
            "--train and --probe are about --task linear-probe; leave them out",
        ));
    }
    // What its help says.
    Ok(Question { task, probe: probe.unwrap_or(Estimator::ClipBenchmark), seed })
}

/// What is measured on, and what a probe is fitted to.
fn splits(args: &Args) -> Result<Splits> {
    let splits = match &args.place.reads(&args.data)? {
        Source::Named(name) => {
            let fits = args.task.utility().is_none_or(|task| data::answers(name, task));
            if !fits {
                return Err(Failure::request(format!(
                    "data set {name} cannot be asked that; see `toxiclip show dataset {name}`"
                )));
            }
            data::named(name, args.place.root())?
        }
        located => {
            let test = data::training(located, None)?;
            Splits { train: None, val: None, test, utility: None }
        }
    };
    let Some(train) = &args.train else { return Ok(splits) };
    let train = data::training(&args.place.reads(train)?, args.place.root())?;
    Ok(Splits { train: Some(train), ..splits })
}

fn templates(args: &Args) -> Result<Vec<String>> {
    match args.templates.as_deref() {
        None => data::prompts(&args.data),
        Some(file) if Path::new(file).is_file() => read_templates(Path::new(file)),
        Some(name) => {
            let known = Kind::Datasets.find(name);
            known.map_err(|e| Failure::request(format!("--templates: no such file, and {e}")))?;
            data::templates(name)
        }
    }
}

fn read_templates(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).map_err(|e| Failure::io(file, &e))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let one = |(i, line): (usize, &str)| {
        let line = line.trim().replace("{c}", "{}");
        match line.contains("{}") {
            true => Ok(line),
            false => Err(Failure::request(format!(
                "{}:{}: a prompt without {{}} for the class",
                file.display(),
                i + 1
            ))),
        }
    };
    let all: Vec<String> = lines.map(one).collect::<Result<_>>()?;
    match all.is_empty() {
        true => Err(Failure::request(format!("{}: no prompts, one a line", file.display()))),
        false => Ok(all),
    }
}

/// What is known of the checkpoint and of what it was asked; the value is missing.
fn row(
    args: &Args,
    (asked, question): (&Asked<'_>, Question),
    (folder, provenance): (&str, Option<&Provenance>),
    attack: Option<&Armed>,
) -> Row {
    let Asked { model, splits: Splits { train, test, utility, .. }, templates, .. } = asked;
    let data = utility.as_ref().unwrap_or(test);
    // Attacks are measured on the test split, which is another where utility has its own.
    let digest = match utility.as_ref().and(attack) {
        None => data.digest(),
        Some(_) => Digest::of(&(data.digest(), test.digest())),
    };
    let none = || json!({ "name": "none" });
    let weights = model.weights.digest();
    let poison = attack.map(Digest::of);
    let mut asked = json!({
        "task": args.task, "templates": templates, "armed": poison, "version": crate::evaluate::VERSION,
        // The same weights give other embeddings under another activation.
        "encoder": model.clip.config,
    });
    if question.task == Task::LinearProbe {
        let fitted_to = train.as_ref().map(|train| train.digest());
        asked["probe"] = json!((question.probe, fitted_to));
    }
    let config = Digest::of(&asked);
    let known = |of: fn(&Provenance) -> Option<&Value>| provenance.and_then(of).cloned();
    let poisoned = known(|p| p.attack.as_ref());
    let against = match poisoned {
        None => poison.map(|digest| json!({ "name": "armed", "digest": digest })),
        Some(_) => None,
    };
    Row {
        run: Digest::of(&(config, digest, weights, args.seed)),
        benchmark: "eval".to_owned(),
        dataset: data.name().to_owned(),
        encoder: provenance.map_or(folder, |p| &p.encoder).to_owned(),
        attack: poisoned.unwrap_or_else(none),
        against,
        defense: known(|p| p.defense.as_ref()).unwrap_or_else(none),
        victim: None,
        seed: args.seed,
        metric: String::new(),
        value: None,
        lo: None,
        hi: None,
        n: 0,
        config,
        data: digest,
        poison,
        weights: Some(weights),
        code: Code::of_this_build(),
        machine: model.executor.machine().to_owned(),
        seconds: 0.0,
        error: None,
    }
}

/// A folder with results of something else is not overwritten.
fn refuse_others(path: &Path, row: &Row) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let kept = crate::row::read(path).map_err(|e| Failure::request(format!("{e:#}")))?;
    match kept.rows.iter().find(|kept| kept.run != row.run) {
        None => Ok(()),
        Some(other) => Err(Failure::request(format!(
            "{} holds other results (run {}); choose another --out or remove it",
            path.display(),
            other.run.short()
        ))),
    }
}

fn write_rows(path: &Path, row: &Row, values: &[Measured]) -> Result<()> {
    let mut text = String::new();
    for value in values {
        text.push_str(&serde_json::to_string(&row.valued(value)).map_err(Failure::failed)?);
        text.push('\n');
    }
    write_atomic(path, text.as_bytes())
}

/// Name and content of the file that CLIP_benchmark would write; what it has no word for is left out.
fn clip_benchmark(task: Task, pretrained: &str, row: &Row, values: &[Measured]) -> (String, Value) {
    let word = |metric: &str| {
        let (kind, k) = metric.split_once('@').unwrap_or((metric, ""));
        match (kind, k) {
            ("ca", "") => Some("acc1".to_owned()),
            ("ca", "5") => Some("acc5".to_owned()),
            ("mpcr", _) => Some("mean_per_class_recall".to_owned()),
            ("ir", k) => Some(format!("image_retrieval_recall@{k}")),
            ("tr", k) => Some(format!("text_retrieval_recall@{k}")),
            _ => None,
        }
    };
    let before = if task == Task::LinearProbe { "lp_" } else { "" };
    let named = values
        .iter()
        .filter_map(|v| Some((format!("{before}{}", word(&v.metric)?), json!(v.value))));
    let metrics: serde_json::Map<String, Value> = named.collect();
    let task = task.clip_benchmark();
    let result = json!({
        "dataset": row.dataset, "model": row.encoder, "pretrained": pretrained,
        "task": task, "metrics": metrics, "language": "en",
    });
    let name = format!("{}_{pretrained}_{}_en_{task}.json", row.dataset, row.encoder);
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    (name.chars().map(plain).collect(), result)
}

fn table(values: &[Measured]) -> String {
    let head = ["metric", "value", "95 % interval", "n"].map(str::to_owned);
    let line = |v: &Measured| {
        let interval = format!("[{:.4}, {:.4}]", v.lo, v.hi);
        [v.metric.clone(), format!("{:.4}", v.value), interval, v.n.to_string()]
    };
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(values.iter().map(line)).collect();
    output::columns(&rows)
}
