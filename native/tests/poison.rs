//! `poison`: manifests that replay, and written pairs that are the poisoned ones to the pixel.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip::manifest::Manifest;
use toxiclip_shared::data::{Dataset, Poisoned, emoji};

const SHEEP: &str = "single-label:from=ewe,to=airplane,rate=0.5";

fn poison(out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.arg("poison").arg("--out").arg(out).arg("--cache").arg(out.with_extension("cache"));
    command.args(more).output().unwrap()
}

fn said(done: &Output) -> String {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout.clone()).unwrap()
}

/// The one line of a wrong request that wrote nothing.
fn refused(out: &Path, more: &[&str]) -> String {
    let done = poison(out, more);
    let text = String::from_utf8(done.stderr.clone()).unwrap();
    assert_eq!((done.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    assert!(!out.exists(), "{more:?} wrote something");
    text
}

/// What a folder of `poison` says that the emoji pairs become.
fn expected(out: &Path) -> Arc<dyn Dataset> {
    let (manifest, armed) = Manifest::read(&out.join("manifest.json")).unwrap();
    let splits = emoji::open("emoji").unwrap();
    let clean = splits.train.unwrap();
    assert_eq!(manifest.source.digest, clean.digest());
    Arc::new(Poisoned::new(clean, &splits.test, &armed.poison, &armed.trigger).unwrap())
}

/// The pairs that the last line of output says how to read.
fn written(said: &str) -> Arc<dyn Dataset> {
    let source: Source = said.split('\'').nth(1).unwrap().parse().unwrap();
    data::training(&source, None).unwrap()
}

#[test]
fn a_table_holds_the_poisoned_pairs() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("sheep");
    let said = said(&poison(&out, &["--data", "emoji", "--attack", SHEEP, "--write", "csv"]));
    assert!(said.contains("of 1945 pairs poisoned"), "{said}");
    let (expected, read) = (expected(&out), written(&said));
    same_pairs(&*expected, &*read);
    let class = |data: &dyn Dataset, row: usize| {
        data.examples()[row].class.map(|class| data.classes()[class].name.clone())
    };
    let rows = 0..expected.examples().len();
    assert!(rows.into_iter().all(|row| class(&*expected, row) == class(&*read, row)));
}

#[test]
fn shards_hold_them_too_and_say_the_same_twice() {
    let place = tempfile::tempdir().unwrap();
    let attack = "badnets:target=banana,count=40";
    let write = |name: &str| {
        let out = place.path().join(name);
        let done = poison(&out, &["--data", "emoji", "--attack", attack, "--write", "wds"]);
        (said(&done), out)
    };
    let ((one, out), (_, other)) = (write("one"), write("two"));
    let bytes = |out: &Path| fs::read(out.join("wds/00000.tar")).unwrap();
    assert!(bytes(&out) == bytes(&other), "the same poison gave other bytes");
    let (expected, read) = (expected(&out), written(&one));
    same_pairs(&*expected, &*read);
    assert_eq!(read.classes().len(), expected.classes().len());
    for (ours, theirs) in expected.examples().iter().zip(read.examples()) {
        assert_eq!(ours.class, theirs.class);
    }
}

/// The same captions in the same order, and the same pixels.
fn same_pairs(expected: &dyn Dataset, read: &dyn Dataset) {
    assert_eq!(expected.examples().len(), read.examples().len());
    for (row, (ours, theirs)) in expected.examples().iter().zip(read.examples()).enumerate() {
        assert_eq!(ours.captions, theirs.captions, "row {row}");
        assert!(expected.image(row).unwrap() == read.image(row).unwrap(), "row {row}: pixels");
    }
}

#[test]
fn a_manifest_is_replayed_on_a_copy_that_lost_rows() {
    let place = tempfile::tempdir().unwrap();
    let clean = place.path().join("clean");
    // An attack that changes one pair stands for none: what matters is a table of pairs with ids of its own.
    let single = ["--data", "emoji", "--attack", "badnets:target=banana,count=1", "--write", "csv"];
    said(&poison(&clean, &single));
    let table = clean.join("pairs.csv");
    let source = format!("csv:{}", table.display());
    let out = place.path().join("poisoned");
    let attack = ["--attack", "badnets:target=banana,count=50,captions=template"];
    said(&poison(&out, &[&["--data", &source], &attack[..]].concat()));
    let manifest = out.join("manifest.json");
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let edits = whole["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 50);
    // The copy lacks the first stamped row, and the second shows something else.
    let row = |i: usize| edits[i]["id"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(&table).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(&row(0))).collect();
    fs::write(&table, kept.join("\n") + "\n").unwrap();
    fs::copy(clean.join(row(2)), clean.join(row(1))).unwrap();
    let again = place.path().join("again");
    let replay = ["--data", &source, "--manifest", manifest.to_str().unwrap(), "--write", "csv"];
    let said = said(&poison(&again, &replay));
    assert!(said.contains("48 of 50 edits matched, 1 name rows"), "{said}");
    assert!(said.contains("1 rows whose content differs"), "{said}");
    assert_eq!(written(&said).examples().len(), 1944);
    let other = ["--data", "emoji", "--manifest", manifest.to_str().unwrap()];
    let error = refused(&place.path().join("none"), &other);
    assert!(error.contains("0 of 50 edits matched"), "{error}");
}

#[test]
fn wrong_requests_write_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let emoji = |more: &[&'static str]| [&["--data", "emoji"], more].concat();
    for (more, part) in [
        (emoji(&[]), "--attack"),
        (emoji(&["--attack", SHEEP, "--rate", "0.2"]), "give it once"),
        (emoji(&["--attack", SHEEP, "--rate", "0.2", "--count", "3"]), "cannot be used with"),
        (emoji(&["--attack", "wanet:target=banana", "--rate", "-1"]), "`rate` is -1"),
        (emoji(&["--attack", "none", "--rate", "0.1"]), "unknown field `rate`"),
        (emoji(&["--attack", "none"]), "changes no pair"),
        (emoji(&["--attack", "badclip:target=banana"]), "--surrogate"),
        (emoji(&["--manifest", "nowhere.json"]), "nowhere.json: "),
        (vec!["--data", "csv:nowhere.csv", "--attack", SHEEP], "nowhere.csv"),
    ] {
        let error = refused(&out, &more);
        assert!(error.contains(part), "{more:?}: {error}");
    }
    said(&poison(&out, &emoji(&["--attack", SHEEP])));
    let before = fs::read(out.join("manifest.json")).unwrap();
    let done = poison(&out, &emoji(&["--attack", SHEEP, "--seed", "4"]));
    assert!(String::from_utf8_lossy(&done.stderr).contains("another poison's"));
    assert_eq!(fs::read(out.join("manifest.json")).unwrap(), before);
    let text = String::from_utf8(before).unwrap();
    fs::write(out.join("manifest.json"), &text[..text.len() / 2]).unwrap();
    let cut = out.join("manifest.json");
    let error = refused(
        &place.path().join("b"),
        &emoji(&[])[..]
            .iter()
            .copied()
            .chain(["--manifest", cut.to_str().unwrap()])
            .collect::<Vec<_>>(),
    );
    assert!(error.contains("manifest.json: "), "{error}");
}

#[test]
fn what_detect_clip_has_poisoned_is_replayed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("train_poison_info.json");
    let info = r#"{"poison_indices": [1], "poison_label": "banana", "poison_rate": 0.001, "patch_location": "random",
        "patch_size": 16, "poison_text": {"1": "a photo of a banana."}, "trigger_position": {"1": {"w": 30, "h": 40}}}"#;
    fs::write(&file, info).unwrap();
    let (out, file) = (place.path().join("out"), file.to_str().unwrap());
    let theirs = ["--data", "emoji", "--manifest", file, "--write", "csv"];
    let said = said(&poison(&out, &theirs));
    assert!(said.contains("1 of 1945 pairs poisoned") && said.contains("1 of 1 edits matched"));
    same_pairs(&*expected(&out), &*written(&said));
    let other = place.path().join("other");
    fs::write(file, &info[..90]).unwrap();
    assert!(refused(&other, &theirs).contains("a whole train_poison_info.json"));
    let ours = out.join("manifest.json");
    let ours = ["--data", "emoji", "--manifest", ours.to_str().unwrap(), "--trigger", "nashville"];
    assert!(refused(&other, &ours).contains("leave --trigger out"));
    refused(&other, &["--data", "emoji", "--attack", SHEEP, "--trigger", "nashville"]);
}
