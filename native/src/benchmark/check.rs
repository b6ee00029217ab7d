//! From a document to a [`Benchmark`]: names resolved, defaults filled in, impossible values refused.

use std::path::Path;

use toml::Value;
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::defenses::DEFENSES;
use toxiclip_shared::encoders::{ClipConfig, library};
use toxiclip_shared::metrics;
use toxiclip_shared::recipe::TrainConfig;

use super::document::Document;
use super::expect::Expect;
use super::finding::Finding;
use super::victim::{StartOf, Victim};
use super::{AXES, Benchmark, Choice, Encoder, Eval, Form, Init, check_only};
use crate::argument::Assignment;
use crate::failure::{Failure, Result};

const SECTIONS: [&str; 10] =
    ["title", "analysis", "matrix", "init", "train", "eval", "tiny", "full", "expect", "finding"];

impl Benchmark {
    /// Reads a benchmark file.
    ///
    /// # Errors
    /// With file and line, on the first thing that is wrong.
    pub fn read(path: &Path, form: Form, set: &[Assignment], only: &[Assignment]) -> Result<Self> {
        let remedy = "check the path; `toxiclip list benchmarks` names those of this repository";
        let text = std::fs::read_to_string(path).map_err(|e| Failure::absent(path, &e, remedy))?;
        Self::parse(path, &text, form, set, only)
    }

    /// As [`Benchmark::read`], from text; `path` names it in errors and finds files beside it.
    ///
    /// # Errors
    /// With file and line, on the first thing that is wrong.
    pub fn parse(
        path: &Path,
        text: &str,
        form: Form,
        set: &[Assignment],
        only: &[Assignment],
    ) -> Result<Self> {
        // The other forms are checked even when they are not asked for: a benchmark must not rot unseen.
        let full = text.lines().any(|line| line.trim_start_matches('[').starts_with("full"));
        for other in [Some(Form::Tiny), full.then_some(Form::Full)].into_iter().flatten() {
            if other != form {
                read(path, text, other, &[], &[])?;
            }
        }
        read(path, text, form, set, only)
    }
}

fn read(
    path: &Path,
    text: &str,
    form: Form,
    set: &[Assignment],
    only: &[Assignment],
) -> Result<Benchmark> {
    let mut document = Document::parse(path, text, form, set)?;
    let title = words(&mut document, "title")?;
    let analysis = words(&mut document, "analysis")?;
    let mut matrix = document.take("matrix");
    let core = core(&document, matrix.as_mut())?;
    let [datasets, encoders, victims, attacks, defenses, seeds] = axes(&document, matrix)?;
    let init = document.take("init");
    let init = init.map_or(Ok(Init::Scratch), |v| read_init(&document, path, v))?;
    let train = document.take("train").unwrap_or_else(empty);
    let plain = recipe(&document, "train", &train)?;
    let victims =
        each(&victims, |i, v| Victim::read(&document, &format!("matrix.victim.{i}"), &train, v))?;
    let eval = document.take("eval").unwrap_or_else(empty);
    let eval = read_eval(&document, &eval)?;
    let expect = document.take("expect");
    let finding = document.take("finding");
    document.finish(&SECTIONS)?;
    let choice = |e: String, i: usize, axis: &str| document.error(&format!("matrix.{axis}.{i}"), e);
    let benchmark = Benchmark {
        name: name_of(path),
        title,
        analysis,
        datasets: each(&datasets, |i, v| text_of(&document, "dataset", i, v))?,
        encoders: each(&encoders, |i, v| read_encoder(&document, path, i, v))?,
        victims,
        attacks: each(&attacks, |i, v| {
            Choice::read("attack", ATTACKS, v).map_err(|e| choice(e, i, "attack"))
        })?,
        defenses: each(&defenses, |i, v| {
            Choice::read("defense", DEFENSES, v).map_err(|e| choice(e, i, "defense"))
        })?,
        seeds: each(&seeds, |i, v| {
            let seed = v.as_integer().and_then(|n| u64::try_from(n).ok());
            seed.ok_or_else(|| choice("expected a number from 0 on".into(), i, "seed"))
        })?,
        core,
        init,
        train: plain,
        eval,
        expect: read_expect(&document, expect)?,
        finding: finding.map(|value| read_finding(&document, &value)).transpose()?,
        form,
        only: only.to_vec(),
    };
    no_repetition(&document, &benchmark)?;
    check_as_is(&document, &benchmark)?;
    check_only(&benchmark)?;
    for (i, expect) in benchmark.expect.iter().enumerate().filter(|_| form != Form::Tiny) {
        expect.check(&benchmark).map_err(|e| document.error(&format!("expect.{i}"), e))?;
    }
    Ok(benchmark)
}

