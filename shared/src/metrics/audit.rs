//! What audits of a model alone say (defenses `decree`, `neural-cleanse`). One verdict a model: whether an audit is any
//! good shows only beside its false alarms on controls.

use super::interval::Outcome;
use super::{Judgement, Metric, Task, Unit};

pub(super) static METRICS: [Metric; 5] = [
    Metric {
        name: "flagged",
        summary: "audit: whether it calls the model backdoored; on a control this is a false alarm",
        formula: "1 if the audit's score is beyond its threshold, else 0",
        reference: "the audit's own paper",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::Audit,
        outcomes: flagged,
    },
    Metric {
        name: "pl1",
        summary: "audit by DECREE: the inverted trigger's size as a share of the picture; small is suspicious",
        formula: "min ‖m‖₁ / (3·S²) over steps whose mean pairwise cosine exceeds 0.99",
        reference: "Feng et al. 2023, arXiv:2303.15180",
        unit: Unit::Score,
        higher_is_better: true,
        task: Task::Audit,
        outcomes: |all| scores(all, "decree"),
    },
    Metric {
        name: "anomaly-index",
        summary: "audit by Neural Cleanse: how far the smallest class trigger lies below the median; large is suspicious",
        formula: "max over classes of (median ‖m‖₁ − ‖m_c‖₁) / (1.4826 · MAD)",
        reference: "Wang et al. 2019, doi:10.1109/SP.2019.00031",
        unit: Unit::Score,
        higher_is_better: false,
        task: Task::Audit,
        outcomes: |all| scores(all, "neural-cleanse"),
    },
    Metric {
        name: "flagged.target",
        summary: "audit by class: whether the attack's target class is flagged",
        formula: "|{c target : flagged}| / |{c target, audited}|",
        reference: "protocol of this suite",
        unit: Unit::Rate,
        higher_is_better: true,
        task: Task::AuditClass,
        outcomes: |all| classes(all, true),
    },
    Metric {
        name: "flagged.other",
        summary: "audit by class: share of the classes that no trigger aims at and that are flagged all the same",
        formula: "|{c no target : flagged}| / |{c no target, audited}|",
        reference: "protocol of this suite",
        unit: Unit::Rate,
        higher_is_better: false,
        task: Task::AuditClass,
        outcomes: |all| classes(all, false),
    },
];

fn rate(judgement: &Judgement) -> Option<Outcome> {
    Some(Outcome::new(judgement, f64::from(u8::from(judgement.dropped?))))
}

fn flagged(judgements: &[&Judgement]) -> Vec<Outcome> {
    judgements.iter().filter_map(|j| rate(j)).collect()
}

/// The scores of one audit; another's have another scale.
fn scores(judgements: &[&Judgement], audit: &str) -> Vec<Outcome> {
    let own = judgements.iter().filter(|j| j.sample.0 == audit);
    own.filter_map(|j| Some(Outcome::new(j, f64::from(j.score?)))).collect()
}

fn classes(judgements: &[&Judgement], target: bool) -> Vec<Outcome> {
    judgements.iter().filter(|j| j.poisoned == Some(target)).filter_map(|j| rate(j)).collect()
}
