//! Mean per-class recall: the zero-shot recall of each class, averaged over the classes that occur.

use std::collections::BTreeMap;

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

pub(super) static METRICS: [Metric; 1] = [Metric {
    name: "mpcr",
    summary: "mean per-class recall: every class counts the same, however many pictures it has",
    formula: "mean over classes c in D of |{x : y(x) = c, h(x) = c}| / |{x : y(x) = c}|",
    reference: "Radford et al. 2021, arXiv:2103.00020, table 9 (Oxford Pets, Flowers and others)",
    unit: Unit::Rate,
    higher_is_better: true,
    task: Task::ZeroShot,
    outcomes,
}];

/// Weights 1/|class| turn the mean over classes into a weighted mean over pictures.
fn outcomes(judgements: &[&Judgement]) -> Vec<Outcome> {
    let mut sizes: BTreeMap<Option<u32>, f64> = BTreeMap::new();
    for j in judgements {
        *sizes.entry(j.label).or_default() += 1.0;
    }
    judgements
        .iter()
        .filter(|j| j.gallery > 1)
        .map(|j| Outcome {
            weight: 1.0 / sizes[&j.label],
            ..Outcome::new(j, if j.rank == 0 { 1.0 } else { 0.0 })
        })
        .collect()
}
