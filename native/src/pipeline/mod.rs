//! The straight line of a benchmark: data → pretrain → arm → poison → filter → train → defend → evaluate → rows.
//!
//! [`Plan`] lays the line out without running it; [`run`] walks the cells, and everything costly in it is a cached
//! stage ([`fit`]). Nothing is global: what a step uses is in its arguments.

pub mod arm;
mod audit;
mod detection;
mod epochs;
mod extras;
pub mod fit;
mod journal;
pub mod line;
mod map;
pub mod pairs;
pub mod plan;
mod probe;
mod prune;
mod screen;
mod strips;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Triggered, Worded};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement, Task, Value};
use toxiclip_shared::seed::Seed;

use crate::benchmark::{Cell, Measured, Utility};
use crate::evaluate::{
    Embeddings, judge_goals, judge_key, judge_shift, judge_targeted, judge_trigger, judge_utility,
    judge_worded,
};
use crate::failure::{Failure, Result};

pub use fit::Stages;
use fit::{Fit, Origin};
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
    let journal = Journal::open(plan, out)?;
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
    let audited = audit::run(plan, &work.cell, &work.model, stages)?;
    let probed = probe::run(plan, &work.cell, &work.model, stages)?;
    let screened = screen::run(plan, &work.cell, &work.model, stages)?;
    let seconds = seconds
        + audited.as_ref().map_or(0.0, |record| record.seconds)
        + probed.as_ref().map_or(0.0, |fitted| fitted.seconds)
        + screened.as_ref().map_or(0.0, |scored| scored.seconds);
    let looked = (audited.as_ref(), screened.as_ref());
    let evidence = match probed {
        Some(head) => probed_evidence(plan, &work.cell, &work.model, &head, stages)?,
        None => evidence(plan, &work.cell, &work.model, looked, stages)?,
    };
    Ok(Score { weights, seconds, evidence })
}

/// Utility, then goals: the cell's own, or those of every other attack where the cell is a control.
fn evidence(
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    (audited, screened): (Option<&audit::Record>, Option<&screen::Scored>),
    stages: &Stages,
) -> Result<Vec<Evidence>> {
    let set = &plan.sets[cell.dataset];
    let embeddings = model.embeddings(stages, &*set.test, &set.templates)?;
    let judge = |attack: usize| -> Result<Vec<Judgement>> {
        let armed = &plan.drawn(cell, attack).armed;
        let mut all = fetched(plan, cell, armed, model, &embeddings, stages)?;
        all.extend(triggered(plan, cell, armed, stages, |data, prompts| {
            under(model, stages, set, &embeddings, (data, prompts))
        })?);
        all.extend(targeted(plan, cell, armed, &embeddings, stages)?);
        if let Some(scored) = screened {
            let embed = |stamped: &dyn Dataset| model.stamped(stages, stamped, &embeddings);
            all.extend(scored.judge(plan, (cell, attack), &embeddings, embed)?);
        }
        Ok(all)
    };
    let mut own = ordinary(plan, cell, &embeddings, || {
        model.embeddings(stages, &*set.utility, &set.templates)
    })?;
    own.extend(judge(cell.attack)?);
    if let Some(control) = plan.control(cell)? {
        let clean = control.embeddings(stages, &*set.test, &set.templates)?;
        own.extend(judge_shift(&*set.test, &clean, &embeddings));
    }
    own.extend(detection::judge(model, &plan.attack(cell).armed, stages)?);
    if let Some(record) = audited {
        own.extend(audit::judge(plan, cell, record, model.weights(stages)?));
    }
    complete(plan, cell, own, judge)
}

/// What is left where a classifier of the defender's stands for class prompts: nobody asks the text tower.
fn probed_evidence(
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    head: &probe::Fitted,
    stages: &Stages,
) -> Result<Vec<Evidence>> {
    let set = &plan.sets[cell.dataset];
    let embed = |data: &Arc<dyn Dataset>| model.embeddings(stages, &**data, &set.templates);
    let plain = embed(&set.test)?;
    let test = head.read(&plain);
    let judge = |attack: usize| -> Result<Vec<Judgement>> {
        let armed = &plan.drawn(cell, attack).armed;
        let mut all = triggered(plan, cell, armed, stages, |data, _| {
            Ok(head.read(&model.stamped(stages, data, &plain)?))
        })?;
        all.extend(targeted(plan, cell, armed, &test, stages)?);
        Ok(all)
    };
    let asked = plan.benchmark.eval.tasks.contains(&Utility::ZeroShot);
    let tasks = if asked { &[Utility::ZeroShot][..] } else { &[] };
    let mut own = judge_utility(&*set.utility, &head.read(&embed(&set.utility)?), tasks)?;
    own.extend(judge(cell.attack)?);
    complete(plan, cell, own, judge)
}

