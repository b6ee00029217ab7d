//! MinRank: the mean, over queries about the attacked class, of the best target's position.
//!
//! 0-based: 0 is the best the attacker can do. It depends on the size of the gallery and of the target
//! set; print the gallery beside it, and never compare over data sets.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

pub(super) static METRICS: [Metric; 2] = [
    Metric {
        name: "min-rank",
        summary: "attack success: mean 0-based position of the best target; 0 is total success",
        formula: "mean over queries t of min over targets j of pos(t, j), pos 0-based",
        reference: "Yang et al. 2023, arXiv:2209.15266",
        unit: Unit::Rank,
        higher_is_better: true,
        task: Task::Hit,
        outcomes,
    },
    Metric {
        name: "min-rank.random",
        summary: "baseline of min-rank: random captions through the same model, same targets",
        formula: "as min-rank, over random captions",
        reference: "Yang et al. 2023, arXiv:2209.15266",
        unit: Unit::Rank,
        higher_is_better: true,
        task: Task::HitRandom,
        outcomes,
    },
];

fn outcomes(judgements: &[&Judgement]) -> Vec<Outcome> {
    judgements.iter().map(|j| Outcome::new(j, f64::from(j.rank))).collect()
}
