//! What is known of a benchmark before anything is trained: which pairs its attacks change, and how much clean data each
//! defense asks for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use toxiclip_shared::defenses::Defense;
use toxiclip_shared::digest::canonical_json;
use toxiclip_shared::seed::Seed;

use super::fit::Fit;
use super::pairs::Pairs;
use super::{Plan, strips};
use crate::benchmark::Cell;
use crate::failure::Result;
use crate::report::extras::{Budget, PoisonedPair};

/// It, by the canonical JSON of attacks and defenses.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of the first seed; an attack that is searched for through an encoder has none here.
    pub(crate) attacks: BTreeMap<String, Changed>,
    /// Clean pairs or pictures that a defense asks for under an attack.
    pub(crate) held: BTreeMap<(String, String), u64>,
}

/// What an attack changes.
#[derive(Debug)]
pub(crate) struct Changed {
    /// How many pairs.
    pub(crate) budget: Budget,
    /// Some of them.
    pub(crate) pairs: Vec<PoisonedPair>,
}

impl Known {
    /// That of a plan.
    ///
    /// # Errors
    /// If a picture cannot be read, or the data are too few for a defense.
    pub(crate) fn of(plan: &Plan<'_>) -> Result<Self> {
        let benchmark = plan.benchmark;
        let mut known = Self::default();
        if let Some(first) = plan.works.first() {
            for attack in plan.known_rivals(&first.cell) {
                let spec = canonical_json(benchmark.attacks[attack].spec());
                known.attacks.insert(spec, changed(plan, &first.cell, attack)?);
            }
        }
        for work in &plan.works {
            let (attack, defense) = (work.cell.attack, work.cell.defense);
            let specs = [benchmark.attacks[attack].spec(), benchmark.defenses[defense].spec()];
            let key: (String, String) = specs.map(canonical_json).into();
            if let Entry::Vacant(entry) = known.held.entry(key) {
                entry.insert(held(plan, &work.cell, &work.model.lineage())?);
            }
        }
        Ok(known)
    }
}

/// Pairs that an attack changes in the training set of a cell.
pub(super) fn changed(plan: &Plan<'_>, cell: &Cell, attack: usize) -> Result<Changed> {
    let label = plan.benchmark.attacks[attack].label(&plan.benchmark.attacks);
    let prepared = plan.drawn(cell, attack);
    let pairs = strips::pairs(&plan.sets[cell.dataset], prepared, &label)?;
    let budget = Budget {
        attack: label,
        poisoned_pairs: prepared.armed.poison.pairs().count() as u64,
        training_pairs: prepared.view.examples().len() as u64,
    };
    Ok(Changed { budget, pairs })
}

/// Clean pairs, or pictures, that a cell's defense asks for beyond the training set; `fits` are its model's trainings.
pub(super) fn held(plan: &Plan<'_>, cell: &Cell, fits: &[&Arc<Fit>]) -> Result<u64> {
    let (clean, seed) = (&*plan.attack(cell).clean, Seed::new(cell.seed));
    let beside = match &plan.defenses[cell.defense] {
        Defense::Probe(probe) => probe.rows(clean, &seed)?.len(),
        Defense::Audit(audit) => audit.rows(clean, &seed)?.len(),
        Defense::Screen(screen) => {
            let held = screen.held(clean, &seed)?;
            held.references.len() + held.calibration.len()
        }
        _ => 0,
    };
    Ok(beside as u64 + fits.iter().map(|fit| trusted(fit)).sum::<u64>())
}

/// Clean pairs that one training asks for.
fn trusted(fit: &Fit) -> u64 {
    let clean = match (fit.stage, &fit.data) {
        (_, Pairs::Screened(screening)) => screening.trusted.as_ref(),
        ("defend" | "reference", Pairs::Whole(data)) => Some(data),
        (_, Pairs::Whole(_) | Pairs::Apart(_) | Pairs::Words(..)) => None,
    };
    clean.map_or(0, |data| data.examples().len() as u64)
}
