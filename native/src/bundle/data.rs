//! Whether evidence speaks of exactly the samples that a benchmark asks about: none missing, none relabelled. That none is
//! judged twice is asked of all evidence from which values are computed.

use std::collections::BTreeMap;

use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Example, PairId};
use toxiclip_shared::metrics::{Judgement, Task};

use crate::evaluate::captions;

/// Checks all judgements of a run on a test split.
///
/// # Errors
/// With the first sample that is not as the data have it, or the task that lacks some.
pub(crate) fn check(
    evidence: &[Judgement],
    test: &dyn Dataset,
    utility: &dyn Dataset,
    armed: &Armed,
) -> Result<(), String> {
    let (tested, ordinary) = (by_id(test), by_id(utility));
    let mut asked: BTreeMap<Task, Vec<&Judgement>> = BTreeMap::new();
    for judgement in evidence {
        asked.entry(judgement.task).or_default().push(judgement);
    }
    for (task, judgements) in asked {
        let (data, known) = match task {
            Task::ZeroShot | Task::ImageRetrieval | Task::TextRetrieval => (utility, &ordinary),
            // These are about training pairs, whole models and differences between models.
            Task::Detection | Task::Audit | Task::AuditClass => continue,
            _ => (test, &tested),
        };
        for judgement in &judgements {
            sample(judgement, known)?;
        }
        let have = judgements.len();
        if let Some(expected) = expected(task, data, armed).filter(|expected| *expected != have) {
            return Err(format!(
                "{}: {have} samples are judged, the data have {expected}",
                task.name()
            ));
        }
    }
    Ok(())
}

fn by_id(data: &dyn Dataset) -> BTreeMap<&PairId, &Example> {
    data.examples().iter().map(|e| (&e.id, e)).collect()
}

fn sample(judgement: &Judgement, known: &BTreeMap<&PairId, &Example>) -> Result<(), String> {
    let (task, id) = (judgement.task.name(), &judgement.sample);
    let Some(example) = known.get(id) else {
        return Err(format!("{task}: the data have no sample {id}"));
    };
    if judgement.label != example.class.map(|class| class as u32) {
        return Err(format!("{task}: sample {id} has another label in the data"));
    }
    // A stamped picture keeps its content digest: it says which sample was asked about.
    if judgement.content != example.content {
        return Err(format!("{task}: sample {id} has another content in the data"));
    }
    Ok(())
}

/// How many judgements a task has, where the data and the attack decide it.
fn expected(task: Task, data: &dyn Dataset, armed: &Armed) -> Option<usize> {
    let rows = data.examples().len();
    let of = |class: usize| data.examples().iter().filter(|e| e.class == Some(class)).count();
    let targets: Vec<usize> = armed.aims().iter().map(|aim| aim.target).collect();
    let others = || targets.iter().map(|&target| rows - of(target)).sum();
    match task {
        Task::ZeroShot | Task::TextRetrieval | Task::ImageShift => Some(rows),
        Task::ImageRetrieval | Task::TextShift => Some(captions(data).len()),
        Task::TriggeredAll => Some(rows * targets.len()),
        Task::Triggered | Task::TriggeredTruth | Task::ImageKey | Task::TextKey => Some(others()),
        Task::Targeted => Some(armed.pictures.len()),
        Task::Hit | Task::HitRandom => {
            let all = captions(data);
            let asked = |from: Vec<usize>| {
                all.iter().filter(|caption| from.binary_search(&caption.row).is_ok()).count()
            };
            Some(armed.goals.iter().map(|goal| asked(goal.from_rows(data))).sum())
        }
        Task::Detection | Task::Audit | Task::AuditClass | Task::Screening => None,
    }
}
