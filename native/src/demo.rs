//! What the page of demos shows: models of a benchmark's first seed as small files, the triggers they were poisoned with,
//! sample pictures, and what this program answers to one of them, for the page to compare itself with.
//!
//! | file | content |
//! |---|---|
//! | `demo.json` | [`Manifest`]: all of the following by name, size and sha256 |
//! | `ATTACK-DEFENSE.bin` | a [`Classifier`]'s file |
//! | `sample-N.png` | a test picture that the clean model knows |
//! | `example-ATTACK.png` | the first of them, stamped |

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use toxiclip_shared::classifier::{self, About, Classifier};
use toxiclip_shared::data::{Dataset, emoji};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::interval::wilson;
use toxiclip_shared::triggers::Trigger;

use crate::benchmark::Cell;
use crate::evaluate;
use crate::export::png;
use crate::failure::{Failure, Result};
use crate::model::Model;
use crate::pipeline::origin::Origin;
use crate::pipeline::{Plan, Stages};
use crate::store::write_atomic;

/// Pictures to choose from.
const SAMPLES: usize = 8;

/// `demo.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    /// The benchmark whose cells these are.
    benchmark: String,
    /// Names of all classes, in the order of answers.
    classes: Vec<String>,
    models: Vec<Entry>,
    attacks: Vec<Shown>,
    samples: Vec<Sample>,
    golden: Vec<Golden>,
}

#[derive(Debug, Serialize)]
struct Entry {
    /// `clean`, or the attack with `+` and its defense.
    id: String,
    file: String,
    bytes: usize,
    sha256: Digest,
}

/// An attack with the models that met it.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    summary: String,
    target: String,
    /// As in `armed.json`.
    trigger: Trigger,
    /// The first sample with it.
    example: String,
    poisoned: String,
    defended: Option<String>,
    /// The defense with its parameters.
    defense: Option<Value>,
    /// Share of the test pictures of other classes that each model takes for the target once stamped.
    asr: BTreeMap<String, Rate>,
}

#[derive(Debug, Serialize)]
struct Rate {
    value: f64,
    lo: f64,
    hi: f64,
    n: usize,
}

#[derive(Debug, Serialize)]
struct Sample {
    file: String,
    id: String,
    class: String,
    /// Whose drawing it is, and its licence.
    credit: String,
}

/// What this program answers about a sample, as it is or under an attack's trigger.
#[derive(Debug, Serialize)]
struct Golden {
    model: String,
    sample: usize,
    stamped: Option<String>,
    answer: Vec<f32>,
}

/// Trains what is missing and writes all files into `out`; returns the sum of the models' bytes.
///
/// # Errors
/// Those of training; if the benchmark has no clean model or no attack that stamps pictures, or the folder cannot be written.
pub fn export(plan: &Plan<'_>, stages: &Stages, out: &Path) -> Result<usize> {
    let lines = lines(plan)?;
    let set = &plan.sets[0];
    let test = &*set.test;
    let mut models = BTreeMap::new();
    let mut entries = Vec::new();
    for (id, (_, origin)) in &lines {
        let file = format!("{}.bin", id.replace('+', "-"));
        let bytes = packed(plan, origin, stages)?;
        write_atomic(&out.join(&file), &bytes)?;
        models.insert(id.clone(), Classifier::parse(&bytes, &file)?);
        let sha256 = Digest::of_bytes(&bytes);
        entries.push(Entry { id: id.clone(), file, bytes: bytes.len(), sha256 });
    }
    let samples = samples(test, &models["clean"], out)?;
    let attacks = attacks(plan, &lines, &models)?;
    examples(test, &samples, &attacks, out)?;
    let golden = golden(test, &samples, &attacks, &models)?;
    let total = entries.iter().map(|entry| entry.bytes).sum();
    let samples = samples.into_iter().map(|(_, sample)| sample).collect();
    let benchmark = plan.benchmark.name.clone();
    let classes = test.classes().iter().map(|class| class.name.clone()).collect();
    let manifest = Manifest { benchmark, classes, models: entries, attacks, samples, golden };
    let json = serde_json::to_vec(&manifest).map_err(Failure::failed)?;
    write_atomic(&out.join("demo.json"), &json)?;
    Ok(total)
}

