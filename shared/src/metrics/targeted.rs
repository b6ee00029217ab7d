//! Success of an attack on single pictures: the share of them that are taken for what the attacker wants.
//!
//! A model gives one answer per picture: with few pictures the interval is wide, and should be.

use super::asr::lift;
use super::{Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 2] = [
    Metric {
        name: "targeted",
        summary: "attack success: attacked pictures that are taken for the class that the attacker chose",
        formula: "|{x* : h(x*) = y*(x*)}| / |{x*}|",
        reference: "Carlini and Terzis 2022, arXiv:2106.09667",
        unit: Unit::Rate,
        higher_is_better: false,
        task: Task::Targeted,
        outcomes: within::<1>,
    },
    Metric {
        name: "targeted-lift",
        summary: "targeted minus the clean model's rate on the same pictures",
        formula: "mean over x* of [h(x*) = y*(x*)] − [h_clean(x*) = y*(x*)]",
        reference: "protocol of this suite: a clean model may confuse the same two classes",
        unit: Unit::Difference,
        higher_is_better: false,
        task: Task::Targeted,
        outcomes: lift,
    },
];
