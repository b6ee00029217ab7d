//! The straight line of a benchmark: data → pretrain → arm → poison → filter → train → defend → evaluate → rows.
//!
//! [`Plan`] lays the line out without running it; [`run`] walks the cells, and everything costly in it is a cached
//! stage ([`fit`]). Nothing is global: what a step uses is in its arguments.

mod answers;
pub mod arm;
mod audit;
pub mod detection;
mod epochs;
mod extras;
pub mod fit;
mod journal;
pub(crate) mod known;
pub mod line;
mod look;
mod map;
pub mod origin;
pub mod pairs;
pub mod plan;
mod probe;
mod prune;
mod screen;
pub mod set;
mod stages;
mod strips;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task, Value};

use crate::benchmark::{Cell, Measured};
use crate::failure::{Failure, Result};

use fit::Fit;
use journal::Journal;
pub use plan::Plan;
use plan::Work;
pub use stages::Stages;

/// What came of a benchmark.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every value and failure, for expectations.
    pub measured: Vec<Measured>,
    /// One line per cell that failed.
    pub failed: Vec<String>,
}

/// Evidence that the report draws pictures from: attack queries of the first seed.
struct Kept {
    cell: Cell,
    /// The attack whose goals were asked for; the cell's own unless it is the control.
    attack: usize,
    hits: Vec<Judgement>,
}

/// A cell's evidence: about utility and its own goals, or (for a control) about another attack's goals.
struct Evidence {
    against: Option<usize>,
    judgements: Vec<Judgement>,
    values: Vec<Value>,
}

/// A finished cell.
struct Score {
    weights: Digest,
    /// Of the cell's own trainings.
    seconds: f64,
    evidence: Vec<Evidence>,
}

/// Completes the attacks, then runs all cells, writing rows and evidence to `out` one by one, and what the report needs
/// besides.
///
/// A cell that fails becomes a row with its error, and the others go on.
///
/// # Errors
/// On Ctrl-C, if a disk is full, or if `out` cannot be written.
pub fn run(plan: &mut Plan<'_>, out: &Path, command: &str, stages: &Stages) -> Result<Outcome> {
    let journal = Journal::open(plan, out, stages.lab.executor.machine())?;
    // From here on something has been written, and no error is a mere wrong request.
    plan.arm(stages).map_err(Failure::after_work)?;
    let plan = &*plan;
    let (outcome, kept) = walk(plan, journal, stages).map_err(Failure::after_work)?;
    extras::collect(plan, &kept, command, stages).write(out).map_err(Failure::from)?;
    Ok(outcome)
}

fn walk(plan: &Plan<'_>, mut journal: Journal, stages: &Stages) -> Result<(Outcome, Vec<Kept>)> {
    journal.arm(plan)?;
    let mut outcome = Outcome::default();
    let mut kept = Vec::new();
    let mut broken: BTreeMap<Digest, String> = BTreeMap::new();
    let bar = stages.lab.progress.stage("benchmark", plan.works.len() as u64, "cells");
    for work in &plan.works {
        stages.lab.interrupt.check()?;
        match measure(plan, work, &broken, stages) {
            Ok(score) => {
                journal.score(plan, &work.cell, &score)?;
                outcome.note(plan, &work.cell, &score);
                keep(plan, &work.cell, score, &mut kept);
            }
            Err(stop @ (Failure::Interrupted | Failure::Full(_))) => return Err(stop),
            Err(failure) => {
                let unfinished = |fit: &&Arc<Fit>| !fit.cached(&stages.store);
                if let Some(fit) = work.model.lineage().into_iter().find(unfinished) {
                    broken.insert(fit.key(), failure.to_string());
                }
                let metric = journal.failure(plan, &work.cell, &failure.to_string())?;
                outcome.measured.push(measured(plan, &work.cell, None, &metric, None));
                outcome.failed.push(format!("{}: {failure}", plan.benchmark.label(&work.cell)));
            }
        }
        bar.advance(1);
    }
    bar.finish();
    journal.finish()?;
    Ok((outcome, kept))
}

/// Trains what has to be trained and judges the model. A training that failed for an earlier cell fails at once.
fn measure(
    plan: &Plan<'_>,
    work: &Work,
    broken: &BTreeMap<Digest, String>,
    stages: &Stages,
) -> Result<Score> {
    let lineage = work.model.lineage();
    let known = |fit: &&Arc<Fit>| broken.get(&fit.key()).map(Failure::failed);
    if let Some(failure) = lineage.iter().find_map(known) {
        return Err(failure);
    }
    if let Some(why) = &plan.attack(&work.cell).broken {
        return Err(Failure::failed(why));
    }
    let weights = work.model.weights(stages)?;
    // Pretraining is everybody's; the others at the time they took when they ran.
    let own = lineage.into_iter().filter(|fit| fit.stage != "pretrain");
    let seconds = own.map(|fit| Ok(fit.run(stages)?.1.seconds)).sum::<Result<f64>>()?;
    let looked = look::run(plan, &work.cell, &work.model, stages)?;
    let evidence = answers::evidence(plan, &work.cell, &work.model, &looked, stages)?;
    let seconds = seconds + looked.seconds();
    Ok(Score { weights, seconds, evidence })
}

fn measured(
    plan: &Plan<'_>,
    cell: &Cell,
    against: Option<usize>,
    metric: &str,
    value: Option<f64>,
) -> Measured {
    let benchmark = plan.benchmark;
    Measured {
        dataset: benchmark.datasets[cell.dataset].clone(),
        encoder: benchmark.encoders[cell.encoder].name.clone(),
        victim: benchmark.victims[cell.victim].clone(),
        attack: benchmark.attacks[cell.attack].clone(),
        against: against.map(|a| benchmark.attacks[a].clone()),
        defense: benchmark.defenses[cell.defense].clone(),
        metric: metric.to_owned(),
        value,
    }
}

impl Outcome {
    fn note(&mut self, plan: &Plan<'_>, cell: &Cell, score: &Score) {
        for Evidence { against, values, .. } in &score.evidence {
            let one = |v: &Value| measured(plan, cell, *against, &v.metric, Some(v.value));
            self.measured.extend(values.iter().map(one));
        }
    }
}

/// What the report draws pictures from.
fn keep(plan: &Plan<'_>, cell: &Cell, score: Score, kept: &mut Vec<Kept>) {
    let first = &plan.works[0].cell;
    let compared = |c: &Cell| (c.dataset, c.encoder, c.victim, c.seed);
    if compared(cell) != compared(first) {
        return;
    }
    for Evidence { against, mut judgements, .. } in score.evidence {
        judgements.retain(|j| j.task == Task::Hit);
        if !judgements.is_empty() {
            let attack = against.unwrap_or(cell.attack);
            kept.push(Kept { cell: *cell, attack, hits: judgements });
        }
    }
}
