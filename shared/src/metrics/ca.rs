//! Clean accuracy, zero-shot: the true class is among the K largest of the class logits.
//!
//! Do not compare over prompt sets: a ResNet-50 moves by about 1.5 points between one prompt and eighty.

use super::{Metric, Task, Unit, within};

pub(super) static METRICS: [Metric; 2] = [
    Metric {
        name: "ca",
        summary: "clean accuracy: zero-shot top-1 on clean pictures",
        formula: "|{x : rank of y(x) among class logits = 0}| / |D|",
        reference: "Radford et al. 2021, arXiv:2103.00020, section 3.1",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::ZeroShot,
        outcomes: within::<1>,
    },
    Metric {
        name: "ca@5",
        summary: "clean accuracy: zero-shot top-5 on clean pictures; absent below six classes",
        formula: "|{x : rank of y(x) among class logits < 5}| / |D|",
        reference: "Radford et al. 2021, arXiv:2103.00020, section 3.1",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::ZeroShot,
        outcomes: within::<5>,
    },
];
