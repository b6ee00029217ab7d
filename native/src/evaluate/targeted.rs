//! What a model says to the single pictures that an attack wants.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::goal::TargetPicture;
use toxiclip_shared::metrics::{Judgement, Task};

use super::Embeddings;
use super::judge::{Query, judge, mark_clean_hits};
use crate::failure::{Failure, Result};

/// Each picture as it is against the class prompts of `data`: the rank of the class it shall be taken for. `clean` are
/// the embeddings of the same split by a model that nobody poisoned.
///
/// # Errors
/// If `data` lacks a picture, or a score is not finite.
pub fn judge_targeted(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    pictures: &[TargetPicture],
    clean: Option<&Embeddings>,
) -> Result<Vec<Judgement>> {
    let names: Vec<String> = data.classes().iter().map(|c| c.name.clone()).collect();
    let goal = |picture: &TargetPicture| format!("→ {}", names[picture.target]);
    let goals: Vec<String> = pictures.iter().map(goal).collect();
    let find = |picture: &TargetPicture| {
        let row = data.examples().iter().position(|e| e.id == picture.id);
        row.ok_or_else(|| {
            Failure::request(format!("{} has no picture `{}` to judge", data.name(), picture.id))
        })
    };
    let rows: Vec<usize> = pictures.iter().map(find).collect::<Result<_>>()?;
    let ask = |of: &Embeddings| {
        let one = |i: usize| {
            of.picture(Task::Targeted, rows[i], vec![pictures[i].target]).about(&goals[i])
        };
        let queries: Vec<Query<'_>> = (0..pictures.len()).map(one).collect();
        judge(data, &queries, &of.classes, &names)
    };
    let mut all = ask(embeddings)?;
    if let Some(clean) = clean {
        mark_clean_hits(&mut all, &ask(clean)?);
    }
    Ok(all)
}