/// A cell's own evidence with its values; behind it that about every other attack's goals where the cell is a control.
fn complete(
    plan: &Plan<'_>,
    cell: &Cell,
    own: Vec<Judgement>,
    judge: impl Fn(usize) -> Result<Vec<Judgement>>,
) -> Result<Vec<Evidence>> {
    let wanted = &plan.benchmark.eval.metrics;
    let valued = |against, judgements: Vec<Judgement>| -> Result<Evidence> {
        let mut values = metrics::values(&judgements)?;
        values.retain(|v| wanted.is_empty() || wanted.contains(&v.metric));
        Ok(Evidence { against, judgements, values })
    };
    let mut all = vec![valued(None, own)?];
    if plan.attack(cell).armed.is_control() {
        for attack in plan.known_rivals(cell) {
            let judged = judge(attack)?;
            // A probe cannot be asked about pairs.
            if !judged.is_empty() {
                all.push(valued(Some(attack), judged)?);
            }
        }
    }
    Ok(all)
}

/// What the captions of an attack's goals fetch, with its words in them where it has some; those beside what they fetch
/// from the undefended control.
fn fetched(
    plan: &Plan<'_>,
    cell: &Cell,
    armed: &Armed,
    model: &Origin,
    embeddings: &Embeddings,
    stages: &Stages,
) -> Result<Vec<Judgement>> {
    let (set, seed) = (&plan.sets[cell.dataset], Seed::new(cell.seed));
    let goals = &armed.goals;
    let Some(words) = armed.words.as_ref().filter(|_| !goals.is_empty()) else {
        return judge_goals(&*set.test, embeddings, goals, &seed);
    };
    let worded = Worded::new(Arc::clone(&set.test), words);
    let embed = |model: &Origin| model.embeddings(stages, &worded, &set.templates);
    let clean = plan.undefended_control(cell)?.map(|control| embed(&control)).transpose()?;
    let (plain, own) = ((&*set.test, embeddings), embed(model)?);
    judge_worded(plain, (&worded, &own), goals, &seed, clean.as_ref())
}

/// Answers to the test split under each of an attack's triggers, as `embed` has pictures and class prompts, beside those of
/// the undefended control; and, where a trigger is one of two keys, under either of them alone.
fn triggered(
    plan: &Plan<'_>,
    cell: &Cell,
    armed: &Armed,
    stages: &Stages,
    embed: impl Fn(&dyn Dataset, &[String]) -> Result<Embeddings>,
) -> Result<Vec<Judgement>> {
    let aims = armed.aims();
    if aims.is_empty() {
        return Ok(vec![]);
    }
    let set = &plan.sets[cell.dataset];
    let control = control_embeddings(plan, cell, stages)?;
    let mut all = Vec::new();
    for aim in aims {
        let stamped = Triggered::new(Arc::clone(&set.test), aim.trigger.clone());
        let prompts = aim.prompts(&set.templates);
        let clean =
            control.as_ref().map(|(m, plain)| under(m, stages, set, plain, (&stamped, &prompts)));
        let own = embed(&stamped, &prompts)?;
        all.extend(judge_trigger(&stamped, &own, &aim, clean.transpose()?.as_ref())?);
        if aim.words.is_some() {
            let keys: [(Task, &dyn Dataset, &[String]); 2] =
                [(Task::ImageKey, &stamped, &set.templates), (Task::TextKey, &*set.test, &prompts)];
            for (task, data, prompts) in keys {
                all.extend(judge_key(task, data, &embed(data, prompts)?, &aim)?);
            }
        }
    }
    Ok(all)
}

/// What a model makes of the test split with other pictures, other prompts or both, given its `plain` embeddings.
fn under(
    model: &Origin,
    stages: &Stages,
    set: &plan::Set,
    plain: &Embeddings,
    (data, prompts): (&dyn Dataset, &[String]),
) -> Result<Embeddings> {
    match prompts == set.templates {
        true => model.stamped(stages, data, plain),
        false => model.embeddings(stages, data, prompts),
    }
}

/// Answers to the single pictures that an attack wants, beside those of the undefended control.
fn targeted(
    plan: &Plan<'_>,
    cell: &Cell,
    armed: &Armed,
    embeddings: &Embeddings,
    stages: &Stages,
) -> Result<Vec<Judgement>> {
    if armed.pictures.is_empty() {
        return Ok(vec![]);
    }
    let test = &plan.sets[cell.dataset].test;
    let clean = control_embeddings(plan, cell, stages)?.map(|(_, plain)| plain);
    judge_targeted(&**test, embeddings, &armed.pictures, clean.as_ref())
}

/// The undefended control of a cell with its embeddings of the test split.
fn control_embeddings(
    plan: &Plan<'_>,
    cell: &Cell,
    stages: &Stages,
) -> Result<Option<(Origin, Embeddings)>> {
    let set = &plan.sets[cell.dataset];
    let embed = |model: Origin| {
        let plain = model.embeddings(stages, &*set.test, &set.templates)?;
        Ok((model, plain))
    };
    plan.undefended_control(cell)?.map(embed).transpose()
}

/// Utility: on the test split, whose embeddings are there, or on a split of its own, which is embedded then.
fn ordinary(
    plan: &Plan<'_>,
    cell: &Cell,
    test: &Embeddings,
    other: impl FnOnce() -> Result<Embeddings>,
) -> Result<Vec<Judgement>> {
    let set = &plan.sets[cell.dataset];
    let tasks = &set.tasks;
    if Arc::ptr_eq(&set.test, &set.utility) {
        return judge_utility(&*set.test, test, tasks);
    }
    judge_utility(&*set.utility, &other()?, tasks)
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