/// The models of the first seed by name: the clean one, and those of every attack that stamps pictures.
fn lines<'a>(plan: &'a Plan<'_>) -> Result<BTreeMap<String, (Cell, &'a Origin)>> {
    let (attacks, defenses) = (&plan.benchmark.attacks, &plan.benchmark.defenses);
    let first = plan.works.first().map(|work| work.cell.seed);
    let mut found = BTreeMap::new();
    for work in plan.works.iter().filter(|work| Some(work.cell.seed) == first) {
        let cell = work.cell;
        let (attack, defense) = (attacks[cell.attack].name(), defenses[cell.defense].name());
        let stamps = !plan.attack(&cell).armed.trigger.is_none();
        let id = match (attack, defense) {
            ("none", "none") => "clean".to_owned(),
            (_, "none") if stamps => attack.to_owned(),
            (_, _) if stamps => format!("{attack}+{defense}"),
            _ => continue,
        };
        found.insert(id, (cell, &work.model));
    }
    if found.len() < 2 || !found.contains_key("clean") {
        return Err(Failure::request(format!(
            "{}: a demo needs a clean model and an attack that stamps pictures",
            plan.benchmark.name
        )));
    }
    Ok(found)
}

fn packed(plan: &Plan<'_>, origin: &Origin, stages: &Stages) -> Result<Vec<u8>> {
    let Origin::Fit(fit) = origin else {
        return Err(Failure::request("a demo shows models that its benchmark trains"));
    };
    let (dir, record) = fit.run(stages)?;
    let (model, provenance) = Model::load(&dir, None)?;
    let set = &plan.sets[0];
    let classes = evaluate::embed_classes(&model, &*set.test, &set.templates)?;
    let about = About {
        config: model.clip.config.clone(),
        names: set.test.classes().iter().map(|class| class.name.clone()).collect(),
        weights: record.weights,
        provenance: provenance.unwrap_or_default(),
    };
    Ok(classifier::write(&model.clip, &model.weights, &classes, &about))
}

/// Test pictures whose class the clean model knows, evenly over the split, each with its row: what a trigger does shows on
/// them. Where it knows too few, whatever pictures there are.
fn samples(test: &dyn Dataset, clean: &Classifier, out: &Path) -> Result<Vec<(usize, Sample)>> {
    let rows: Vec<usize> = (0..test.examples().len()).collect();
    let knows = |&row: &usize| {
        Ok(Some(best(&clean.answer(&test.image(row)?)?)) == test.examples()[row].class)
    };
    let known: Vec<bool> = rows.par_iter().map(knows).collect::<Result<_>>()?;
    let known: Vec<usize> = rows.iter().copied().filter(|&row| known[row]).collect();
    let rows = if known.len() < SAMPLES { rows } else { known };
    let step = (rows.len() / SAMPLES).max(1);
    let mut all = Vec::new();
    for (i, row) in rows.into_iter().step_by(step).take(SAMPLES).enumerate() {
        let (example, file) = (&test.examples()[row], format!("sample-{i}.png"));
        let bytes = png(&test.image(row)?).map_err(Failure::failed)?;
        write_atomic(&out.join(&file), &bytes)?;
        let class = example.class.map_or_else(String::new, |c| test.classes()[c].name.clone());
        let credit = credit(&example.id.0);
        all.push((row, Sample { file, id: example.id.0.clone(), class, credit }));
    }
    Ok(all)
}

