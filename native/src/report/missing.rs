//! Seeds that are missing from an aggregate: one line per model.

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{Key, Results};
use super::lines::model_name;
use super::numbers::seeds as list;

/// One line for each model that has values of some, but not all seeds of its data set and encoder.
pub(super) fn seeds(results: &Results) -> Vec<String> {
    let mut expected: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for row in &results.rows {
        let key = results.key(row);
        expected.entry((key.dataset, key.encoder)).or_default().insert(row.seed);
    }
    let mut complete: BTreeMap<Key, BTreeSet<u64>> = BTreeMap::new();
    for (key, estimate) in &results.estimates {
        let model = Key { metric: String::new(), against: None, ..key.clone() };
        let own: BTreeSet<u64> = estimate.seeds.iter().copied().collect();
        let all = complete.entry(model).or_insert_with(|| own.clone());
        *all = all.intersection(&own).copied().collect();
    }
    let lacking = |(model, own): (&Key, &BTreeSet<u64>)| {
        let all = expected.get(&(model.dataset.clone(), model.encoder.clone()))?;
        let missing: Vec<u64> = all.difference(own).copied().collect();
        let own: Vec<u64> = own.iter().copied().collect();
        let name = model_name(&model.attack, &model.defense);
        let over = if own.is_empty() { "nothing".into() } else { list(&own) };
        let line =
            format!("{name} has no value for seed {}: its means are over {over}", list(&missing));
        (!missing.is_empty()).then_some(line)
    };
    complete.iter().filter_map(lacking).collect()
}