/// `quick`, `curated/retrieval`: the path below a folder called `benchmarks`, or the stem elsewhere.
fn name_of(path: &Path) -> String {
    let plain = path.with_extension("");
    let parts: Vec<_> = plain.iter().map(|p| p.to_string_lossy()).collect();
    let start = parts.iter().rposition(|p| p == "benchmarks").map_or(parts.len() - 1, |i| i + 1);
    parts[start..].join("/")
}

fn empty() -> Value {
    Value::Table(toml::Table::new())
}

fn words(document: &mut Document, key: &str) -> Result<String> {
    match document.take(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Some(_) => Err(document.error(key, "expected text")),
        None => Err(document.error(key, "is missing; a benchmark says what it asks")),
    }
}

/// `core`, taken out of the matrix.
fn core(document: &Document, matrix: Option<&mut Value>) -> Result<Option<usize>> {
    let given = matrix.and_then(Value::as_table_mut).and_then(|table| table.remove("core"));
    let count = |value: Value| {
        let count = value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        count.ok_or_else(|| document.error("matrix.core", "expected a number from 1 on"))
    };
    given.map(count).transpose()
}

/// The lists of the matrix; a single value is a list of one, and what is left out is `none` or seed 0.
fn axes(document: &Document, matrix: Option<Value>) -> Result<[Vec<Value>; 6]> {
    let Some(Value::Table(mut table)) = matrix else {
        return Err(document.error("matrix", "is missing; give [matrix] with dataset and encoder"));
    };
    let mut out: [Vec<Value>; 6] = Default::default();
    for (axis, values) in AXES.iter().zip(&mut out) {
        *values = match table.remove(*axis) {
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
            None if *axis == "seed" => vec![Value::Integer(0)],
            None if *axis == "victim" => vec![empty()],
            None if ["attack", "defense"].contains(axis) => vec![Value::from("none")],
            None => return Err(document.error("matrix", format!("`{axis}` is missing"))),
        };
        if values.is_empty() {
            return Err(document.error(&format!("matrix.{axis}"), "is empty; give at least one"));
        }
    }
    match table.keys().next() {
        None => Ok(out),
        Some(key) => Err(document.error(
            &format!("matrix.{key}"),
            format!("unknown key; known: {}, core", AXES.join(", ")),
        )),
    }
}

fn each<T>(values: &[Value], read: impl Fn(usize, &Value) -> Result<T>) -> Result<Vec<T>> {
    values.iter().enumerate().map(|(i, value)| read(i, value)).collect()
}

fn text_of(document: &Document, axis: &str, i: usize, value: &Value) -> Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| document.error(&format!("matrix.{axis}.{i}"), "expected a name"))
}

fn read_encoder(document: &Document, path: &Path, i: usize, value: &Value) -> Result<Encoder> {
    let name = text_of(document, "encoder", i, value)?;
    let wrong = |e: &dyn std::fmt::Display| document.error(&format!("matrix.encoder.{i}"), e);
    if !name.ends_with(".json") {
        let config = library::find(&name).map_err(|e| wrong(&e))?;
        return Ok(Encoder::called(&name, config));
    }
    let file = path.parent().unwrap_or(Path::new("")).join(&name);
    let json =
        std::fs::read_to_string(&file).map_err(|e| wrong(&format!("{}: {e}", file.display())))?;
    let config = ClipConfig::parse(&json, &name).map_err(|e| wrong(&e))?;
    Ok(Encoder::called(&name, config))
}

pub(super) fn recipe(document: &Document, path: &str, value: &Value) -> Result<TrainConfig> {
    let config: TrainConfig = document.section(path, value)?;
    config.checked().map_err(|e| {
        // The message names its key first, and the key has a line.
        let key = e.split('`').nth(1).and_then(|k| k.split('[').next()).unwrap_or_default();
        document.error(&format!("{path}.{key}"), &e)
    })
}