fn attacks(
    plan: &Plan<'_>,
    lines: &BTreeMap<String, (Cell, &Origin)>,
    models: &BTreeMap<String, Classifier>,
) -> Result<Vec<Shown>> {
    let test = &*plan.sets[0].test;
    let mut all = Vec::new();
    for (id, (cell, _)) in lines.iter().filter(|(id, _)| *id != "clean" && !id.contains('+')) {
        let armed = &plan.attack(cell).armed;
        let Some(target) = armed.target else { continue };
        let repaired = lines.iter().find(|(other, _)| other.starts_with(&format!("{id}+")));
        let defended = repaired.map(|(id, _)| id.clone());
        let shown = ["clean".to_owned(), id.clone()].into_iter().chain(defended.clone());
        let rate = |model: String| {
            let rate = rate(test, &models[&model], &armed.trigger, target)?;
            Ok((model, rate))
        };
        let card = crate::catalogue::Kind::Attacks.find(id)?;
        all.push(Shown {
            name: id.clone(),
            summary: card.summary.clone(),
            target: test.classes()[target].name.clone(),
            trigger: armed.trigger.clone(),
            example: format!("example-{id}.png"),
            poisoned: id.clone(),
            defense: repaired.map(|(_, (c, _))| plan.benchmark.defenses[c.defense].spec().clone()),
            defended,
            asr: shown.map(rate).collect::<Result<_>>()?,
        });
    }
    Ok(all)
}

/// Of the art set that a drawing's id begins with.
fn credit(id: &str) -> String {
    let set = emoji::ART.iter().find(|set| id.split('/').next() == Some(set.name));
    set.map_or_else(String::new, |set| format!("{} ({})", set.credit, set.licence))
}

/// The likeliest class.
fn best(answer: &[f32]) -> usize {
    let better = |&a: &usize, &b: &usize| answer[a].total_cmp(&answer[b]);
    (0..answer.len()).max_by(better).unwrap_or_default()
}

/// How many pictures of other classes are taken for the target once stamped.
fn rate(test: &dyn Dataset, model: &Classifier, trigger: &Trigger, target: usize) -> Result<Rate> {
    let others: Vec<usize> = (0..test.examples().len())
        .filter(|&row| test.examples()[row].class != Some(target))
        .collect();
    let fooled = |&row: &usize| -> Result<bool> {
        let stamped = trigger.apply(&test.image(row)?, &test.examples()[row].id)?;
        Ok(best(&model.answer(&stamped)?) == target)
    };
    let fooled: Vec<bool> = others.par_iter().map(fooled).collect::<Result<_>>()?;
    let n = fooled.len();
    let value = fooled.iter().filter(|&&f| f).count() as f64 / n.max(1) as f64;
    let interval = wilson(value, n as f64);
    Ok(Rate { value, lo: interval.lo, hi: interval.hi, n })
}

/// The first sample under each trigger: what a page shows before any model is there.
fn examples(
    test: &dyn Dataset,
    samples: &[(usize, Sample)],
    attacks: &[Shown],
    out: &Path,
) -> Result<()> {
    let Some(&(row, _)) = samples.first() else { return Ok(()) };
    for attack in attacks {
        let stamped = attack.trigger.apply(&test.image(row)?, &test.examples()[row].id)?;
        let bytes = png(&stamped).map_err(Failure::failed)?;
        write_atomic(&out.join(&attack.example), &bytes)?;
    }
    Ok(())
}

/// Answers about the first sample, plain and stamped.
fn golden(
    test: &dyn Dataset,
    samples: &[(usize, Sample)],
    attacks: &[Shown],
    models: &BTreeMap<String, Classifier>,
) -> Result<Vec<Golden>> {
    let Some(&(row, _)) = samples.first() else { return Ok(Vec::new()) };
    let plain = test.image(row)?;
    let mut all = Vec::new();
    for (id, model) in models {
        let answer = model.answer(&plain)?;
        all.push(Golden { model: id.clone(), sample: 0, stamped: None, answer });
        for attack in attacks.iter().filter(|attack| attack.asr.contains_key(id)) {
            let stamped = attack.trigger.apply(&plain, &test.examples()[row].id)?;
            let (name, answer) = (Some(attack.name.clone()), model.answer(&stamped)?);
            all.push(Golden { model: id.clone(), sample: 0, stamped: name, answer });
        }
    }
    Ok(all)
}
