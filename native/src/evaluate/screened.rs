//! What a screen makes of pictures, beside what the model says to them.

use toxiclip_shared::attacks::Aim;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::metrics::{Judgement, Task};

use super::Embeddings;
use super::judge::{Query, judge};
use crate::failure::{Failure, Result};

/// Every picture of `data`: a clean split, or one stamped with the trigger of `aim`, of which pictures of the target's own
/// class are left out. `scores` has one entry per picture; those of at least `threshold` are rejected.
///
/// # Errors
/// If a picture has no class, or a score is not finite.
pub fn judge_screened(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    aim: Option<&Aim<'_>>,
    scores: &[f32],
    threshold: f32,
) -> Result<Vec<Judgement>> {
    let names: Vec<String> = data.classes().iter().map(|c| c.name.clone()).collect();
    let goal = aim.map(|aim| aim.in_words(data.classes()));
    let (mut queries, mut rows) = (Vec::new(), Vec::new());
    for (row, example) in data.examples().iter().enumerate() {
        let class = example.class.ok_or_else(|| {
            let why = "has no class; a screen is judged by what it lets pass of labelled pictures";
            Failure::request(format!("{}: {} {why}", data.name(), example.id))
        })?;
        let wanted = aim.map_or(class, |aim| aim.target);
        if aim.is_some() && class == wanted {
            continue;
        }
        let query = embeddings.picture(Task::Screening, row, vec![wanted]);
        queries.push(match &goal {
            Some(goal) => query.about(goal),
            None => query,
        });
        rows.push(row);
    }
    let mut all = judge(data, &queries as &[Query<'_>], &embeddings.classes, &names)?;
    for (judgement, row) in all.iter_mut().zip(rows) {
        let score = scores[row];
        judgement.poisoned = Some(aim.is_some());
        (judgement.score, judgement.dropped) = (Some(score), Some(score >= threshold));
        // They stand in the evidence of the plain answers.
        (judgement.top, judgement.scores) = (Vec::new(), Vec::new());
    }
    Ok(all)
}
