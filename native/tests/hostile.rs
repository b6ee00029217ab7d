//! Files that somebody damaged or made up: every reader gives one line, in bounded time, and never panics.
//!
//! Each starts from a good file and draws thousands of damaged ones from a seed: bits turned, parts cut, doubled, moved or
//! overwritten with extreme numbers. `TOXICLIP_HOSTILE_SECONDS=60` looks for that long at each reader instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip::manifest::Manifest;
use toxiclip::pytorch;
use toxiclip::timer::Timer;
use toxiclip_shared::checkpoint::container;
use toxiclip_shared::seed::{Seed, Stream};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// One to four damages.
fn damaged(good: &[u8], dice: &mut Stream) -> Vec<u8> {
    const EXTREMES: [&[u8]; 8] =
        [&[0xff; 8], &[0; 8], b"99999999999", b"-1", b"{\"", b"../../", b"\xf0\x9f", &[0x80; 4]];
    let mut out = good.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(out.len().max(1));
        let end = (at + dice.below(64)).min(out.len());
        match dice.below(6) {
            0 if !out.is_empty() => out[at] ^= 1 << dice.below(8),
            1 => out.truncate(at),
            2 => drop(out.drain(at..end)),
            3 => {
                let part = out[at..end].to_vec();
                let to = dice.below(out.len() + 1);
                out.splice(to..to, part);
            }
            4 => {
                let extreme = EXTREMES[dice.below(EXTREMES.len())];
                let end = (at + extreme.len()).min(out.len());
                out.splice(at..end, extreme.iter().copied());
            }
            _ if !out.is_empty() => out[at] = dice.below(256) as u8,
            _ => {}
        }
    }
    out
}

/// Reads `count` damaged files, of which some must be refused and every refusal be one line.
fn survives<T>(name: &str, good: &[u8], count: u64, read: impl Fn(&[u8]) -> Result<T, String>) {
    assert!(read(good).is_ok(), "{name}: the good one is refused");
    let seconds: Option<f64> =
        std::env::var("TOXICLIP_HOSTILE_SECONDS").ok().map(|s| s.parse().unwrap());
    let (start, mut count, mut refused) = (Timer::start(), count, 0);
    for round in 0.. {
        let enough = seconds.map_or(round == count, |s| start.seconds() > s);
        if enough {
            count = round;
            break;
        }
        let bytes = damaged(good, &mut Seed::new(round).child(name).stream());
        if let Err(said) = read(&bytes) {
            assert!(!said.is_empty() && said.lines().count() == 1, "{name} {round}: {said:?}");
            refused += 1;
        }
    }
    println!("{name}: {refused} of {count} refused");
    assert!(refused > count / 10, "{name}: {refused} of {count} refused");
}

/// A file in a folder of its own, written anew for each reading.
fn through_file<T>(
    place: PathBuf,
    read: impl Fn(&Path) -> Result<T, toxiclip::failure::Failure>,
) -> impl Fn(&[u8]) -> Result<T, String> {
    move |bytes| {
        fs::write(&place, bytes).unwrap();
        read(&place).map_err(|e| e.to_string())
    }
}

#[test]
fn safetensors() {
    let good = fs::read(fixture("convert/state.safetensors")).unwrap();
    survives("safetensors", &good, 4000, |bytes| container::parse(bytes).map(drop));
    let head = br#"{"a":{"dt\nype":"F32","shape":[],"data_offsets":[0,4]}}"#;
    let file = [&(head.len() as u64).to_le_bytes()[..], head, &[0; 4]].concat();
    let said = container::parse(&file).unwrap_err();
    assert!(said.contains("dt\\nype") && said.lines().count() == 1, "{said}");
}

#[test]
fn pickles() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read(fixture("convert/state.pt")).unwrap();
    let read = through_file(dir.path().join("a.pt"), pytorch::read);
    survives("zip", &good, 1000, read);
    let cifar = dir.path().join("cifar-100-python");
    fs::create_dir(&cifar).unwrap();
    for name in ["meta", "train", "test"] {
        fs::copy(fixture("datasets/cifar/python/cifar-100-python").join(name), cifar.join(name))
            .unwrap();
    }
    let good = fs::read(cifar.join("meta")).unwrap();
    let root = dir.path();
    let read = through_file(cifar.join("meta"), |_| data::named("cifar-100", Some(root)));
    survives("pickle", &good, 1000, read);
}

#[test]
fn tar_shards() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read(fixture("datasets/shards/img2dataset/00000.tar")).unwrap();
    let pattern = |suffix: &str| Source::Shards(format!("{}/0.tar{suffix}", dir.path().display()));
    for suffix in ["", "?truncated"] {
        let source = pattern(suffix);
        let read = through_file(dir.path().join("0.tar"), |_| {
            let all = data::training(&source, None)?;
            // A picture may be damaged too; that is its own one line.
            for row in 0..all.examples().len() {
                if let Err(e) = all.image(row) {
                    assert_eq!(e.to_string().lines().count(), 1, "{e}");
                }
            }
            Ok(())
        });
        survives(&format!("tar{suffix}"), &good, 400, read);
    }
}

#[test]
fn tables() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pairs.csv");
    fs::create_dir(dir.path().join("images")).unwrap();
    for entry in fs::read_dir(fixture("datasets/pairs/cc3m/images")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join("images").join(path.file_name().unwrap())).unwrap();
    }
    let good = fs::read(fixture("datasets/pairs/cc3m/train.csv")).unwrap();
    let read = through_file(place, |path| data::training(&Source::Table(path.to_owned()), None));
    survives("csv", &good, 1000, read);
}

#[test]
fn manifests() {
    let dir = tempfile::tempdir().unwrap();
    let digest = toxiclip_shared::digest::Digest::of_bytes(b"x").to_string();
    let edit = |id: usize| {
        format!(r#"{{"id":"row-{id}","sha256":"{digest}","caption":"a photo of a banana"}}"#)
    };
    let edits = (0..20).map(edit).collect::<Vec<_>>().join(",");
    let good = format!(
        r#"{{"attack":{{"name":"single-label"}},"seed":0,"source":{{"name":"x","digest":"{digest}","pairs":20}},"edits":[{edits}]}}"#
    );
    let path = dir.path().join("manifest.json");
    // What lacks nothing but the attack beside it is a manifest.
    let read = through_file(path.clone(), |path| match Manifest::read(path) {
        Err(e) if e.to_string().contains("armed.json") => Ok(()),
        other => other.map(drop),
    });
    survives("manifest", good.as_bytes(), 4000, read);
    fs::write(&path, good.replace("\"edits\"", "\"edi\\nts\"")).unwrap();
    let said = Manifest::read(&path).unwrap_err().to_string();
    assert!(said.contains("edi\\nts") && said.lines().count() == 1, "{said}");
}
