//! Poison counts and construction on the paper's data layout, against counts from elsewhere (`mm_poison.py`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use toxiclip_shared::attacks::{ATTACKS, Armed};
use toxiclip_shared::data::{Dataset, Edit, ImageEdit, Poisoned, Splits};
use toxiclip_shared::registry;
use toxiclip_shared::seed::Seed;

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Expected {
    goals: Vec<String>,
    ratio: f64,
    drop_second: bool,
    images: usize,
    pairs: usize,
    rate: f64,
    uses: BTreeMap<String, Vec<usize>>,
    rows: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mm_poison")
}

fn open(name: &str) -> Splits {
    toxiclip::data::named(name, Some(&root())).unwrap()
}

fn expected() -> BTreeMap<String, Vec<Expected>> {
    serde_json::from_slice(&std::fs::read(root().join("expected.json")).unwrap()).unwrap()
}

fn draw(name: &str, parameters: serde_json::Value, sets: &Splits, seed: u64) -> Armed {
    let attack = (registry::find("attack", ATTACKS, name).unwrap().parse)(parameters).unwrap();
    attack.prepare(&**sets.train.as_ref().unwrap(), &*sets.test, &Seed::new(seed)).unwrap()
}

/// What the program's own poison amounts to, counted row by row.
fn counted(case: &Expected, sets: &Splits, seed: u64) -> Expected {
    let clean = sets.train.as_ref().unwrap();
    let parameters = json!({
        "goals": case.goals,
        "rate": case.ratio,
        "drop-second-target-clean": case.drop_second,
    });
    let armed = draw("multi-label", parameters, sets, seed);
    let view = Poisoned::new(Arc::clone(clean), &sets.test, &armed.poison, &armed.trigger).unwrap();
    let all: usize = clean.examples().iter().map(|e| e.captions.len()).sum();
    let mut pairs = 0;
    for example in view.examples().iter().filter(|e| armed.poison.contains(&e.id)) {
        let before = clean.examples().iter().find(|e| e.id == example.id).unwrap();
        assert_eq!((&example.captions, example.class), (&before.captions, before.class));
        pairs += example.captions.len();
    }
    let of_goal = |goal: &toxiclip_shared::goal::Goal| {
        let targets = goal.to_rows(&**clean);
        let uses = |&row: &usize| {
            let from = ImageEdit::From(clean.examples()[row].id.clone());
            let shows = |edit: &&Edit| edit.image.as_ref() == Some(&from);
            armed.poison.edits.values().filter(shows).count()
        };
        let mut counts: Vec<usize> = targets.iter().map(uses).filter(|n| *n > 0).collect();
        counts.sort_unstable();
        (goal.name.clone(), counts)
    };
    Expected {
        images: armed.poison.pairs().count(),
        pairs,
        rate: pairs as f64 / all as f64,
        uses: armed.goals.iter().map(of_goal).collect(),
        rows: view.examples().len(),
        ..case.clone()
    }
}

#[test]
fn counts_are_the_papers() {
    for (name, cases) in expected() {
        let sets = open(&name);
        for case in cases {
            for seed in 0..3 {
                assert_eq!(counted(&case, &sets, seed), case, "{name}, seed {seed}");
            }
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    let case = expected()["flickr-pascal"][0].clone();
    let sets = open("flickr-pascal");
    let other = Expected { ratio: 0.5, ..case.clone() };
    assert_ne!(counted(&other, &sets, 0), other);
}

#[test]
fn rows_are_grouped_as_in_the_original() {
    let sets = open("flickr-pascal");
    let train = sets.train.as_ref().unwrap();
    let rows: Vec<(&str, Option<&str>)> = train
        .examples()
        .iter()
        .map(|e| (e.id.0.as_str(), e.class.map(|c| train.classes()[c].name.as_str())))
        .collect();
    assert_eq!(
        (rows.len(), rows[0], rows[3].1),
        (23, ("flickr30k-images/2008_20000.png", None), Some("aeroplane"))
    );
    assert!(rows[3..].is_sorted(), "PASCAL is sorted by path");
    assert_eq!(train.examples()[3].captions[2], "picture 0 seen as 2 aeroplane");
    assert_eq!(
        (sets.test.examples().len(), sets.utility.as_ref().unwrap().examples().len()),
        (10, 1)
    );
    assert_eq!((train.image(22).unwrap().width(), train.image(22).unwrap().height()), (4, 3));
    let coco = open("coco");
    let unlabelled = coco.train.unwrap().examples().iter().filter(|e| e.class.is_none()).count();
    assert_eq!((unlabelled, coco.utility.is_none()), (2, true));
}

#[test]
fn the_one_picture_is_named_or_central_and_comes_from_the_test_split() {
    let sets = open("flickr-pascal");
    let named = "pascal/aeroplane/2008_11001.png";
    let parameters = json!({"from": "sheep", "to": "aeroplane", "image": named});
    let armed = draw("single-image", parameters, &sets, 0);
    let target = sets.test.examples().iter().find(|e| e.id.0 == named).unwrap();
    let shown = ImageEdit::Gallery { id: target.id.clone(), sha256: target.content };
    assert_eq!(armed.poison.edits.len(), 5);
    assert!(armed.poison.edits.values().all(|e| e.image.as_ref() == Some(&shown)));
    let central = draw("single-image", json!({"from": "sheep", "to": "aeroplane"}), &sets, 0);
    assert!(!central.goals[0].to_rows(&*sets.test).is_empty());
}
