//! `submit pack` and `submit verify`: an honest bundle passes, and each way to forge one fails with its reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod forgeries;

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use bundle::{
    Members, honest, members, packed, place, sealed, toxiclip, verify, verify_with, with_evidence,
};
use forgeries::forgeries;
use toxiclip_shared::metrics::Task;

/// What the bundle is of.
pub(crate) const SPEC: &str = r#"
title = "mini"
analysis = "for bundles"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", "badnets:target=banana", "single-label:from=ewe,to=airplane"]
defense = ["none", { name = "finetune", epochs = 1 }]
seed = [0, 1]
[train]
steps = 2
batch = 64
"#;

#[test]
fn an_honest_bundle_passes() {
    let done = verify(honest());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for part in
        ["follow from their evidence", "mini as it is here", "exactly the samples", "is drawn here"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn every_forgery_fails_with_its_reason() {
    let mut wrong = Vec::new();
    for (what, bytes, part) in forgeries() {
        let done = verify(&bytes);
        let text = String::from_utf8(done.stderr).unwrap();
        let one_line = (done.status.code(), text.lines().count()) == (Some(1), 1);
        if !one_line || !text.contains(part) {
            wrong.push(format!("{what}: expected `{part}`: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn checkpoints_say_again_what_the_bundle_says_they_said() {
    let done = verify_with(honest(), &["--replay", "60", "--checkpoints", "cache"]);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("ok       60 of "), "{said}");
    assert!(said.contains("cosines differ by 0.0e0 at most"), "the same machine: {said}");
    assert!(said.contains("probability 0.547"), "0.99^60: {said}");
}

/// What follows from itself in all parts, and was said by no model: only asking the model again can tell.
#[test]
fn ranks_that_no_checkpoint_gave_fail_when_it_is_asked() {
    let forged = with_evidence(|judgements| {
        for j in judgements.iter_mut().filter(|j| j.task == Task::Triggered) {
            j.rank = (j.rank + 1) % j.gallery;
        }
    });
    let believed = verify(&forged);
    assert!(believed.status.success(), "{}", String::from_utf8_lossy(&believed.stderr));
    let replay = ["--checkpoints", "cache", "--replay", "100000"];
    let done = verify_with(&forged, &replay);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("its checkpoint's"), "{said}");
}

#[test]
fn a_bundle_with_its_checkpoints_needs_nothing_else() {
    let pack =
        ["submit", "pack", "run", "--allow-dirty", "--with-weights", "--out", "whole.tar.zst"];
    let done = toxiclip(place(), &[&pack[..], &["--checkpoints", "cache"]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let whole = fs::read(place().join("whole.tar.zst")).unwrap();
    let replay = ["--replay", "20", "--cache", "none"];
    let done = verify_with(&whole, &replay);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("ok       20 of "), "{said}");
    // The checkpoints change places: each says that it is what it is not.
    let mut all = members(&whole);
    let file = |all: &Members, at: usize| {
        let mut names = all.keys().filter(|name| name.ends_with("open_clip_model.safetensors"));
        names.nth(at).unwrap().clone()
    };
    let (one, two) = (file(&all, 0), file(&all, 1));
    let first = all[&one].clone();
    let second = all.insert(two, first).unwrap();
    all.insert(one, second);
    let done =
        verify_with(&packed(&sealed(all), false), &["--replay", "100000", "--cache", "none"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("weights"), "{said}");
    // What is not there is not packed.
    let none = toxiclip(place(), &[&pack[..], &["--checkpoints", "run"]].concat());
    let said = String::from_utf8(none.stderr).unwrap();
    assert_eq!((none.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("no checkpoint with weights"), "{said}");
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let place = place();
    fs::create_dir_all(place.join("nothing")).unwrap();
    let refused = |arguments: &[&str], code: i32| {
        let done = verify_with(honest(), arguments);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        said
    };
    let absent = refused(&["--replay", "5", "--checkpoints", "nothing"], 1);
    assert!(absent.contains("cannot be replayed") && absent.contains("nothing"), "{absent}");
    assert!(refused(&["--replay", "5", "--checkpoints", "nowhere"], 2).contains("nowhere"));
    assert!(refused(&["--replay", "0"], 2).contains("--replay"));
    assert!(refused(&["--checkpoints", "cache"], 2).contains("--replay"));
    let alone = refused(&["--replay", "5", "--cache", "none"], 1);
    assert!(alone.contains("not in it; give their folder with --checkpoints"), "{alone}");
    // One model of several is at hand.
    let (from, to) = (place.join("cache/train"), place.join("some/train"));
    let one = fs::read_dir(from).unwrap().flatten().find(|e| e.path().is_dir()).unwrap().path();
    fs::create_dir_all(to.join("one")).unwrap();
    for file in fs::read_dir(one).unwrap().flatten() {
        fs::copy(file.path(), to.join("one").join(file.file_name())).unwrap();
    }
    let done = verify_with(honest(), &["--replay", "60", "--checkpoints", "some"]);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("drawn judgements were not asked again"), "{said}");
    // Weights that are not those that the folder speaks of.
    fs::remove_file(to.join("one/open_clip_model.safetensors")).unwrap();
    let gone = refused(&["--replay", "60", "--checkpoints", "some"], 1);
    assert!(gone.contains("open_clip_model.safetensors"), "{gone}");
}

#[test]
fn a_bundle_of_zeros_is_bounded() {
    // Claims more than a bundle may hold, and is small on the wire.
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 30);
    header.set_mode(0o644);
    header.set_path("bundle.json").unwrap();
    header.set_cksum();
    tar.append(&header, std::io::repeat(0).take(64 << 20)).unwrap();
    let done = verify(&tar.into_inner().unwrap().finish().unwrap());
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("holds more than"));
}

#[test]
fn what_is_not_fit_is_not_packed() {
    let place = place();
    let refused = |arguments: &[&str]| {
        let done = toxiclip(place, &[&["submit", "pack"], arguments].concat());
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        text
    };
    assert!(refused(&["nowhere"]).contains("nowhere"));
    let copy = |name: &str| -> PathBuf {
        let to = place.join(name);
        fs::create_dir_all(to.join("evidence")).unwrap();
        fs::copy(place.join("run/rows.jsonl"), to.join("rows.jsonl")).unwrap();
        to
    };
    copy("bare");
    assert!(refused(&["bare", "--allow-dirty"]).contains("evidence"));
    let empty = copy("empty");
    fs::write(empty.join("rows.jsonl"), "").unwrap();
    assert!(refused(&["empty", "--allow-dirty"]).contains("no rows"));
    let other = copy("other");
    let text = fs::read_to_string(other.join("rows.jsonl")).unwrap();
    let (clean, dirty) = ("\"dirty\":false", "\"dirty\":true");
    for (mark, rows) in [
        ("changed sources", text.replace(clean, dirty)),
        ("several programs", text.replace(clean, dirty).replacen(dirty, clean, 1)),
    ] {
        fs::write(other.join("rows.jsonl"), rows).unwrap();
        assert!(refused(&["other"]).contains(mark));
    }
    assert!(!place.join("other.tar.zst").exists());
}
