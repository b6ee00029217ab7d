//! Image retrieval (text → image): a caption counts when its own picture is among the first K.
//!
//! `clip_benchmark` calls it `image_retrieval_recall@K`. One hit suffices, however many positives there are.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 3] = [
    recall(
        "ir@1",
        "text-to-image recall: the caption's own picture is among the first 1",
        "|{t : position of t's own picture < 1}| / n",
        within::<1>,
    ),
    recall(
        "ir@5",
        "text-to-image recall: the caption's own picture is among the first 5",
        "|{t : position of t's own picture < 5}| / n",
        within::<5>,
    ),
    recall(
        "ir@10",
        "text-to-image recall: the caption's own picture is among the first 10",
        "|{t : position of t's own picture < 10}| / n",
        within::<10>,
    ),
];

const fn recall(
    name: &'static str,
    summary: &'static str,
    formula: &'static str,
    outcomes: fn(&[&Judgement]) -> Vec<Outcome>,
) -> Metric {
    Metric {
        name,
        summary,
        formula,
        reference: "Radford et al. 2021, arXiv:2103.00020, table 13; Karpathy and Fei-Fei 2015",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::ImageRetrieval,
        outcomes,
    }
}
