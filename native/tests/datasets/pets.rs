//! Oxford-IIIT Pet, against torchvision.

use std::fs;

use serde::Deserialize;
use toxiclip::data::templates;

use super::{copy, fixture, json, open, picture, refused, rgb, rows};

#[derive(Deserialize)]
struct Pets {
    gif: String,
    classes: Vec<String>,
    test: Vec<(String, usize)>,
    trainval: Vec<(String, usize)>,
}

#[test]
fn pets_are_what_torchvision_reads() {
    let expected: Pets = json("pets/expected.json");
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("oxford-iiit-pet");
    copy(&fixture("pets/oxford-iiit-pet"), &place);
    for (name, _) in expected.test.iter().chain(&expected.trainval) {
        if name != "Abyssinian_34.jpg" {
            picture(&place.join("images").join(name));
        }
    }
    let splits = open("oxford-pets", root.path());
    let train = splits.train.unwrap();
    for (data, expected) in [(&splits.test, &expected.test), (&train, &expected.trainval)] {
        let expected: Vec<_> = expected.iter().map(|(name, c)| (name.clone(), Some(*c))).collect();
        assert_eq!(rows(&**data), expected);
    }
    assert!(train.classes().iter().map(|class| &class.name).eq(&expected.classes));
    assert_eq!(
        (train.examples()[0].id.0.as_str(), rgb(&*train, 0)),
        ("Abyssinian_34.jpg", expected.gif)
    );
    assert_eq!(templates("oxford-pets").unwrap(), ["a photo of a {}, a type of pet."]);
    let list = place.join("annotations/test.txt");
    for (line, said) in [
        ("Abyssinian_201 2 1 1", "has the label 2, which is `American Bulldog`"),
        ("Abyssinian_201 38 1 1", "`38` is no class from 1 to 37"),
        ("Abyssinian_201 0 1 1", "`0` is no class"),
        ("Abyssinian_201", "expected PICTURE CLASS"),
        ("Abyssinian_999 1 1 1", "Abyssinian_999.jpg"),
    ] {
        fs::write(&list, format!("{line}\n")).unwrap();
        refused("oxford-pets", root.path(), &[said]);
    }
    fs::remove_file(&list).unwrap();
    refused("oxford-pets", root.path(), &["test.txt cannot be read", "annotations.tar.gz"]);
}
