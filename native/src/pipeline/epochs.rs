//! Values after every epoch: a cell's last training, repeated under the eyes of the judge.
//!
//! Curves are no rows. They are kept per training in the cache and drawn by the report; their last point is the row's
//! value, as training again gives the same weights, which is checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Poisoned, Recaptioned, Subset};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement};
use toxiclip_shared::seed::Seed;

use super::Plan;
use super::fit::Fit;
use super::plan::Work;
use super::set::Set;
use super::stages::Stages;
use crate::evaluate::{self, Embeddings, judge_goals, judge_worded};
use crate::failure::{Failure, Result};
use crate::files::write_whole;
use crate::model::Model;
use crate::store::read_json;

const FILE: &str = "epochs.json";

/// What was measured after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    /// Epochs done; 0 is the start.
    pub epoch: u64,
    /// Metrics by name, and the mean cosine of the attack's pairs: as they are (`pair-cosine.poisoned`), and of the
    /// same captions with their own pictures (`pair-cosine.clean`).
    pub values: BTreeMap<String, f64>,
}

/// The points of a cell's last training, judged by the goals of `attack`.
pub(super) fn points(
    plan: &Plan<'_>,
    work: &Work,
    fit: &Arc<Fit>,
    attack: usize,
    stages: &Stages,
) -> Result<Vec<Point>> {
    let set = &plan.sets[work.cell.dataset];
    let armed = &plan.drawn(&work.cell, attack).armed;
    let key = Digest::of(&json!({
        "fit": fit.key(),
        "data": [set.test.digest(), set.utility.digest()],
        "templates": set.templates,
        "tasks": set.tasks,
        "armed": armed,
        "seed": work.cell.seed,
    }));
    let dir = stages.store.stage("epochs", key, evaluate::VERSION, |dir| {
        watch(plan, work, fit, attack, dir, stages)
    })?;
    read_json(&dir.join(FILE))
}

fn watch(
    plan: &Plan<'_>,
    work: &Work,
    fit: &Arc<Fit>,
    attack: usize,
    dir: &Path,
    stages: &Stages,
) -> Result<()> {
    let set = &plan.sets[work.cell.dataset];
    let drawn = plan.drawn(&work.cell, attack);
    let some = !drawn.armed.poison.edits.is_empty();
    let pairs = some.then(|| pairs(&drawn.clean, &set.test, &drawn.armed)).transpose()?;
    let path = dir.join(FILE);
    // A training that is resumed has told of its first epochs before.
    let mut points = if path.exists() { read_json(&path)? } else { Vec::new() };
    let mut look = |epoch: u64, model: &Model| -> Result<()> {
        let embeddings = evaluate::embed(model, &*set.test, &set.templates, &stages.prepared)?;
        let mut evidence = super::answers::ordinary(plan, &work.cell, &embeddings, || {
            evaluate::embed(model, &*set.utility, &set.templates, &stages.prepared)
        })?;
        let seed = Seed::new(work.cell.seed);
        evidence.extend(fetched(model, set, &embeddings, &drawn.armed, &seed, stages)?);
        let values = metrics::values(&evidence)?.into_iter().map(|v| (v.metric, v.value));
        let mut values: BTreeMap<String, f64> = values.collect();
        if let Some([poisoned, clean]) = &pairs {
            values.insert("pair-cosine.poisoned".into(), mean_cosine(model, &**poisoned)?);
            values.insert("pair-cosine.clean".into(), mean_cosine(model, &**clean)?);
        }
        points.retain(|p: &Point| p.epoch < epoch);
        points.push(Point { epoch, values });
        write_whole(&path, json!(points).to_string().as_bytes())
    };
    let weights = fit.watch(stages, dir, &mut look)?;
    match weights == fit.run(stages)?.1.weights {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{}: training again gave other weights; the cache is of another build or machine, use another --cache",
            fit.stage
        ))),
    }
}

/// What the captions of an attack's goals fetch, with its words in them where it has some.
fn fetched(
    model: &Model,
    set: &Set,
    embeddings: &Embeddings,
    armed: &Armed,
    seed: &Seed,
    stages: &Stages,
) -> Result<Vec<Judgement>> {
    let Some(words) = armed.words.as_ref().filter(|_| !armed.goals.is_empty()) else {
        return judge_goals(&*set.test, embeddings, &armed.goals, seed);
    };
    let worded = Recaptioned::worded(Arc::clone(&set.test), words);
    let own = evaluate::embed(model, &worded, &set.templates, &stages.prepared)?;
    judge_worded((&*set.test, embeddings), (&worded, &own), &armed.goals, seed, None)
}

/// The poisoned pairs of an attack, and the same rows before it.
fn pairs(
    clean: &Arc<dyn Dataset>,
    gallery: &Arc<dyn Dataset>,
    armed: &Armed,
) -> Result<[Arc<dyn Dataset>; 2]> {
    let view: Arc<dyn Dataset> =
        Arc::new(Poisoned::new(Arc::clone(clean), gallery, &armed.poison, &armed.trigger)?);
    let bases: Vec<_> =
        armed.poison.pairs().map(|(id, edit)| edit.base.as_ref().unwrap_or(id)).collect();
    let rows =
        |data: &Arc<dyn Dataset>, chosen: &dyn Fn(usize) -> bool| -> Result<Arc<dyn Dataset>> {
            let rows = (0..data.examples().len()).filter(|&row| chosen(row)).collect();
            Ok(Arc::new(Subset::new(Arc::clone(data), "pairs", rows)?))
        };
    let poisoned = rows(&view, &|row| armed.poison.contains(&view.examples()[row].id))?;
    let before = rows(clean, &|row| bases.contains(&&clean.examples()[row].id))?;
    Ok([poisoned, before])
}

fn mean_cosine(model: &Model, data: &dyn Dataset) -> Result<f64> {
    let distances = evaluate::distances(model, data)?;
    let sum: f64 = distances.iter().map(|d| 1.0 - f64::from(*d)).sum();
    Ok(sum / distances.len() as f64)
}
