//! What a cell's model is asked, and its answers as evidence: utility, the goals, triggers and pictures of attacks, and what
//! a defender's look at the model adds.

use std::sync::Arc;

use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Recaptioned, Triggered};
use toxiclip_shared::metrics::{self, Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::look::Looked;
use super::origin::Origin;
use super::set::Set;
use super::stages::Stages;
use super::{Evidence, Plan, audit, detection, probe};
use crate::benchmark::{Cell, Utility};
use crate::evaluate::{
    Embeddings, judge_goals, judge_key, judge_shift, judge_targeted, judge_trigger, judge_utility,
    judge_worded,
};
use crate::failure::Result;

/// Utility, then goals: the cell's own, or those of every other attack where the cell is a control.
///
/// # Errors
/// Those of embedding; if a goal or picture is not in the test split, or a score is not finite.
pub(super) fn evidence(
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    looked: &Looked,
    stages: &Stages,
) -> Result<Vec<Evidence>> {
    if let Looked::Probed(head) = looked {
        return probed(plan, cell, model, head, stages);
    }
    let set = &plan.sets[cell.dataset];
    let embeddings = model.embeddings(stages, &*set.test, &set.templates)?;
    let judge = |attack: usize| -> Result<Vec<Judgement>> {
        let armed = &plan.drawn(cell, attack).armed;
        let mut all = fetched(plan, cell, armed, model, &embeddings, stages)?;
        let embed = |data: &dyn Dataset, prompts: &[String]| {
            under(model, stages, set, &embeddings, (data, prompts))
        };
        all.extend(triggered(plan, cell, armed, stages, embed)?);
        all.extend(targeted(plan, cell, armed, &embeddings, stages)?);
        if let Looked::Screened(scored) = looked {
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
    if let Looked::Audited(record) = looked {
        own.extend(audit::judge(plan, cell, record, model.weights(stages)?));
    }
    complete(plan, cell, own, judge)
}

/// What is left where a classifier of the defender's stands for class prompts: nobody asks the text tower.
fn probed(
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
            all.push(valued(Some(attack), judge(attack)?)?);
        }
    }
    Ok(all)
}

/// What the captions of an attack's goals fetch, with its words in them where it has some; those beside what they fetch
/// from the undefended control.
pub(super) fn fetched(
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
    let worded = Recaptioned::worded(Arc::clone(&set.test), words);
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
    set: &Set,
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
pub(super) fn ordinary(
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
