//! The straight line of a benchmark: data → pretrain → poison → train → defend → evaluate → rows.
//!
//! [`Plan`] lays the line out without running it; [`run`] walks the cells, and everything costly in it is a cached
//! stage ([`fit`]). Nothing is global: what a step uses is in its arguments.

mod extras;
pub mod fit;
mod journal;
pub mod plan;
mod strips;

use std::collections::BTreeMap;
use std::path::Path;

use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement, Task, Value};
use toxiclip_shared::seed::Seed;

use crate::benchmark::{Cell, Measured};
use crate::evaluate::{judge_goals, judge_utility};
use crate::failure::{Failure, Result};
use crate::lab::Lab;

use fit::Origin;
use journal::Journal;
pub use plan::Plan;
use plan::Work;

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

/// A cell's evidence: about utility or its own goals, or (for a control) about another attack's goals.
struct Evidence {
    against: Option<usize>,
    judgements: Vec<Judgement>,
}

/// Runs all cells, writing rows and evidence to `out` one by one, and what the report needs besides.
///
/// A cell that fails becomes a row with its error, and the others go on.
///
/// # Errors
/// On Ctrl-C, or if `out` cannot be written.
pub fn run(plan: &Plan<'_>, out: &Path, command: &str, lab: &Lab) -> Result<Outcome> {
    let mut journal = Journal::open(plan, out)?;
    let mut outcome = Outcome::default();
    let mut kept = Vec::new();
    let mut broken: BTreeMap<Digest, String> = BTreeMap::new();
    for work in &plan.works {
        lab.interrupt.check()?;
        match measure(plan, work, &broken, lab) {
            Ok((weights, evidence)) => {
                let seconds = seconds(&work.model, lab)?;
                for one in &evidence {
                    let values = values(plan, one)?;
                    journal.values(plan, &work.cell, one, &values, weights, seconds)?;
                    note(plan, &work.cell, one.against, &values, &mut outcome);
                }
                keep(plan, &work.cell, evidence, &mut kept);
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => {
                let unfinished = |fit: &&std::sync::Arc<fit::Fit>| !fit.cached(&lab.store);
                if let Some(fit) = work.model.lineage().into_iter().find(unfinished) {
                    broken.insert(fit.key(), failure.to_string());
                }
                let metric = journal.failure(plan, &work.cell, &failure.to_string())?;
                outcome.measured.push(measured(plan, &work.cell, None, &metric, None));
                outcome.failed.push(format!("{}: {failure}", plan.benchmark.label(&work.cell)));
            }
        }
    }
    journal.finish()?;
    extras::collect(plan, &kept, command, lab).write(out)?;
    Ok(outcome)
}

/// Trains what has to be trained and judges the model. A training that failed for an earlier cell fails at once.
fn measure(
    plan: &Plan<'_>,
    work: &Work,
    broken: &BTreeMap<Digest, String>,
    lab: &Lab,
) -> Result<(Digest, Vec<Evidence>)> {
    let known = |fit: &std::sync::Arc<fit::Fit>| broken.get(&fit.key()).map(Failure::failed);
    if let Some(failure) = work.model.lineage().into_iter().find_map(known) {
        return Err(failure);
    }
    let weights = work.model.weights(lab)?;
    Ok((weights, evidence(plan, &work.cell, &work.model, lab)?))
}

/// Utility, then goals: the cell's own, or those of every other attack where the cell is a control.
fn evidence(plan: &Plan<'_>, cell: &Cell, model: &Origin, lab: &Lab) -> Result<Vec<Evidence>> {
    let set = &plan.sets[cell.dataset];
    let embeddings = model.embeddings(lab, &*set.test, &set.templates)?;
    let seed = Seed::new(cell.seed);
    let judge = |attack: usize| {
        let goals = &plan.prepared[&(cell.dataset, attack, cell.seed)].armed.goals;
        judge_goals(&*set.test, &embeddings, goals, &seed)
    };
    let mut own = judge_utility(&*set.test, &embeddings, &plan.benchmark.eval.tasks)?;
    own.extend(judge(cell.attack)?);
    let mut all = vec![Evidence { against: None, judgements: own }];
    if plan.attack(cell).armed.goals.is_empty() {
        for attack in plan.rivals(cell) {
            all.push(Evidence { against: Some(attack), judgements: judge(attack)? });
        }
    }
    Ok(all)
}

/// The values to report of some evidence.
fn values(plan: &Plan<'_>, evidence: &Evidence) -> Result<Vec<Value>> {
    let wanted = &plan.benchmark.eval.metrics;
    let mut values = metrics::values(&evidence.judgements)?;
    values.retain(|v| wanted.is_empty() || wanted.contains(&v.metric));
    Ok(values)
}

/// Seconds of a cell's own trainings, at the time they took when they ran; pretraining is everybody's.
fn seconds(model: &Origin, lab: &Lab) -> Result<f64> {
    let own = model.lineage().into_iter().filter(|fit| fit.stage != "pretrain");
    own.map(|fit| Ok(fit.run(lab)?.1.seconds)).sum()
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
        attack: benchmark.attacks[cell.attack].clone(),
        against: against.map(|a| benchmark.attacks[a].clone()),
        defense: benchmark.defenses[cell.defense].clone(),
        metric: metric.to_owned(),
        value,
    }
}

fn note(plan: &Plan<'_>, cell: &Cell, against: Option<usize>, values: &[Value], to: &mut Outcome) {
    let one = |v: &Value| measured(plan, cell, against, &v.metric, Some(v.value));
    to.measured.extend(values.iter().map(one));
}

fn keep(plan: &Plan<'_>, cell: &Cell, evidence: Vec<Evidence>, kept: &mut Vec<Kept>) {
    let first = &plan.works[0].cell;
    if (cell.dataset, cell.encoder, cell.seed) != (first.dataset, first.encoder, first.seed) {
        return;
    }
    for Evidence { against, mut judgements } in evidence {
        judgements.retain(|j| j.task == Task::Hit);
        if !judgements.is_empty() {
            let attack = against.unwrap_or(cell.attack);
            kept.push(Kept { cell: *cell, attack, hits: judgements });
        }
    }
}
