//! Detection of poisoned pairs from suspicion scores: AUROC, average precision, TPR at a small FPR, and what a filter drops.
//!
//! Higher scores are more suspicious; positive means poisoned. Each of the three curves' summaries is a mean over the
//! poisoned pairs of what the clean pairs make of one of them, which is how it is computed here:
//!
//! * AUROC: the share of clean pairs that score below the pair, ties half (Hanley and McNeil 1982).
//! * AUPRC: average precision Σ (Rₙ − Rₙ₋₁)·Pₙ, no interpolation: the precision at the pair's own score.
//! * TPR@FPR α: whether at most a share α of the clean pairs score at least as high.
//!
//! Their intervals are Wilson's over poisoned pairs with the clean ones taken as they are; a mean of shares varies less
//! than one of zeros and ones, so for the first two they are wider than need be. The chance level of AUPRC is the share
//! of poisoned pairs: print it beside.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

/// The largest share of clean pairs that `tpr@fpr0.01` lets a threshold flag.
const FALSE_ALARMS: f64 = 0.01;

pub(super) static METRICS: [Metric; 5] = [
    Metric {
        name: "auroc",
        summary: "detection: how often a poisoned pair scores above a clean one, ties half",
        formula: "mean over poisoned p of (|{c clean : s(c) < s(p)}| + |{c : s(c) = s(p)}| / 2) / |clean|",
        reference: "Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
        higher_is_better: true,
        outcomes: areas,
        ..DETECTION
    },
    Metric {
        name: "auprc",
        summary: "detection: average precision; chance is the share of poisoned pairs",
        formula: "mean over poisoned p of |{poisoned : s ≥ s(p)}| / |{pairs : s ≥ s(p)}|",
        reference: "average precision as scikit-learn defines it",
        higher_is_better: true,
        outcomes: precisions,
        ..DETECTION
    },
    Metric {
        name: "tpr@fpr0.01",
        summary: "detection: poisoned pairs found when at most 1 % of the clean ones are flagged",
        formula: "|{p poisoned : |{c clean : s(c) ≥ s(p)}| ≤ 0.01 |clean|}| / |poisoned|",
        reference: "Huang et al. 2025, arXiv:2502.01385",
        higher_is_better: true,
        outcomes: found,
        ..DETECTION
    },
    Metric {
        name: "dropped.poisoned",
        summary: "filter: share of the poisoned pairs that it removes",
        formula: "|{p poisoned : dropped}| / |poisoned|",
        higher_is_better: true,
        outcomes: dropped_poisoned,
        ..DETECTION
    },
    Metric {
        name: "dropped.clean",
        summary: "filter: share of the clean pairs that it removes, the price of filtering",
        formula: "|{c clean : dropped}| / |clean|",
        higher_is_better: false,
        outcomes: dropped_clean,
        ..DETECTION
    },
];

const DETECTION: Metric = Metric {
    name: "",
    summary: "",
    formula: "",
    reference: "Yang et al. 2023, arXiv:2209.15266, section on pre-training defense",
    unit: Unit::Rate,
    higher_is_better: true,
    task: Task::Detection,
    outcomes: areas,
};

/// Scores of the clean pairs, and of all pairs, ascending.
struct Scores {
    clean: Vec<f32>,
    all: Vec<f32>,
}

impl Scores {
    fn new(judgements: &[&Judgement]) -> Self {
        let sorted = |keep: fn(&Judgement) -> bool| {
            let kept = judgements.iter().filter(|j| keep(j)).filter_map(|j| j.score);
            let mut scores: Vec<f32> = kept.collect();
            scores.sort_unstable_by(f32::total_cmp);
            scores
        };
        Self { clean: sorted(|j| j.poisoned == Some(false)), all: sorted(|_| true) }
    }
}

fn below(sorted: &[f32], score: f32) -> f64 {
    sorted.partition_point(|s| *s < score) as f64
}

fn up_to(sorted: &[f32], score: f32) -> f64 {
    sorted.partition_point(|s| *s <= score) as f64
}

fn at_least(sorted: &[f32], score: f32) -> f64 {
    sorted.len() as f64 - below(sorted, score)
}

/// One outcome per poisoned pair; none at all where one side is missing.
fn per_poisoned(judgements: &[&Judgement], value: impl Fn(&Scores, f32) -> f64) -> Vec<Outcome> {
    let scores = Scores::new(judgements);
    if scores.clean.is_empty() {
        return Vec::new();
    }
    let poisoned = judgements.iter().filter(|j| j.poisoned == Some(true));
    poisoned.filter_map(|j| Some(Outcome::new(j, value(&scores, j.score?)))).collect()
}

pub(super) fn areas(judgements: &[&Judgement]) -> Vec<Outcome> {
    per_poisoned(judgements, |s, score| {
        (0.5 * below(&s.clean, score) + 0.5 * up_to(&s.clean, score)) / s.clean.len() as f64
    })
}

fn precisions(judgements: &[&Judgement]) -> Vec<Outcome> {
    per_poisoned(judgements, |s, score| {
        let flagged = at_least(&s.all, score);
        (flagged - at_least(&s.clean, score)) / flagged
    })
}

pub(super) fn found(judgements: &[&Judgement]) -> Vec<Outcome> {
    per_poisoned(judgements, |s, score| {
        let alarms = at_least(&s.clean, score) / s.clean.len() as f64;
        f64::from(u8::from(alarms <= FALSE_ALARMS))
    })
}

pub(super) fn dropped_poisoned(judgements: &[&Judgement]) -> Vec<Outcome> {
    dropped(judgements, true)
}

pub(super) fn dropped_clean(judgements: &[&Judgement]) -> Vec<Outcome> {
    dropped(judgements, false)
}

/// One outcome per pair of one kind; nothing where a detector only scores.
fn dropped(judgements: &[&Judgement], poisoned: bool) -> Vec<Outcome> {
    let kind = judgements.iter().filter(|j| j.poisoned == Some(poisoned));
    kind.filter_map(|j| Some(Outcome::new(j, f64::from(u8::from(j.dropped?))))).collect()
}
