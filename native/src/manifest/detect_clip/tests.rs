use super::*;
use crate::data;

const PATH: &str = "train_poison_info.json";

/// What Detect-CLIP writes for BadNets, key by key.
fn badnets() -> Value {
    json!({
        "poison_indices": [7, 3],
        "poison_label": "banana",
        "poison_rate": 0.001,
        "patch_location": "random",
        "patch_size": 16,
        "poison_text": {"3": "a photo of a banana.", "7": "the toy banana."},
        "trigger_position": {"3": {"w": 16, "h": 207}, "7": {"w": 100, "h": 30}},
    })
}

fn replayed(text: &str, trigger: Option<&str>) -> Result<(Manifest, Armed)> {
    let clean = data::training(&"emoji".parse().unwrap(), None).unwrap();
    let given = trigger.map(|spec| spec.parse::<Spec>().unwrap());
    read(Path::new(PATH), text, [&*clean, &*clean], given.as_ref())
}

fn error(text: &str, trigger: Option<&str>) -> String {
    let error = replayed(text, trigger).unwrap_err().to_string();
    assert!(error.contains(PATH) && !error.contains('\n'), "{error}");
    error
}

fn with(key: &str, value: Value) -> Value {
    let mut info = badnets();
    info[key] = value;
    info
}

fn without(keys: &[&str]) -> String {
    let mut info = badnets();
    keys.iter().for_each(|key| {
        info.as_object_mut().unwrap().remove(*key);
    });
    info.to_string()
}

/// A message that quotes what the file says stays one line.
#[test]
fn a_key_with_a_line_break_is_quoted() {
    let info = with("poison_text", json!({"3\n": "a photo of a banana."})).to_string();
    assert!(error(&info, None).contains("`3\\n` is no position of a row"));
}

#[test]
fn rows_captions_and_places_are_those_of_the_file() {
    let clean = data::training(&"emoji".parse().unwrap(), None).unwrap();
    let (manifest, armed) = replayed(&badnets().to_string(), None).unwrap();
    let id = |row: usize| clean.examples()[row].id.clone();
    let captions: BTreeMap<_, _> = armed
        .poison
        .edits
        .iter()
        .map(|(id, e)| (id.clone(), e.captions.clone().unwrap()))
        .collect();
    let told = [(3, "a photo of a banana."), (7, "the toy banana.")];
    assert_eq!(captions, told.map(|(row, text)| (id(row), vec![text.to_owned()])).into());
    assert!(armed.poison.edits.values().all(|edit| edit.stamped));
    assert_eq!(clean.classes()[armed.target.unwrap()].name, "banana");
    let Trigger::Placed(placed) = &armed.trigger else { panic!("{:?}", armed.trigger) };
    assert_eq!(placed.at, [(id(3), [16, 207]), (id(7), [100, 30])].into());
    assert_eq!((placed.patch.size, placed.patch.place), (16, Place::Center));
    // It replays like one of ours from here on.
    let again = manifest.replay(&*clean, &*clean);
    assert_eq!((again.poison, again.missing, again.changed), (armed.poison, 0, 0));
}

#[test]
fn clean_labels_keep_their_captions_if_one_says_so() {
    let (_, armed) = replayed(&badnets().to_string(), Some("label-consistent")).unwrap();
    assert!(armed.poison.edits.values().all(|edit| edit.captions.is_none() && edit.stamped));
    assert!(matches!(armed.trigger, Trigger::Placed(_)));
}

#[test]
fn a_trigger_that_is_in_no_file_is_given() {
    let mut blend: Value =
        serde_json::from_str(&without(&["patch_location", "patch_size", "trigger_position"]))
            .unwrap();
    let plain = blend.to_string();
    assert!(error(&plain, None).contains("--trigger"));
    let trigger = |text: &str, given| replayed(text, Some(given)).unwrap().1.trigger;
    assert!(matches!(trigger(&plain, "nashville"), Trigger::Nashville(_)));
    blend["alpha"] = 0.3.into();
    let Trigger::Blend(blended) = trigger(&blend.to_string(), "blended") else { panic!() };
    assert_eq!(blended.alpha, 0.3, "the file's");
    assert!(error(&plain, Some("blendde")).contains("did you mean `blended`"));
    assert!(error(&plain, Some("badclip")).contains("no trigger that is known beforehand"));
    assert!(error(&badnets().to_string(), Some("nashville")).contains("holds its own trigger"));
}

#[test]
fn files_that_are_damaged_or_contradict_themselves_are_one_line() {
    let whole = badnets().to_string();
    assert!(speaks(&whole) && !speaks(r#"{"edits": []}"#));
    for end in [30, 60, whole.len() / 2, whole.len() - 1] {
        assert!(error(&whole[..end], None).contains("a whole train_poison_info.json"));
    }
    let wrong = |key: &str, value: Value| error(&with(key, value).to_string(), None);
    assert!(wrong("poison_indices", json!([3, 7, 100_000])).contains("row 100000 is poisoned"));
    assert!(wrong("poison_indices", json!([3, 7, 3])).contains("row 3 comes twice"));
    assert!(wrong("poison_indices", json!([3, -7])).contains("invalid value"));
    assert!(wrong("poison_indices", json!(["3"])).contains("invalid type"));
    assert!(wrong("poison_indices", json!([])).contains("is empty"));
    assert!(wrong("poison_indices", json!([3])).contains("row 7 has an entry in `poison_text`"));
    assert!(
        wrong("poison_indices", json!([3, 7, 8])).contains("row 8 is poisoned and has no entry")
    );
    assert!(wrong("poison_label", json!(954)).contains("invalid type"));
    assert!(wrong("poison_label", json!("bananas")).contains("no class `bananas`"));
    assert!(wrong("poison_rate", json!(1.5)).contains("`poison_rate` is 1.5"));
    assert!(wrong("patch_size", json!(0)).contains("`patch_size` is 0"));
    assert!(wrong("poison_text", json!({"x": "a"})).contains("`x` is no position"));
    assert!(wrong("poison_text", json!({"3": 4, "7": "a"})).contains("invalid type"));
    assert!(
        wrong("trigger_position", json!({"3": {"w": 1, "h": 1}})).contains("row 7 is poisoned")
    );
    let far = json!({"3": {"w": 99_999, "h": 1}, "7": {"w": 1, "h": 1}});
    assert!(wrong("trigger_position", far).contains("outside any picture"));
    assert!(wrong("trigger_maps", json!({})).contains("`trigger_maps`"));
    assert!(error(&without(&["poison_text"]), None).contains("no `poison_text`"));
    assert!(error(&whole.replace("0.001", "NaN"), None).contains("expected value"));
    let twice = whole.replace(r#""7":"the"#, r#""3":"the"#);
    assert_ne!(twice, whole);
    assert!(error(&twice, None).contains("row 3 comes twice"));
}
