//! COCO's own annotations, against pycocotools.

use std::collections::BTreeMap;
use std::fs;

use toxiclip_shared::data::Dataset;

use super::{copy, fixture, json, open, refused};

/// Picture, captions, class.
type Row = (String, Vec<String>, Option<String>);

fn rows(data: &dyn Dataset) -> Vec<Row> {
    let name = |class: usize| data.classes()[class].name.clone();
    let row = |e: &toxiclip_shared::data::Example| {
        (e.id.0.clone(), e.captions.clone(), e.class.map(name))
    };
    data.examples().iter().map(row).collect()
}

#[test]
fn captions_and_classes_are_those_of_pycocotools() {
    let expected: BTreeMap<String, Vec<Row>> = json("coco/expected.json");
    let splits = open("coco-2017", &fixture("coco"));
    let train = splits.train.unwrap();
    assert_eq!(rows(&*train), expected["train"]);
    assert_eq!(rows(&*splits.test), expected["val"]);
    let names: Vec<&str> = train.classes().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["person", "car", "dog", "toothbrush"]);
    assert_eq!(train.image(4).unwrap().width(), 4);
    refused("coco-2014", &fixture("coco"), &["captions_train2014.json", "train2014.zip"]);
}

#[test]
fn annotations_that_contradict_themselves_are_refused() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("coco"), root.path());
    let list = |name: &str| root.path().join("coco/annotations").join(name);
    let captions = list("captions_val2017.json");
    let whole = fs::read_to_string(&captions).unwrap();
    for (from, to, said) in [
        ("000000000900.jpg", "../../etc/900.jpg", "outside of val2017"),
        ("\"id\": 900", "\"id\": 863", "863"),
        ("\"id\": 35", "\"id\": 28", "comes twice"),
        ("Picture 0, said 0 times.", "", "empty"),
        ("\"image_id\": 900", "\"image_id\": 1", "no caption for 000000000900.jpg"),
        ("\"annotations\"", "\"other\"", "is no list of COCO's"),
    ] {
        assert!(whole.contains(from), "{from}");
        fs::write(&captions, whole.replace(from, to)).unwrap();
        refused("coco-2017", root.path(), &["captions_val2017.json", said]);
    }
    fs::write(&captions, &whole).unwrap();
    // Without instances no picture has a class; with half of them the splits would not fit each other.
    fs::remove_file(list("instances_val2017.json")).unwrap();
    refused("coco-2017", root.path(), &["other categories"]);
    fs::remove_file(list("instances_train2017.json")).unwrap();
    let splits = open("coco-2017", root.path());
    assert!(splits.test.classes().is_empty() && rows(&*splits.train.unwrap())[0].2.is_none());
}
