//! What a model fetches for captions with words of an attacker's in them.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::goal::Goal;
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::Embeddings;
use super::judge::{chosen, fetch};
use crate::failure::Result;

/// As [`super::judge_goals`], the captions of each goal's class A being those of `worded`, the split with words in all
/// captions; random ones are those of `plain`, the split as it is. `clean` are the embeddings of `worded` by a model that
/// nobody poisoned: its rank is kept beside ours.
///
/// # Errors
/// If a goal has no caption or no target in this split, or a score is not finite.
pub fn judge_worded(
    plain: (&dyn Dataset, &Embeddings),
    worded: (&dyn Dataset, &Embeddings),
    goals: &[Goal],
    seed: &Seed,
    clean: Option<&Embeddings>,
) -> Result<Vec<Judgement>> {
    let mut out = Vec::new();
    for goal in goals {
        let (asked, drawn) = chosen(plain.0, goal, seed)?;
        let ask = |of: &Embeddings| fetch(worded.0, of, goal, Task::Hit, &asked);
        let mut hits = ask(worded.1)?;
        if let Some(clean) = clean {
            for (ours, theirs) in hits.iter_mut().zip(ask(clean)?) {
                ours.score = Some(theirs.rank as f32);
            }
        }
        out.extend(hits);
        out.extend(fetch(plain.0, plain.1, goal, Task::HitRandom, &drawn)?);
    }
    Ok(out)
}
