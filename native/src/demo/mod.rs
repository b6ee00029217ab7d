//! What the demos show. [`export_retrieval`] is for the page of poisoned retrieval; this is for the trigger playground: models
//! of a benchmark's first seed as small files, the triggers they were poisoned with, sample pictures, and what this program
//! answers to one of them, for the page to compare itself with.
//!
//! | file | content |
//! |---|---|
//! | `demo.json` | [`Manifest`]: all of the following by name, size and sha256 |
//! | `ATTACK-DEFENSE.bin` | a [`Classifier`]'s file |
//! | `sample-N.png` | a test picture that the clean model knows |
//! | `example-ATTACK.png` | the first of them, stamped |

mod manifest;
mod retrieval;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::checkpoint::{PROVENANCE, Provenance};
use toxiclip_shared::classifier::{self, About, Classifier};
use toxiclip_shared::data::{Dataset, Splits, emoji};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement};

use manifest::{Entry, Golden, Manifest, Rate, Sample, Shown};
pub use retrieval::export_retrieval;

use crate::benchmark::Cell;
use crate::catalogue::Kind;
use crate::evaluate::task::{Asked, attacked};
use crate::evaluate::{self, Embeddings};
use crate::export::png;
use crate::failure::{Failure, Result};
use crate::model::Model;
use crate::pipeline::origin::Origin;
use crate::pipeline::{Plan, Stages};
use crate::store::write_atomic;

/// Pictures to choose from.
const SAMPLES: usize = 8;

/// A model that is shown.
struct Line<P> {
    cell: Cell,
    model: Model,
    /// Of the test split as it is.
    plain: Embeddings,
    /// As a page gets it, in half precision.
    packed: P,
}

/// All of them by name, as in [`Entry`].
type Lines<P> = BTreeMap<String, Line<P>>;

/// Trains what is missing and writes all files into `out`; returns the sum of the models' bytes.
///
/// # Errors
/// Those of training; if the benchmark has no clean model or no attack that stamps pictures, or the folder cannot be written.
pub fn export(plan: &Plan<'_>, stages: &Stages, out: &Path) -> Result<usize> {
    let test = &*plan.sets[0].test;
    let (mut lines, mut entries) = (Lines::new(), Vec::new());
    let stamps = |armed: &Armed| !armed.trigger.is_none();
    for (id, (cell, origin)) in origins(plan, stamps, "that stamps pictures")? {
        let file = format!("{}.bin", id.replace('+', "-"));
        let (bytes, line) = packed(plan, (cell, origin), stages, &file)?;
        write_atomic(&out.join(&file), &bytes)?;
        let sha256 = Digest::of_bytes(&bytes);
        entries.push(Entry { id: id.clone(), file, bytes: bytes.len(), sha256 });
        lines.insert(id, line);
    }
    let samples = samples(test, &lines["clean"].packed, out)?;
    let attacks = attacks(plan, &lines, stages)?;
    examples(test, &samples, &attacks, out)?;
    let golden = golden(test, &samples, &attacks, &lines)?;
    let total = entries.iter().map(|entry| entry.bytes).sum();
    let samples = samples.into_iter().map(|(_, sample)| sample).collect();
    let benchmark = plan.benchmark.name.clone();
    let classes = test.classes().iter().map(|class| class.name.clone()).collect();
    let manifest = Manifest { benchmark, classes, models: entries, attacks, samples, golden };
    let json = serde_json::to_vec(&manifest).map_err(Failure::failed)?;
    write_atomic(&out.join("demo.json"), &json)?;
    Ok(total)
}

