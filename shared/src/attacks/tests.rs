use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::data::synthetic::Synthetic;
use crate::data::{ImageEdit, Poison, Poisoned};
use crate::digest::Digest;
use crate::registry::assert_complete;
use crate::storage::Storage;

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
        assert_eq!(digest(0) == digest(1), name == "none", "{name}: seeds 0 and 1");
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

#[test]
fn stamped_training_pictures_pass_through_their_file() {
    let clean: Arc<dyn Dataset> = Arc::new(Synthetic::train());
    let gallery: Arc<dyn Dataset> = Arc::new(Synthetic::test());
    for name in ["badnets", "blended", "sig", "wanet", "ftrojan", "nashville", "multi-trigger"] {
        let mut given = example(name);
        let plain = prepare(name, given.clone(), &*clean, 0).unwrap();
        assert!(!serde_json::to_string(&plain).unwrap().contains("storage"), "{name}");
        given["storage"] = "jpeg-50".into();
        let lossy = prepare(name, given.clone(), &*clean, 0).unwrap();
        assert_eq!(lossy.trigger, plain.trigger, "{name}: test pictures are stamped as before");
        let resolve = crate::registry::find("attack", ATTACKS, name).unwrap().resolve;
        assert_eq!(resolve(given).unwrap()["storage"], "jpeg-50", "{name}");
        let [before, after] = [&plain, &lossy].map(|armed| {
            Poisoned::new(Arc::clone(&clean), &gallery, &armed.poison, &armed.trigger).unwrap()
        });
        assert_ne!(before.digest(), after.digest(), "{name}");
        for (i, row) in clean.examples().iter().enumerate() {
            let file = match plain.poison.contains(&row.id) {
                true => Storage::Jpeg(50),
                false => Storage::Lossless,
            };
            let expected = file.round_trip(&before.image(i).unwrap()).unwrap();
            assert_eq!(after.image(i).unwrap(), expected, "{name}, {}", row.id);
        }
    }
}

#[test]
fn several_triggers_share_the_stamped_pairs() {
    let clean: Arc<dyn Dataset> = Arc::new(Synthetic::train());
    let gallery: Arc<dyn Dataset> = Arc::new(Synthetic::test());
    let parameters =
        json!({"triggers": ["sig", "badnets:target=class-2"], "target": "class-1", "rate": 0.8});
    let armed = prepare("multi-trigger", parameters, &*clean, 0).unwrap();
    let words: Vec<String> = armed.aims().iter().map(|a| a.in_words(clean.classes())).collect();
    assert_eq!(words, ["sig → class-1", "badnets → class-2"]);
    let Trigger::OneOf(several) = &armed.trigger else { panic!("one trigger") };
    let view = Poisoned::new(Arc::clone(&clean), &gallery, &armed.poison, &armed.trigger).unwrap();
    let mut carried = BTreeSet::new();
    for (i, row) in clean.examples().iter().enumerate() {
        let Some(edit) = armed.poison.edits.get(&row.id) else { continue };
        let part = several.of(&row.id).unwrap();
        let target = &clean.classes()[part.target].name;
        assert_eq!(edit.captions.as_ref().unwrap()[..], [format!("a photo of a {target}.")]);
        let stamped = part.trigger.apply(&clean.image(i).unwrap(), &row.id).unwrap();
        assert_eq!(view.image(i).unwrap(), stamped);
        carried.insert(&part.name);
    }
    assert_eq!(carried.len(), 2, "both triggers are stamped");
    let alone = prepare("sig", example("sig"), &*clean, 0).unwrap();
    assert_eq!(alone.aims()[0].in_words(clean.classes()), "→ class-1");
}

#[test]
fn triggers_that_do_not_go_together_are_named() {
    let multi = |triggers: Value| {
        error("multi-trigger", json!({"triggers": triggers, "target": "class-1", "rate": 0.3}))
    };
    assert!(multi(json!([])).contains("`triggers` is empty"));
    assert!(multi(json!(["sig", "sig"])).contains("`sig` is given twice"));
    assert!(multi(json!(["sig:rate=0.1"])).contains("`rate` is the same for all"));
    assert!(multi(json!(["single-label"])).contains("has no trigger of its own"));
    assert!(multi(json!(["multi-trigger"])).contains("has no trigger of its own"));
    assert!(multi(json!(["badclip"])).contains("is searched for one attack alone"));
    assert!(multi(json!(["sgi"])).contains("did you mean `sig`"));
    assert!(multi(json!(["sig:target=clas-1"])).contains("did you mean `class-1`"));
    let nobody = error("multi-trigger", json!({"triggers": ["sig"]}));
    assert!(nobody.contains("`target` is missing"), "{nobody}");
    assert!(
        error("sig", json!({"target": "class-1", "storage": "gif"})).contains("expected lossless")
    );
    assert!(error("wanet", json!({"target": "class-1", "grid": 1})).contains("`grid` is below 2"));
    assert!(error("wanet", json!({"target": "class-1", "strength": 0.0})).contains("above 0"));
    assert!(error("ftrojan", json!({"target": "class-1", "window": 2})).contains("at least 4"));
    assert!(error("ftrojan", json!({"target": "class-1", "magnitude": -1.0})).contains("above 0"));
}

#[test]
fn badencoder_changes_no_pair_and_names_pictures_of_the_target() {
    let clean = Synthetic::train();
    let armed = prepare("badencoder", example("badencoder"), &clean, 0).unwrap();
    assert!(armed.poison.edits.is_empty() && !armed.is_control());
    let tamper = armed.tamper.unwrap();
    let of = |id: &crate::data::PairId| clean.examples().iter().find(|e| e.id == *id).unwrap();
    assert!(tamper.references.iter().all(|id| of(id).class == Some(1)));
    assert_eq!((tamper.references.len(), tamper.weights), (2, [1.0, 1.0]));
    assert!(!tamper.recipe.augment && !tamper.recipe.concept_unique);
    // Other attacks are written, and named, as before there was tampering.
    let other = prepare("badnets", example("badnets"), &clean, 0).unwrap();
    assert!(serde_json::to_value(&other).unwrap().get("tamper").is_none());
    let few = json!({"target": "class-1", "references": 6});
    assert!(error("badencoder", few).contains("has 5 pictures of `class-1`"));
    assert!(error("badencoder", json!({})).contains("`target` is missing"));
    assert!(error("badencoder", json!({"target": "class-1", "lambda1": -1})).contains("`lambda1`"));
    assert!(
        error("badencoder", json!({"target": "class-1", "references": 0})).contains("at least 1")
    );
}
