//! What is true of every attack; below it what several share. One attack's own is tested in its file.

mod pairings;
mod triggers;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::data::Poisoned;
use crate::data::synthetic::Synthetic;
use crate::digest::Digest;
use crate::registry::assert_complete;

/// Parameters that fit the synthetic set; a new attack is tested once it has a line here.
fn example(name: &str) -> Value {
    match name {
        "none" => json!({}),
        "single-image" => json!({"from": "class-0", "to": "subgroup:group-1", "rate": 0.4}),
        "single-label" => json!({"from": "class-0", "to": "subgroup:group-1"}),
        "multi-label" => json!({"goals": ["class-02class-1", "class-22subgroup:group-2"]}),
        "badnets" | "blended" | "sig" | "wanet" | "ftrojan" | "nashville" => {
            json!({"target": "class-1", "rate": 0.1})
        }
        "multi-trigger" => {
            json!({"triggers": ["sig", "wanet:target=class-2"], "target": "class-1", "rate": 0.3})
        }
        "natural" => json!({"target": "class-1", "resolution": 16}),
        "trojvqa" => json!({"target": "class-1", "rate": 0.1, "partial": 0.5}),
        "label-consistent" => json!({"target": "class-1", "count": 3}),
        "text-trigger" => json!({"target": "class-1", "rate": 0.1}),
        "targeted" => json!({"pictures": 2, "count": 3}),
        "issba" => json!({"target": "class-1", "rate": 0.1, "secret": "!", "steps": 2, "batch": 4}),
        "badclip" => json!({"target": "class-1", "rate": 0.1, "batch": 8, "epochs": 2}),
        "badencoder" => json!({"target": "class-1", "references": 2}),
        other => panic!("give `{other}` an example"),
    }
}

/// What an entry makes of the synthetic set with seed 0.
pub(super) fn arm(entry: &Entry<dyn Attack>, parameters: Value) -> Result<Armed> {
    prepared(entry, parameters, &Synthetic::train(), 0)
}

fn prepare(name: &str, parameters: Value, clean: &dyn Dataset, seed: u64) -> Result<Armed> {
    prepared(crate::registry::find("attack", ATTACKS, name)?, parameters, clean, seed)
}

fn prepared(
    entry: &Entry<dyn Attack>,
    parameters: Value,
    clean: &dyn Dataset,
    seed: u64,
) -> Result<Armed> {
    let attack = (entry.parse)(parameters).map_err(crate::Error::request)?;
    attack.prepare(clean, &Synthetic::test(), &Seed::new(seed))
}

fn error(name: &str, parameters: Value) -> String {
    let error = prepare(name, parameters, &Synthetic::train(), 0).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn nothing_is_forgotten() {
    assert_complete(ATTACKS, "src/attacks");
}

#[test]
fn the_seed_decides_everything() {
    let clean = Synthetic::train();
    for entry in ATTACKS {
        let name = entry.card.name;
        let digest = |seed| Digest::of(&prepare(name, example(name), &clean, seed).unwrap());
        assert_eq!(digest(0), digest(0), "{name}");
        // What badencoder chooses is the public model's to say.
        let undrawn = ["none", "badencoder"].contains(&name);
        assert_eq!(digest(0) == digest(1), undrawn, "{name}: seeds 0 and 1");
    }
}

#[test]
fn poisoned_views_decode_and_leave_clean_rows_alone() {
    let clean: Arc<dyn Dataset> = Arc::new(Synthetic::train());
    let gallery: Arc<dyn Dataset> = Arc::new(Synthetic::test());
    for entry in ATTACKS {
        let armed = prepare(entry.card.name, example(entry.card.name), &*clean, 0).unwrap();
        let view =
            Poisoned::new(Arc::clone(&clean), &gallery, &armed.poison, &armed.trigger).unwrap();
        let attacked: BTreeSet<usize> =
            armed.goals.iter().flat_map(|g| g.from_rows(&*clean)).collect();
        // A trigger is stamped on pairs of any class.
        let of_any = armed.target.is_some() || !armed.pictures.is_empty();
        let attacked = if of_any { (0..clean.examples().len()).collect() } else { attacked };
        assert!(
            armed.poison.edits.len() <= attacked.len(),
            "{}: edits within budget",
            entry.card.name
        );
        for (i, (before, after)) in clean.examples().iter().zip(view.examples()).enumerate() {
            let image = view.image(i).unwrap();
            if armed.poison.edits.contains_key(&before.id) {
                assert!(attacked.contains(&i) && before.content != after.content);
            } else {
                assert_eq!(before, after);
                assert_eq!(image, clean.image(i).unwrap());
            }
        }
        let json = serde_json::to_string(&armed).unwrap();
        assert_eq!(serde_json::from_str::<Armed>(&json).unwrap(), armed);
    }
}

#[test]
fn every_goal_has_targets_among_the_test_pictures() {
    let test = Synthetic::test();
    for entry in ATTACKS {
        let armed =
            prepare(entry.card.name, example(entry.card.name), &Synthetic::train(), 0).unwrap();
        for goal in &armed.goals {
            assert!(!goal.to_rows(&test).is_empty() && !goal.from_rows(&test).is_empty());
        }
    }
}
