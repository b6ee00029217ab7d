//! Hit@K: the share of queries about the attacked class that fetch a target picture among the first K.
//!
//! It says nothing alone: a large target set is hit by chance. The same count with random captions
//! (`.random`) and the clean model's value belong beside it.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 12] = [
    hit("hit@1", within::<1>),
    hit("hit@5", within::<5>),
    hit("hit@10", within::<10>),
    hit("hit@20", within::<20>),
    hit("hit@30", within::<30>),
    hit("hit@50", within::<50>),
    random("hit@1.random", within::<1>),
    random("hit@5.random", within::<5>),
    random("hit@10.random", within::<10>),
    random("hit@20.random", within::<20>),
    random("hit@30.random", within::<30>),
    random("hit@50.random", within::<50>),
];

const fn hit(name: &'static str, outcomes: fn(&[&Judgement]) -> Vec<Outcome>) -> Metric {
    Metric {
        name,
        summary: "attack success: a caption of the attacked class fetches a target among the first K",
        formula: "|{t : min over targets j of pos(t, j) < K}| / |queries|, pos 0-based",
        reference: "Yang et al. 2023, arXiv:2209.15266",
        unit: Unit::Rate,
        higher_is_better: false,
        task: Task::Hit,
        outcomes,
    }
}

const fn random(name: &'static str, outcomes: fn(&[&Judgement]) -> Vec<Outcome>) -> Metric {
    Metric {
        summary: "baseline of hit@K: random captions through the same model, same targets",
        task: Task::HitRandom,
        ..hit(name, outcomes)
    }
}
