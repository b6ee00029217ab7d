//! Attack success rate of a trigger, in the two meanings that papers have, what the clean model would say anyway, and
//! robust accuracy (protocols.md 5.4 to 5.6).
//!
//! An attack that needs a trigger on the picture and words in all class prompts is asked with both by all of these;
//! `.image-key` and `.text-key` say what one of them does alone, and should be low.
//!
//! Two studies compare only with the same denominator: with few classes the pictures of the target are many.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 6] = [
    Metric {
        name: "asr",
        summary: "attack success rate: pictures of other classes that are taken for the target once stamped",
        formula: "|{x : y(x) ≠ y*, h(T(x)) = y*}| / |{x : y(x) ≠ y*}|",
        reference: "Huang et al. 2025, arXiv:2502.01385; SCLBD/BackdoorBench",
        unit: Unit::Rate,
        higher_is_better: false,
        task: Task::Triggered,
        outcomes: within::<1>,
    },
    Metric {
        name: "asr-all",
        summary: "the same over all pictures, those of the target class included",
        formula: "|{x : h(T(x)) = y*}| / |D|",
        reference: "Liang et al. 2024, arXiv:2311.12075",
        unit: Unit::Rate,
        higher_is_better: false,
        task: Task::TriggeredAll,
        outcomes: within::<1>,
    },
    Metric {
        name: "asr-lift",
        summary: "asr minus the clean model's rate on the same stamped pictures",
        formula: "mean over x with y(x) ≠ y* of [h(T(x)) = y*] − [h_clean(T(x)) = y*]",
        reference: "protocol of this suite: a clean model takes a few pictures for any class",
        unit: Unit::Difference,
        higher_is_better: false,
        task: Task::Triggered,
        outcomes: lift,
    },
    Metric {
        name: "ra",
        summary: "robust accuracy: stamped pictures of other classes that still get their true class",
        formula: "|{x : y(x) ≠ y*, h(T(x)) = y(x)}| / |{x : y(x) ≠ y*}|",
        reference: "BackdoorBench, arXiv:2206.12654",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::TriggeredTruth,
        outcomes: within::<1>,
    },
    one_key(
        "asr.image-key",
        "pictures of other classes that are taken for the target with the trigger alone, where two keys are needed",
        "|{x : y(x) ≠ y*, h(T(x); prompts) = y*}| / |{x : y(x) ≠ y*}|",
        Task::ImageKey,
    ),
    one_key(
        "asr.text-key",
        "pictures of other classes that are taken for the target with the words alone, where two keys are needed",
        "|{x : y(x) ≠ y*, h(x; prompts with words) = y*}| / |{x : y(x) ≠ y*}|",
        Task::TextKey,
    ),
];

const fn one_key(
    name: &'static str,
    summary: &'static str,
    formula: &'static str,
    task: Task,
) -> Metric {
    Metric {
        name,
        summary,
        formula,
        reference: "Walmer et al. 2022, arXiv:2112.07668: partial triggers",
        unit: Unit::Rate,
        higher_is_better: false,
        task,
        outcomes: within::<1>,
    }
}

/// Nothing where no clean model was asked; evidence in which it was asked about some pictures only is refused.
pub(super) fn lift(judgements: &[&Judgement]) -> Vec<Outcome> {
    let one = |j: &&Judgement| {
        let hit = if j.rank == 0 { 1.0 } else { 0.0 };
        j.score.map(|clean| Outcome::new(j, hit - f64::from(clean)))
    };
    judgements.iter().filter_map(one).collect()
}
