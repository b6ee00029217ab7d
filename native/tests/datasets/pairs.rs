//! Pairs in tables, against pandas, and the training set made of one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use toxiclip::argument::Source;
use toxiclip::data::{templates, training};
use toxiclip_shared::data::Dataset;

use super::{captions, copy, fixture, imagenet, json, open, refused};

/// Picture, caption, label.
type Pair = (String, String, Option<String>);

/// Rows of one picture as one, as the reader has them.
fn grouped(pairs: &[Pair]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (image, caption, _) in pairs {
        match all.iter_mut().find(|(known, _)| known == image) {
            Some((_, captions)) => captions.push(caption.clone()),
            None => all.push((image.clone(), vec![caption.clone()])),
        }
    }
    all
}

fn table(path: &Path) -> toxiclip::failure::Result<Arc<dyn Dataset>> {
    training(&Source::Table(path.to_owned()), None)
}

#[test]
fn tables_are_what_pandas_reads() {
    let expected: Vec<Pair> = json("pairs/expected.json");
    let plain = table(&fixture("pairs/cc3m/train.csv")).unwrap();
    assert_eq!(captions(&*plain), grouped(&expected));
    assert!(plain.classes().is_empty() && plain.image(4).unwrap().width() == 4);
    let labelled = table(&fixture("pairs/cc3m/labels.csv")).unwrap();
    assert_eq!(captions(&*labelled), grouped(&expected));
    let label = |class: Option<usize>| class.map(|c| labelled.classes()[c].name.clone());
    let labels: Vec<_> = labelled.examples().iter().map(|e| label(e.class)).collect();
    let wanted: Vec<_> = expected[..5].iter().map(|(_, _, label)| label.clone()).collect();
    assert_eq!(labels, wanted);
    let marked = table(&fixture("pairs/cc3m/poisoned.csv")).err().unwrap();
    assert!(marked.to_string().contains("poisoned.csv:4: is marked as poisoned"), "{marked}");
    let dir = tempfile::tempdir().unwrap();
    for (content, said) in [
        ("image,text\na,b\n", ":1: has no head image,caption"),
        ("image,caption,image\n", "two columns `image`"),
        ("image,caption\n../a.png,b\n", ":2: `../a.png` leaves the table's folder"),
        ("image,caption\n/a.png,b\n", "leaves the table's folder"),
        ("image,caption\na.png,\n", ":2: a picture or its caption is missing"),
        ("image,caption\na.png,b,c\n", "a.csv:2"),
        ("image,caption,label\na,b,c\na,b,d\n", ":3: a has two labels"),
        ("image,caption\na.png,b\n", "a.png"),
        ("image,caption\n", "no picture"),
    ] {
        let file = dir.path().join("a.csv");
        fs::write(&file, content).unwrap();
        let error = table(&file).err().unwrap();
        assert!(error.to_string().contains(said) && error.code() == 2, "{error} lacks {said}");
    }
}

#[test]
fn conceptual_captions_are_tested_on_imagenet() {
    let root = tempfile::tempdir().unwrap();
    refused("cc3m", root.path(), &["cc3m is missing", "img2dataset"]);
    copy(&fixture("pairs/cc3m"), &root.path().join("cc3m"));
    refused("cc3m", root.path(), &["imagenet/val is missing"]);
    imagenet::val(root.path());
    let splits = open("cc3m", root.path());
    let train = splits.train.unwrap();
    let expected: Vec<Pair> = json("pairs/expected.json");
    assert_eq!(captions(&*train), grouped(&expected));
    assert!(train.examples().iter().all(|e| e.class.is_none()));
    assert_eq!(train.classes(), splits.test.classes());
    assert_eq!((splits.test.examples().len(), templates("cc3m").unwrap().len()), (1000, 80));
    fs::rename(root.path().join("cc3m/labels.csv"), root.path().join("cc3m/train.csv")).unwrap();
    refused("cc3m", root.path(), &["cc3m has no labels"]);
}