/// The models of the first seed by name: the clean one, and those of every attack that is shown, which `what` says in words.
fn origins<'a>(
    plan: &'a Plan<'_>,
    shows: impl Fn(&Armed) -> bool,
    what: &str,
) -> Result<BTreeMap<String, (Cell, &'a Origin)>> {
    let (attacks, defenses) = (&plan.benchmark.attacks, &plan.benchmark.defenses);
    let first = plan.works.first().map(|work| work.cell.seed);
    let mut found = BTreeMap::new();
    for work in plan.works.iter().filter(|work| Some(work.cell.seed) == first) {
        let cell = work.cell;
        let (attack, defense) = (attacks[cell.attack].name(), defenses[cell.defense].name());
        let shown = shows(&plan.attack(&cell).armed);
        let id = match (attack, defense) {
            ("none", "none") => "clean".to_owned(),
            (_, "none") if shown => attack.to_owned(),
            (_, _) if shown => format!("{attack}+{defense}"),
            _ => continue,
        };
        found.insert(id, (cell, &work.model));
    }
    if found.len() < 2 || !found.contains_key("clean") {
        return Err(Failure::request(format!(
            "{}: a demo needs a clean model and an attack {what}",
            plan.benchmark.name
        )));
    }
    Ok(found)
}

/// The bytes of a model's file, and what they were made from.
fn packed(
    plan: &Plan<'_>,
    (cell, origin): (Cell, &Origin),
    stages: &Stages,
    file: &str,
) -> Result<(Vec<u8>, Line<Classifier>)> {
    let (model, weights, provenance) = fitted(origin, stages)?;
    let set = &plan.sets[0];
    let plain = evaluate::embed(&model, &*set.test, &set.templates, &stages.prepared)?;
    let about = About {
        config: model.clip.config.clone(),
        names: set.test.classes().iter().map(|class| class.name.clone()).collect(),
        weights: Some(weights),
        provenance: Some(provenance),
    };
    let bytes = classifier::write(&model.clip, &model.weights, &plain.classes, &about);
    let packed = Classifier::parse(&bytes, file)?;
    Ok((bytes, Line { cell, model, plain, packed }))
}

/// A model that the benchmark trains, the digest of its weights, and what it says of itself.
fn fitted(origin: &Origin, stages: &Stages) -> Result<(Model, Digest, Provenance)> {
    let Origin::Fit(fit) = origin else {
        return Err(Failure::request("a demo shows models that its benchmark trains"));
    };
    let (dir, record) = fit.run(stages)?;
    let (model, provenance) = Model::load(&dir, None)?;
    // Without it the file would not say that its weights are poisoned.
    let provenance = provenance.ok_or_else(|| {
        Failure::failed(format!("{}: no {PROVENANCE}; delete the folder", dir.display()))
    })?;
    Ok((model, record.weights, provenance))
}

/// Test pictures whose class the clean model knows, evenly over the split, each with its row: what a trigger does shows on
/// them. Where it knows too few, whatever pictures there are.
fn samples(test: &dyn Dataset, clean: &Classifier, out: &Path) -> Result<Vec<(usize, Sample)>> {
    let rows: Vec<usize> = (0..test.examples().len()).collect();
    let pictures = rows.par_iter().map(|&row| Ok(test.image(row)?)).collect::<Result<Vec<_>>>()?;
    let answers = clean.answers(&pictures)?;
    let class = |row: usize| test.examples()[row].class;
    let known: Vec<usize> =
        rows.iter().copied().filter(|&row| best(&answers[row]) == class(row)).collect();
    let rows = if known.len() < SAMPLES { rows } else { known };
    let step = (rows.len() / SAMPLES).max(1);
    let mut all = Vec::new();
    for (i, row) in rows.into_iter().step_by(step).take(SAMPLES).enumerate() {
        let (example, file) = (&test.examples()[row], format!("sample-{i}.png"));
        let bytes = png(&test.image(row)?).map_err(Failure::failed)?;
        write_atomic(&out.join(&file), &bytes)?;
        let class = example.class.map_or_else(String::new, |c| test.classes()[c].name.clone());
        let credit = credit(&example.id.0)?;
        all.push((row, Sample { file, id: example.id.0.clone(), class, credit }));
    }
    Ok(all)
}

