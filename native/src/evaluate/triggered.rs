//! What a model says to stamped pictures.

use toxiclip_shared::attacks::Aim;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::metrics::{Judgement, Task};

use super::Embeddings;
use super::judge::{Query, judge, mark_clean_hits, unlabelled};
use crate::failure::Result;

/// Every picture of another class than the target's against class prompts, under one key of two: the rank of the target.
/// Which of `data` and prompts carries its key is for `task` to say.
///
/// # Errors
/// If a picture has no class, or a score is not finite.
pub fn judge_key(
    task: Task,
    data: &dyn Dataset,
    embeddings: &Embeddings,
    aim: &Aim<'_>,
) -> Result<Vec<Judgement>> {
    let names: Vec<String> = data.classes().iter().map(|c| c.name.clone()).collect();
    let goal = aim.in_words(data.classes());
    let others = others(data, aim.target)?;
    let query =
        |&(row, _): &(usize, usize)| embeddings.picture(task, row, vec![aim.target]).about(&goal);
    let queries: Vec<Query<'_>> = others.iter().map(query).collect();
    judge(data, &queries, &embeddings.classes, &names)
}

/// Rows of other classes than `target`, each with its class.
fn others(data: &dyn Dataset, target: usize) -> Result<Vec<(usize, usize)>> {
    let mut others = Vec::new();
    for row in 0..data.examples().len() {
        let class = data.examples()[row].class.ok_or_else(|| unlabelled(data, row))?;
        if class != target {
            others.push((row, class));
        }
    }
    Ok(others)
}

/// Every picture of `data`, a split stamped with the trigger of `aim`, against the class prompts: the rank of its target,
/// and of the true class. `clean` are the embeddings of the same pictures by a model that nobody poisoned.
///
/// # Errors
/// If a picture has no class, or a score is not finite.
pub fn judge_trigger(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    aim: &Aim<'_>,
    clean: Option<&Embeddings>,
) -> Result<Vec<Judgement>> {
    let names: Vec<String> = data.classes().iter().map(|c| c.name.clone()).collect();
    let (target, goal) = (aim.target, aim.in_words(data.classes()));
    let others = others(data, target)?;
    let ask = |of: &Embeddings, task: Task, rows: &[(usize, usize)]| {
        let query =
            |&(row, wanted): &(usize, usize)| of.picture(task, row, vec![wanted]).about(&goal);
        let queries: Vec<Query<'_>> = rows.iter().map(query).collect();
        judge(data, &queries, &of.classes, &names)
    };
    let to_target: Vec<(usize, usize)> = others.iter().map(|&(row, _)| (row, target)).collect();
    let all: Vec<(usize, usize)> = (0..data.examples().len()).map(|row| (row, target)).collect();
    let mut triggered = ask(embeddings, Task::Triggered, &to_target)?;
    if let Some(clean) = clean {
        mark_clean_hits(&mut triggered, &ask(clean, Task::Triggered, &to_target)?);
    }
    triggered.extend(ask(embeddings, Task::TriggeredAll, &all)?);
    triggered.extend(ask(embeddings, Task::TriggeredTruth, &others)?);
    Ok(triggered)
}
