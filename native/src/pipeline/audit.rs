//! Audits as cached stages, and what they say as evidence.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::audit::{Audit, ClassVerdict, Subject, Verdict};
use toxiclip_shared::data::{Dataset, PairId, Subset};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::Plan;
use super::origin::Origin;
use super::stages::Stages;
use crate::benchmark::Cell;
use crate::failure::Result;
use crate::prepared::pixels;
use crate::store::{read_json, write_atomic};
use crate::timer::Timer;

/// Raised when an audit of the same model gives another verdict.
pub(super) const VERSION: u32 = 1;
const FILE: &str = "verdict.json";

/// A verdict and what it took.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    verdict: Verdict,
    /// Wall seconds when it ran.
    pub(super) seconds: f64,
}

/// One judgement on the model with these weights, and one per class looked at.
pub(super) fn judge(
    plan: &Plan<'_>,
    cell: &Cell,
    record: &Record,
    weights: Digest,
) -> Vec<Judgement> {
    let verdict = &record.verdict;
    let audit = plan.benchmark.defenses[cell.defense].name();
    let whole = one(Task::Audit, audit, weights, verdict.score, verdict.flagged);
    let classes = plan.sets[cell.dataset].test.classes();
    let aims = plan.attack(cell).armed.aims();
    let mut by_suspicion: Vec<_> = verdict.classes.iter().collect();
    by_suspicion.sort_by(|a, b| b.index.total_cmp(&a.index).then(a.class.cmp(&b.class)));
    let of_class = |(rank, found): (usize, &ClassVerdict)| {
        let name = &classes[found.class].name;
        Judgement {
            label: Some(found.class as u32),
            rank: rank as u32,
            gallery: verdict.classes.len() as u32,
            poisoned: Some(aims.iter().any(|aim| aim.target == found.class)),
            ..one(Task::AuditClass, name, weights, found.index, found.flagged)
        }
    };
    let by_class = by_suspicion.into_iter().enumerate().map(of_class);
    std::iter::once(whole).chain(by_class).collect()
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

/// What the cell's audit says of its model: found in the cache, or looked at now.
///
/// # Errors
/// Those of the audit and of the cache.
pub(super) fn run(
    audit: &dyn Audit,
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    stages: &Stages,
) -> Result<Record> {
    let choice = &plan.benchmark.defenses[cell.defense];
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
        look(audit, name, (model, &held, &classes), &seed.child("audit").child(name), dir, stages)
    })?;
    read_json(&dir.join(FILE))
}

fn look(
    audit: &dyn Audit,
    name: &str,
    (model, held, classes): (&Origin, &dyn Dataset, &[f32]),
    seed: &Seed,
    dir: &Path,
    stages: &Stages,
) -> Result<()> {
    let timer = Timer::start();
    let model = model.open(stages, held, 0)?;
    let pictures = pixels(held, model.clip.config.vision_cfg.image_size)?;
    let verdict = stages.lab.watched(format!("audit {name}"), |tick| {
        let (clip, weights) = (&model.clip, &model.weights);
        audit.look(&Subject { clip, weights, pictures: &pictures, classes, tick }, seed)
    })?;
    let record = Record { verdict, seconds: timer.seconds() };
    write_atomic(&dir.join(FILE), json!(record).to_string().as_bytes())
}
