//! What a filter scored, beside what it could not know: the evidence of detection metrics.

use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{ImageEdit, PairId, Poison};
use toxiclip_shared::metrics::{Judgement, Task};

use super::origin::Origin;
use super::pairs::{Pairs, Screened, Screening};
use super::stages::Stages;
use crate::failure::Result;

/// One judgement per offered pair if a filter stood before the model's training, else none.
///
/// # Errors
/// Those of the filter.
pub(super) fn judge(model: &Origin, armed: &Armed, stages: &Stages) -> Result<Vec<Judgement>> {
    let Origin::Fit(fit) = model else { return Ok(Vec::new()) };
    match &fit.data {
        Pairs::Whole(_) => Ok(Vec::new()),
        Pairs::Screened(screening) | Pairs::Apart(screening) | Pairs::Words(screening, _) => {
            let screened = screening.screen(stages)?;
            Ok(judge_pairs(screening, &screened, &armed.poison))
        }
    }
}

/// One judgement per offered pair: its score, and whether it is poisoned.
pub fn judge_pairs(screening: &Screening, screened: &Screened, poison: &Poison) -> Vec<Judgement> {
    let examples = screening.offered.examples();
    let mut by_suspicion: Vec<usize> = (0..examples.len()).collect();
    let scores = &screened.scores;
    by_suspicion.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut ranks = vec![0; examples.len()];
    for (rank, &row) in by_suspicion.iter().enumerate() {
        ranks[row] = rank as u32;
    }
    let one = |(row, rank): (usize, u32)| {
        let example = &examples[row];
        Judgement {
            task: Task::Detection,
            sample: example.id.clone(),
            content: example.content,
            text: None,
            label: example.class.map(|c| c as u32),
            goal: None,
            rank,
            gallery: examples.len() as u32,
            top: Vec::new(),
            scores: Vec::new(),
            cluster: shown(poison, &example.id).to_string(),
            poisoned: Some(poison.contains(&example.id)),
            score: Some(screened.scores[row]),
            dropped: Some(screened.drops(row)),
        }
    };
    ranks.into_iter().enumerate().map(one).collect()
}

/// Pairs that show the same picture share their luck.
fn shown<'a>(poison: &'a Poison, id: &'a PairId) -> &'a PairId {
    let edit = poison.edits.get(id).and_then(|edit| edit.image.as_ref());
    match edit {
        Some(ImageEdit::From(id) | ImageEdit::Gallery { id, .. }) => id,
        None => id,
    }
}
