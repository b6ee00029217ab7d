//! CIFAR in both of its forms, against torchvision.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use toxiclip::data::templates;
use toxiclip_shared::data::Dataset;

use super::{copy, fixture, json, open, refused, rgb};

#[derive(Deserialize)]
struct Cifar {
    classes: Vec<String>,
    train: Vec<Pixels>,
    test: Vec<Pixels>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Pixels {
    sha256: String,
    class: usize,
}

fn pixels(data: &dyn Dataset) -> Vec<Pixels> {
    let classes = data.examples().iter().map(|e| e.class.unwrap());
    classes.enumerate().map(|(row, class)| Pixels { sha256: rgb(data, row), class }).collect()
}

#[test]
fn cifar_is_what_torchvision_reads_in_both_forms() {
    let expected: BTreeMap<String, Cifar> = json("cifar/expected.json");
    for (name, expected) in expected {
        let forms = ["python", "binary"].map(|form| open(&name, &fixture("cifar").join(form)));
        for splits in &forms {
            let train = splits.train.as_ref().unwrap();
            assert_eq!(pixels(&**train), expected.train, "{name}");
            assert_eq!(pixels(&*splits.test), expected.test, "{name}");
            let classes = train.classes().iter().map(|class| class.name.clone());
            assert!(classes.eq(expected.classes.iter().map(|name| name.replace('_', " "))));
            assert_eq!(splits.test.digest(), forms[0].test.digest(), "forms differ");
            assert_eq!(train.examples()[3].id.0, "train/00003");
        }
        let mut other = pixels(&*forms[0].test);
        other[1].class += 1;
        assert_ne!(other, expected.test, "the comparison can fail");
        assert_eq!(templates(&name).unwrap().len(), 18);
    }
}

#[test]
fn damaged_cifar_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("cifar/python"), root.path());
    let batch = root.path().join("cifar-10-batches-py/data_batch_3");
    let good = fs::read(&batch).unwrap();
    fs::write(&batch, &good[..good.len() / 2]).unwrap();
    refused("cifar-10", root.path(), &["data_batch_3: the file ends", "nothing was run"]);
    fs::write(&batch, b"\x80\x02cposix\nsystem\nU\x02id\x85R.").unwrap();
    refused("cifar-10", root.path(), &["GLOBAL (0x63) names `posix system` at byte 2"]);
    fs::remove_file(&batch).unwrap();
    refused("cifar-10", root.path(), &["data_batch_3 cannot be read", "cs.toronto.edu"]);
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("cifar/binary"), root.path());
    let test = root.path().join("cifar-100-binary/test.bin");
    let mut bytes = fs::read(&test).unwrap();
    bytes[1] = 100;
    fs::write(&test, &bytes).unwrap();
    refused("cifar-100", root.path(), &["test.bin: row 0 has the label 100 of 100"]);
    fs::write(&test, &bytes[1..]).unwrap();
    refused("cifar-100", root.path(), &["test.bin: its 9221 bytes are no rows of 3074"]);
}