/// A recipe with a seed, or a checkpoint.
fn read_init(document: &Document, path: &Path, value: Value) -> Result<Init> {
    let Value::Table(mut table) = value else {
        return Err(document.error("init", "expected a table"));
    };
    let seed = match table.remove("seed") {
        None => Some(0),
        Some(Value::Integer(n)) if n >= 0 => Some(n.cast_unsigned()),
        Some(Value::String(text)) if text == "cell" => None,
        Some(_) => {
            return Err(document.error(
                "init.seed",
                "expected a number from 0 on, or \"cell\" for that of each cell",
            ));
        }
    };
    let data = match table.remove("data") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(document.error("init.data", "expected the name of a data set")),
    };
    match table.remove("checkpoint") {
        None => {
            let recipe = recipe(document, "init", &Value::Table(table))?;
            Ok(Init::Pretrain { recipe, seed, data })
        }
        Some(Value::String(dir)) if table.is_empty() && data.is_none() => {
            Ok(Init::Checkpoint(path.parent().unwrap_or(Path::new("")).join(dir)))
        }
        Some(_) => Err(document.error(
            "init.checkpoint",
            "expected a folder, and no recipe beside it: it is not trained",
        )),
    }
}

fn read_eval(document: &Document, value: &Value) -> Result<Eval> {
    let eval: Eval = document.section("eval", value)?;
    for (i, name) in eval.metrics.iter().enumerate() {
        metrics::find(name).map_err(|e| document.error(&format!("eval.metrics.{i}"), e))?;
    }
    if let Some(i) = eval.templates.iter().position(|t| t.matches("{}").count() != 1) {
        let path = format!("eval.templates.{i}");
        return Err(document.error(&path, "a template has `{}` once, for the class name"));
    }
    Ok(eval)
}

fn read_expect(document: &Document, value: Option<Value>) -> Result<Vec<Expect>> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(i, item)| document.section(&format!("expect.{i}"), &item))
            .collect(),
        Some(_) => Err(document.error("expect", "write [[expect]] with double brackets")),
    }
}

fn read_finding(document: &Document, value: &Value) -> Result<Finding> {
    let finding: Finding = document.section("finding", value)?;
    finding.check().map_err(|e| document.error("finding", e))?;
    Ok(finding)
}

/// What is not trained can neither be poisoned nor defended, and must come from somewhere.
fn check_as_is(document: &Document, benchmark: &Benchmark) -> Result<()> {
    let as_is = |victim: &Victim| victim.start == StartOf::AsIs;
    let Some(i) = benchmark.victims.iter().position(as_is) else { return Ok(()) };
    let path = format!("matrix.victim.{i}");
    let mut others = benchmark.attacks.iter().chain(&benchmark.defenses);
    if let Some(other) = others.find(|choice| choice.name() != "none") {
        let why = format!("an untrained victim knows no `{}`; leave one of them out", other.name());
        return Err(document.error(&path, why));
    }
    match benchmark.init {
        Init::Scratch => Err(document.error(&path, "needs an [init]: start values know nothing")),
        _ => Ok(()),
    }
}

/// The same entry twice would be measured twice and averaged as if it were evidence.
fn no_repetition(document: &Document, benchmark: &Benchmark) -> Result<()> {
    fn repeated<T: PartialEq>(items: &[T]) -> Option<usize> {
        (1..items.len()).find(|&i| items[..i].contains(&items[i]))
    }
    let names: Vec<&str> = benchmark.encoders.iter().map(|e| e.name.as_str()).collect();
    for (axis, at) in [
        ("dataset", repeated(&benchmark.datasets)),
        ("encoder", repeated(&names)),
        ("victim", repeated(&benchmark.victims)),
        ("attack", repeated(&benchmark.attacks)),
        ("defense", repeated(&benchmark.defenses)),
        ("seed", repeated(&benchmark.seeds)),
    ] {
        if let Some(i) = at {
            return Err(document.error(&format!("matrix.{axis}.{i}"), "is there twice"));
        }
    }
    Ok(())
}
