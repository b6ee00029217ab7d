//! Embedding shift: how far a model moved the embedding of a test sample from where the clean model has it.
//!
//! The clean model is the control: the same start, recipe and seed on clean pairs. Only models with a common start share
//! a space; between two trainings from scratch the distance says nothing.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

pub(super) static METRICS: [Metric; 2] = [
    shift(
        "shift.image",
        "embedding shift of test pictures: mean cosine distance to the clean model's embedding",
        Task::ImageShift,
    ),
    shift(
        "shift.text",
        "embedding shift of test captions: mean cosine distance to the clean model's embedding",
        Task::TextShift,
    ),
];

const fn shift(name: &'static str, summary: &'static str, task: Task) -> Metric {
    Metric {
        name,
        summary,
        formula: "mean over samples x of 1 − cos(e(x), e_clean(x)), in [0, 2]",
        reference: "Yang et al. 2023, arXiv:2209.15266, on which modality is poisoned",
        unit: Unit::Distance,
        higher_is_better: false,
        task,
        outcomes,
    }
}

fn outcomes(judgements: &[&Judgement]) -> Vec<Outcome> {
    judgements.iter().filter_map(|j| Some(Outcome::new(j, f64::from(j.score?)))).collect()
}
