//! Audits as cached stages, and what they say as evidence.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::audit::{Audit, Subject, Verdict};
use toxiclip_shared::data::{Dataset, PairId, Subset};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::{Error, image::Image};

use super::Plan;
use super::fit::{Origin, Stages};
use crate::benchmark::Cell;
use crate::failure::{Failure, Result};
use crate::prepared::picture;
use crate::store::write_atomic;
use crate::timer::Timer;

/// Raised when an audit of the same model gives another verdict.
const VERSION: u32 = 1;
const FILE: &str = "verdict.json";

/// A verdict and what it took.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    verdict: Verdict,
    /// Wall seconds when it ran.
    seconds: f64,
}

/// One judgement on the model and one per class looked at, if the cell's defense is an audit, else none.
pub(super) fn judge(
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    stages: &Stages,
) -> Result<Vec<Judgement>> {
    let Some(Record { verdict, .. }) = record(plan, cell, model, stages)? else {
        return Ok(Vec::new());
    };
    let audit = plan.benchmark.defenses[cell.defense].name();
    let weights = model.weights(stages)?;
    let whole = one(Task::Audit, audit, weights, verdict.score, verdict.flagged);
    let classes = plan.sets[cell.dataset].test.classes();
    let target = plan.attack(cell).armed.target;
    let mut by_suspicion: Vec<usize> = (0..verdict.classes.len()).collect();
    let index = |at: usize| verdict.classes[at].index;
    by_suspicion.sort_by(|&a, &b| index(b).total_cmp(&index(a)).then(a.cmp(&b)));
    let of_class = |(rank, at): (usize, usize)| {
        let found = &verdict.classes[at];
        let name = &classes[found.class].name;
        Judgement {
            label: Some(found.class as u32),
            rank: rank as u32,
            gallery: verdict.classes.len() as u32,
            poisoned: Some(target == Some(found.class)),
            ..one(Task::AuditClass, name, weights, found.index, found.flagged)
        }
    };
    let by_class = by_suspicion.into_iter().enumerate().map(of_class);
    Ok(std::iter::once(whole).chain(by_class).collect())
}

fn one(task: Task, sample: &str, weights: Digest, score: f64, flagged: bool) -> Judgement {
    Judgement {
        task,
        sample: PairId(sample.to_owned()),
        content: weights,
        text: None,
        label: None,
        goal: None,
        rank: 0,
        gallery: 1,
        top: Vec::new(),
        scores: Vec::new(),
        cluster: sample.to_owned(),
        poisoned: None,
        score: Some(score as f32),
        dropped: Some(flagged),
    }
}

/// Wall seconds of the cell's audit when it ran; 0 where there is none.
pub(super) fn seconds(
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    stages: &Stages,
) -> Result<f64> {
    Ok(record(plan, cell, model, stages)?.map_or(0.0, |record| record.seconds))
}

fn record(plan: &Plan<'_>, cell: &Cell, model: &Origin, stages: &Stages) -> Result<Option<Record>> {
    let choice = &plan.benchmark.defenses[cell.defense];
    let Defense::Audit(audit) = *choice.make(DEFENSES).map_err(Failure::request)? else {
        return Ok(None);
    };
    let set = &plan.sets[cell.dataset];
    let clean = &plan.attack(cell).clean;
    let seed = Seed::new(cell.seed);
    let held = Subset::new(Arc::clone(clean), "held", audit.rows(&**clean, &seed)?)?;
    let names: Vec<&str> = set.test.classes().iter().map(|c| c.name.as_str()).collect();
    let key = Digest::of(&json!({
        "model": model.key(),
        "pictures": held.digest(),
        "classes": names,
        "templates": set.templates,
        "audit": choice.spec(),
        "seed": cell.seed,
    }));
    let dir = stages.store.stage("audit", key, VERSION, |dir| {
        let classes = model.embeddings(stages, &*set.test, &set.templates)?.classes;
        let name = choice.name();
        look(&*audit, name, (model, &held, &classes), &seed.child("audit").child(name), dir, stages)
    })?;
    let path = dir.join(FILE);
    let bytes = std::fs::read(&path).map_err(|e| Failure::io(&path, &e))?;
    let record = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::failed(format!("{}: {e}; delete its folder", path.display())))?;
    Ok(Some(record))
}

fn look(
    audit: &dyn Audit,
    name: &str,
    (model, held, classes): (&Origin, &dyn Dataset, &[f32]),
    seed: &Seed,
    dir: &Path,
    stages: &Stages,
) -> Result<()> {
    const PARTS: u64 = 1000;
    let timer = Timer::start();
    let model = model.open(stages, held, 0)?;
    let pictures = pixels(held, model.clip.config.vision_cfg.image_size)?;
    let bar = stages.lab.progress.stage(format!("audit {name}"), PARTS, "parts");
    let tick = |done: f64| {
        bar.resume_at((done * PARTS as f64) as u64);
        match stages.lab.interrupt.requested() {
            true => Err(Error::request("stopped")),
            false => Ok(()),
        }
    };
    let subject = Subject {
        clip: &model.clip,
        weights: &model.weights,
        pictures: &pictures,
        classes,
        tick: &tick,
    };
    let verdict = audit.look(&subject, seed);
    // Who stopped is not who failed.
    stages.lab.interrupt.check()?;
    let verdict = verdict?;
    bar.finish();
    let record = Record { verdict, seconds: timer.seconds() };
    write_atomic(&dir.join(FILE), json!(record).to_string().as_bytes())
}

/// All pictures of a set as evaluation shows them, (N, S, S, 3) in [0, 1].
fn pixels(data: &dyn Dataset, size: usize) -> Result<Vec<f32>> {
    let rows = (0..data.examples().len()).into_par_iter();
    let one = |row: usize| picture(&data.image(row)?, size);
    let pictures: Vec<Image> = rows.map(one).collect::<Result<_>>()?;
    let colours = |image: &Image| -> Vec<f32> {
        let opaque = image.rgba().chunks_exact(4);
        opaque.flat_map(|p| [p[0], p[1], p[2]]).map(|v| f32::from(v) / 255.0).collect()
    };
    Ok(pictures.iter().flat_map(colours).collect())
}
