//! Captions with other pictures: which rows, how often, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{error, example, prepare};
use crate::data::synthetic::Synthetic;
use crate::data::{Dataset, ImageEdit, Poison, Poisoned};
use crate::triggers::Trigger;

/// attacks of the paper: ⌊n_A / n_B⌋ uses of every picture of B, the rest once more, captions kept.
#[test]
fn single_label_spreads_the_pictures_of_b_evenly() {
    let clean = Synthetic::train();
    // A subgroup of 3 classes with 5 rows each onto a class with 5 rows; then 7 of the 15 rows.
    for (parameters, uses) in [
        (json!({"from": "subgroup:group-0", "to": "class-3"}), [3, 3]),
        (json!({"from": "subgroup:group-0", "to": "class-3", "count": 7}), [1, 2]),
    ] {
        let armed = prepare("single-label", parameters, &clean, 0).unwrap();
        let b: Vec<usize> = armed.goals[0].to_rows(&clean);
        let mut counts = vec![0; b.len()];
        for edit in armed.poison.edits.values() {
            let Some(ImageEdit::From(id)) = &edit.image else { panic!("no picture") };
            assert!(edit.captions.is_none(), "captions stay");
            counts[b.iter().position(|&i| clean.examples()[i].id == *id).unwrap()] += 1;
        }
        assert!(counts.iter().all(|n| (uses[0]..=uses[1]).contains(n)), "{counts:?}");
    }
    let half = json!({"from": "class-0", "to": "class-3", "rate": 0.5});
    assert_eq!(
        prepare("single-label", half, &clean, 0).unwrap().poison.edits.len(),
        2,
        "2.5 to even"
    );
}

/// The paper writes a union; its code replaces. Either way the same rows show the same pictures.
#[test]
fn addition_keeps_the_clean_pairs() {
    let clean: Arc<dyn Dataset> = Arc::new(Synthetic::train());
    let gallery: Arc<dyn Dataset> = Arc::new(Synthetic::test());
    for name in ["single-image", "single-label", "multi-label"] {
        let draw = |mode: &str| {
            let mut parameters = example(name);
            parameters["mode"] = mode.into();
            prepare(name, parameters, &*clean, 3).unwrap().poison
        };
        let (replaced, added) = (draw("replace"), draw("add"));
        assert_eq!(replaced.edits.len(), added.edits.len(), "{name}");
        for edit in added.edits.values() {
            let twin = &replaced.edits[edit.base.as_ref().unwrap()];
            assert_eq!((&edit.image, edit.sha256), (&twin.image, twin.sha256), "{name}");
        }
        let view = Poisoned::new(Arc::clone(&clean), &gallery, &added, &Trigger::None).unwrap();
        let rows = clean.examples().len();
        assert_eq!(&view.examples()[..rows], clean.examples(), "{name}");
        assert_eq!(view.examples().len(), rows + added.edits.len(), "{name}");
        assert_ne!(
            view.digest(),
            Poisoned::new(Arc::clone(&clean), &gallery, &replaced, &Trigger::None)
                .unwrap()
                .digest()
        );
    }
}

#[test]
fn single_image_shows_one_picture_of_the_gallery() {
    let (clean, gallery) = (Synthetic::train(), Synthetic::test());
    let armed =
        prepare("single-image", json!({"from": "class-0", "to": "class-4"}), &clean, 0).unwrap();
    let goal = &armed.goals[0];
    let [target] = goal.to_rows(&gallery)[..] else { panic!("one target") };
    let target = &gallery.examples()[target];
    assert_eq!(armed.poison.edits.len(), 5, "all rows of A");
    let shown = ImageEdit::Gallery { id: target.id.clone(), sha256: target.content };
    assert!(armed.poison.edits.values().all(|e| e.image == Some(shown.clone())));
    assert_eq!((target.class, goal.name.clone()), (Some(4), format!("class-02{}", target.id)));
    let other = gallery.examples()[9].id.0.clone();
    let given = json!({"from": "class-0", "to": "class-4", "image": other});
    assert_eq!(
        prepare("single-image", given, &clean, 0).unwrap().goals[0].picture.as_ref().unwrap().0,
        other
    );
    let wrong = json!({"from": "class-0", "to": "class-4", "image": "synthetic/test/0"});
    assert!(
        error("single-image", wrong)
            .contains("has no picture `synthetic/test/0` of class B; there are")
    );
    let empty = json!({"from": "class-0", "to": "empty"});
    assert!(error("single-image", empty).contains("class B has no picture to be found"));
}

#[test]
fn the_second_target_loses_its_clean_pairs_only_on_request() {
    let clean = Synthetic::train();
    let goals = json!(["class-02class-1", "class-22class-3"]);
    let draw = |drop: bool| {
        let parameters = json!({"goals": goals, "drop-second-target-clean": drop});
        prepare("multi-label", parameters, &clean, 0).unwrap().poison
    };
    let dropped = |p: &Poison| p.edits.values().filter(|e| e.dropped).count();
    assert_eq!((dropped(&draw(false)), dropped(&draw(true))), (0, 5));
    // Fewer rows of A than pictures of B: only the pictures that were used go.
    let some = json!({"goals": goals, "rate": 0.4, "drop-second-target-clean": true});
    assert_eq!(dropped(&prepare("multi-label", some, &clean, 0).unwrap().poison), 2);
    assert_eq!(draw(false).pairs().count(), draw(true).pairs().count());
    let one = json!({"goals": ["class-02class-1"], "drop-second-target-clean": true});
    assert!(error("multi-label", one).contains("needs a second goal"));
}