fn attacks(plan: &Plan<'_>, lines: &Lines<Classifier>, stages: &Stages) -> Result<Vec<Shown>> {
    let test = &*plan.sets[0].test;
    let mut all = Vec::new();
    for (id, line) in lines.iter().filter(|(id, _)| *id != "clean" && !id.contains('+')) {
        let armed = &plan.attack(&line.cell).armed;
        let Some(target) = armed.target else { continue };
        let repaired = lines.iter().find(|(other, _)| other.starts_with(&format!("{id}+")));
        let defended = repaired.map(|(id, _)| id.clone());
        let defense = repaired.map(|(_, line)| &plan.benchmark.defenses[line.cell.defense]);
        let shown = ["clean".to_owned(), id.clone()].into_iter().chain(defended.clone());
        let rate = |model: String| {
            let rate = rate(plan, &lines[&model], armed, stages)?;
            Ok((model, rate))
        };
        all.push(Shown {
            name: id.clone(),
            summary: Kind::Attacks.find(id)?.summary,
            target: test.classes()[target].name.clone(),
            trigger: armed.trigger.clone(),
            example: format!("example-{id}.png"),
            poisoned: id.clone(),
            defended,
            defense: defense.map(|choice| choice.spec().clone()),
            asr: shown.map(rate).collect::<Result<_>>()?,
        });
    }
    Ok(all)
}

/// The metric `asr` of a model under an attack, before its weights were rounded.
fn rate(plan: &Plan<'_>, line: &Line<Classifier>, armed: &Armed, stages: &Stages) -> Result<Rate> {
    let judged = judged(plan, &line.model, armed, (&line.plain, line.cell.seed), stages)?;
    let asr = metrics::values(&judged)?.into_iter().find(|value| value.metric == "asr");
    asr.map(Rate::from).ok_or_else(|| Failure::failed("an attack that stamps pictures has no asr"))
}

/// A model's answers to an attack, before its weights were rounded; `plain` are its embeddings of the test split as it is.
fn judged(
    plan: &Plan<'_>,
    model: &Model,
    armed: &Armed,
    (plain, seed): (&Embeddings, u64),
    stages: &Stages,
) -> Result<Vec<Judgement>> {
    let set = &plan.sets[0];
    let splits = Splits { train: None, val: None, test: Arc::clone(&set.test), utility: None };
    let Stages { prepared, lab, .. } = stages;
    let (splits, templates) = (&splits, &set.templates);
    let asked = Asked { model, splits, templates, prepared, lab };
    attacked(&asked, armed, plain, seed)
}

/// Of the art set that a drawing's id begins with; one without is not shown.
fn credit(id: &str) -> Result<String> {
    let set = emoji::ART.iter().find(|set| id.split('/').next() == Some(set.name));
    let set =
        set.ok_or_else(|| Failure::request(format!("{id}: nobody says whose picture it is")))?;
    Ok(format!("{} ({})", set.credit, set.licence))
}

/// The likeliest class.
fn best(answer: &[f32]) -> Option<usize> {
    (0..answer.len()).max_by(|&a, &b| answer[a].total_cmp(&answer[b]))
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
    lines: &Lines<Classifier>,
) -> Result<Vec<Golden>> {
    let Some(&(row, _)) = samples.first() else { return Ok(Vec::new()) };
    let plain = test.image(row)?;
    let mut all = Vec::new();
    for (id, line) in lines {
        let mut shown = vec![(None, plain.clone())];
        for attack in attacks.iter().filter(|attack| attack.asr.contains_key(id)) {
            let stamped = attack.trigger.apply(&plain, &test.examples()[row].id)?;
            shown.push((Some(attack.name.clone()), stamped));
        }
        let (stamped, pictures): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
        let answers = line.packed.answers(&pictures)?;
        all.extend(stamped.into_iter().zip(answers).map(|(stamped, answer)| Golden {
            model: id.clone(),
            sample: 0,
            stamped,
            answer,
        }));
    }
    Ok(all)
}
