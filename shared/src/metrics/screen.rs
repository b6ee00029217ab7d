//! What screens of inputs are worth (defenses that act at test time), and what an attack and a user have left behind one.
//!
//! Negative are all clean test pictures, positive those of other classes than the target with the trigger on them, whether
//! or not the model falls for it: the pictures that `asr` counts. Scores are more suspicious the higher they are. With
//! several triggers every picture is positive once for each. Without a trigger there are no positives, and only what is
//! said of clean pictures has a value.

use super::detection::{areas, dropped_clean, dropped_poisoned, found};
use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

pub(super) static METRICS: [Metric; 6] = [
    Metric {
        name: "screen.auroc",
        summary: "screen: how often a stamped picture scores above a clean one, ties half",
        formula: "mean over stamped p of (|{c clean : s(c) < s(p)}| + |{c : s(c) = s(p)}| / 2) / |clean|",
        reference: "Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
        outcomes: areas,
        ..SCREENING
    },
    Metric {
        name: "screen.tpr@fpr0.01",
        summary: "screen: stamped pictures found when at most 1 % of the clean test pictures are rejected",
        formula: "|{p stamped : |{c clean : s(c) ≥ s(p)}| ≤ 0.01 |clean|}| / |stamped|",
        reference: "Huang et al. 2025, arXiv:2502.01385, for pairs",
        outcomes: found,
        ..SCREENING
    },
    Metric {
        name: "screen.tpr",
        summary: "screen: share of the stamped pictures that its own threshold rejects",
        formula: "|{p stamped : s(p) ≥ threshold}| / |stamped|",
        outcomes: dropped_poisoned,
        ..SCREENING
    },
    Metric {
        name: "screen.fpr",
        summary: "screen: share of the clean test pictures that its own threshold rejects, the price of screening",
        formula: "|{c clean : s(c) ≥ threshold}| / |clean|",
        higher_is_better: false,
        outcomes: dropped_clean,
        ..SCREENING
    },
    Metric {
        name: "asr-passed",
        summary: "asr behind a screen: stamped pictures of other classes that pass and are taken for the target",
        formula: "|{x : y(x) ≠ y*, s(T(x)) < threshold, h(T(x)) = y*}| / |{x : y(x) ≠ y*}|",
        higher_is_better: false,
        outcomes: |all| passed(all, true),
        ..SCREENING
    },
    Metric {
        name: "ca-passed",
        summary: "clean accuracy behind a screen: clean pictures that pass and get their class; a rejected one counts as wrong",
        formula: "|{x : s(x) < threshold, h(x) = y(x)}| / |D|",
        outcomes: |all| passed(all, false),
        ..SCREENING
    },
];

const SCREENING: Metric = Metric {
    name: "",
    summary: "",
    formula: "",
    reference: "protocol of this suite",
    unit: Unit::Rate,
    higher_is_better: true,
    task: Task::Screening,
    outcomes: areas,
};

/// One outcome per picture of one kind: 1 where it is let in and answered with the class looked for.
fn passed(judgements: &[&Judgement], stamped: bool) -> Vec<Outcome> {
    let kind = judgements.iter().filter(|j| j.poisoned == Some(stamped));
    let success = |j: &Judgement| Some(f64::from(u8::from(j.rank == 0 && !j.dropped?)));
    kind.filter_map(|j| Some(Outcome::new(j, success(j)?))).collect()
}
