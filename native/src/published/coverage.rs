//! What of its benchmark a run answers, so that a matrix of days is published as it grows.
//!
//! It may leave out whole attacks, and the last seeds of the list. Controls, defenses and single seeds it may not: whoever
//! submits could pick those that suit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toxiclip_shared::digest::{Digest, canonical_json};

use crate::benchmark::Cell;
use crate::pipeline::Plan;
use crate::report::numbers::seeds;
use crate::row::Row;

/// A model and what it is scored against, as far as the benchmark decides them: configuration, data, seed, rival.
pub(crate) type Asked = (Digest, Digest, u64, Option<String>);

/// What a run answers of its benchmark.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// Every model that it must have, controls also with each attack that they are scored against.
    pub(crate) asked: BTreeSet<Asked>,
    /// The rest.
    pub(crate) left_out: LeftOut,
}

/// Parts of a benchmark that a run does not have yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    /// Labels of the attacks.
    pub(crate) attacks: Vec<String>,
    /// The last of its seeds.
    pub(crate) seeds: Vec<u64>,
}

impl LeftOut {
    /// Whether the run is whole.
    pub(crate) fn is_empty(&self) -> bool {
        self.attacks.is_empty() && self.seeds.is_empty()
    }

    /// What is left out here and not in `other`.
    pub(super) fn beyond(mut self, other: &Self) -> Self {
        self.attacks.retain(|attack| !other.attacks.contains(attack));
        self.seeds.retain(|seed| !other.seeds.contains(seed));
        self
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = (!self.seeds.is_empty()).then(|| format!("seeds {}", seeds(&self.seeds)));
        let parts: Vec<String> = self.attacks.iter().cloned().chain(seeds).collect();
        write!(f, "{}", parts.join(", "))
    }
}

/// What a run with the models `found` answers. An attack of which nothing is there was left out, unless that is so of all of
/// them; so was a seed behind the last of which something is there.
pub(crate) fn coverage(plan: &Plan<'_>, found: &BTreeSet<Asked>) -> Coverage {
    let all = &plan.benchmark.seeds;
    let has = |seed: &u64| found.iter().any(|(_, _, found, _)| found == seed);
    let seeds = all.split_at(all.iter().rposition(has).map_or(all.len(), |last| last + 1));
    let mut by_attack: BTreeMap<usize, BTreeSet<Asked>> = BTreeMap::new();
    let mut controls = BTreeSet::new();
    let cells = plan.works.iter().map(|work| &work.cell);
    for cell in cells.filter(|cell| seeds.0.contains(&cell.seed)) {
        let control = plan.attack(cell).armed.is_control();
        let models =
            if control { &mut controls } else { by_attack.entry(cell.attack).or_default() };
        models.insert(asked_of(plan, cell, None));
        if control {
            models.extend(plan.rivals(cell).map(|attack| asked_of(plan, cell, Some(attack))));
        }
    }
    let mut left_out = LeftOut { attacks: Vec::new(), seeds: seeds.1.to_vec() };
    if by_attack.values().any(|models| !models.is_disjoint(found)) {
        let attacks = &plan.benchmark.attacks;
        by_attack.retain(|attack, models| {
            let there = !models.is_disjoint(found);
            left_out.attacks.extend((!there).then(|| attacks[*attack].label(attacks)));
            there
        });
    }
    controls.extend(by_attack.into_values().flatten());
    Coverage { asked: controls, left_out }
}

/// What identifies a cell, or its control scored against a rival.
pub(super) fn asked_of(plan: &Plan<'_>, cell: &Cell, against: Option<usize>) -> Asked {
    let benchmark = plan.benchmark;
    let rival = against.map(|attack| canonical_json(benchmark.attacks[attack].spec()));
    (benchmark.config(cell), plan.data_digest(cell), cell.seed, rival)
}

/// The model that a row is about.
pub(crate) fn answered(row: &Row) -> Asked {
    (row.config, row.data, row.seed, row.against.as_ref().map(canonical_json))
}
