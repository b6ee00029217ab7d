//! Text retrieval (image → text): a picture counts when at least one of its own captions is among the first K.
//!
//! `clip_benchmark` calls it `text_retrieval_recall@K`. One hit suffices, however many positives there are.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 3] = [
    recall(
        "tr@1",
        "image-to-text recall: a caption of the picture is among the first 1",
        "|{x : best position among x's own captions < 1}| / n",
        within::<1>,
    ),
    recall(
        "tr@5",
        "image-to-text recall: a caption of the picture is among the first 5",
        "|{x : best position among x's own captions < 5}| / n",
        within::<5>,
    ),
    recall(
        "tr@10",
        "image-to-text recall: a caption of the picture is among the first 10",
        "|{x : best position among x's own captions < 10}| / n",
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
        task: Task::TextRetrieval,
        outcomes,
    }
}
