//! Stamped pairs: the file they pass through, several triggers at once, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{ATTACKS, error, example, prepare};
use crate::data::synthetic::Synthetic;
use crate::data::{Dataset, Poisoned};
use crate::storage::Storage;
use crate::triggers::Trigger;

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
    assert!(multi(json!(["issba"])).contains("is searched for one attack alone"));
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
fn a_network_that_cannot_be_trained_is_one_line() {
    let wrong = |key: &str, value: Value| {
        let mut given = json!({"target": "class-1", "rate": 0.1});
        given[key] = value;
        error("issba", given)
    };
    assert!(wrong("secret", json!("")).contains("`secret` has 0 bytes"));
    assert!(wrong("secret", json!("a text that is too long")).contains("has 23 bytes"));
    assert!(wrong("strength", json!(0.0)).contains("`strength` is 0"));
    assert!(wrong("own", json!(-1.0)).contains("`own` is -1"));
    assert!(wrong("steps", json!(0)).contains("`steps` is at least 1"));
    assert!(wrong("batch", json!(6)).contains("a multiple of 4"));
    assert!(wrong("lr", json!(0.0)).contains("`lr` is 0"));
    assert!(wrong("rate", json!(2.0)).contains("`rate` is 2"));
    assert!(wrong("network", json!("stegastamp")).contains("unknown field `network`"));
}