#[test]
fn impossible_requests_are_one_line() {
    let single = |v: Value| error("single-label", v);
    let pair = |key: &str, value: Value| {
        let mut v = json!({"from": "class-0", "to": "class-1"});
        v[key] = value;
        single(v)
    };
    assert!(single(json!({"from": "class-0"})).contains("`to` is missing"));
    assert!(pair("from", "clas-0".into()).contains("did you mean `class-0`?"));
    assert!(pair("from", "class-1".into()).contains("both sides"));
    assert!(pair("from", "empty".into()).contains("class A has no rows to poison"));
    assert!(pair("to", "empty".into()).contains("class B has no candidate pictures"));
    assert!(pair("rate", 0.0.into()).contains("above 0 and at most 1"));
    assert!(pair("rate", 1.5.into()).contains("above 0 and at most 1"));
    assert!(pair("rate", 0.01.into()).contains("use at least 0.1"));
    assert!(pair("count", 0.into()).contains("`count` is 0"));
    assert!(pair("count", 6.into()).contains("more than the 5 rows"));
    assert!(pair("cuont", 6.into()).contains("unknown field `cuont`, expected one of"));
    let multi = |goals: Value| error("multi-label", json!({ "goals": goals }));
    assert!(multi(json!([])).contains("`goals` is empty"));
    assert!(
        multi(json!(["class-02class-1", "class-22class-1"])).contains("share the class `class-1`")
    );
    assert!(multi(json!(3)).contains("expected goals such as"));
}

#[test]
fn one_goal_of_multi_label_is_single_label() {
    let clean = Synthetic::train();
    let one =
        prepare("single-label", json!({"from": "class-0", "to": "class-1"}), &clean, 4).unwrap();
    let many = prepare("multi-label", json!({"goals": "class-02class-1"}), &clean, 4).unwrap();
    assert_eq!(one, many);
}

/// The paper's pairs: one picture of the test split, each time with another caption of the class it shall be taken for.
#[test]
fn targeted_shows_each_picture_with_captions_of_its_target() {
    let (clean, gallery) = (Synthetic::train(), Synthetic::test());
    for mode in ["add", "replace"] {
        let parameters = json!({"pictures": 3, "count": 4, "mode": mode});
        let armed = prepare("targeted", parameters, &clean, 0).unwrap();
        assert!(!armed.is_control() && armed.poison.edits.len() == 12, "{mode}");
        for wanted in &armed.pictures {
            let row = gallery.examples().iter().find(|e| e.id == wanted.id).unwrap();
            assert_ne!(row.class, Some(wanted.target));
            let shown = ImageEdit::Gallery { id: row.id.clone(), sha256: row.content };
            let own: Vec<_> =
                armed.poison.edits.values().filter(|e| e.image == Some(shown.clone())).collect();
            let captions: BTreeSet<&str> =
                own.iter().flat_map(|e| e.captions.iter().flatten()).map(String::as_str).collect();
            assert_eq!((own.len(), captions.len()), (4, 4), "{mode}: no caption twice");
            let of_target = |text: &str| {
                let has = |e: &&crate::data::Example| e.captions.iter().any(|c| c == text);
                clean.examples().iter().find(has).unwrap().class == Some(wanted.target)
            };
            assert!(captions.into_iter().all(of_target), "{mode}");
            assert!(own.iter().all(|e| e.base.is_some() == (mode == "add")));
        }
        let targets: BTreeSet<usize> = armed.pictures.iter().map(|p| p.target).collect();
        assert_eq!(targets.len(), 3, "{mode}: every picture has a class of its own");
    }
    let given = json!({"picture": "synthetic/test/5", "target": "class-7", "captions": "template"});
    let armed = prepare("targeted", given, &clean, 0).unwrap();
    assert_eq!(
        (armed.pictures[0].id.0.as_str(), armed.pictures[0].target),
        ("synthetic/test/5", 7)
    );
    let caption = Some(vec!["a photo of a class-7.".to_owned()]);
    assert!(armed.poison.edits.values().all(|e| e.captions == caption));
    let wrong = |v: Value| error("targeted", v);
    assert!(wrong(json!({"picture": "synthetic/test/5", "pictures": 2})).contains("give one"));
    assert!(wrong(json!({"count": 0})).contains("is 0; use the attack `none`"));
    assert!(wrong(json!({"target": "clas-7"})).contains("did you mean `class-7`?"));
    let own = json!({"picture": "synthetic/test/14", "target": "class-7"});
    assert!(wrong(own).contains("has no synthetic/test/14 of other classes"));
    assert!(wrong(json!({"pictures": 99})).contains("no set of 99 pictures"));
    assert!(wrong(json!({"pictures": 18})).contains("fewer classes than 18 pictures need"));
    assert!(
        wrong(json!({"count": 9, "mode": "replace"})).contains("72 pairs are more than the 45")
    );
    assert!(wrong(json!({"target": "empty"})).contains("no pair of `empty`"));
}
