//! `submit pack` and `submit verify`: an honest bundle passes, and each way to forge one fails with its reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod forgeries;
mod large;

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bundle::{
    Members, bomb, honest, members, packed, place, sealed, toxiclip, verify, verify_with,
    with_evidence,
};
use forgeries::FORGERIES;
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
    for part in [
        "follow from their evidence",
        "mini as it is here",
        "1 encoders are those of its benchmark",
        "is today's",
        "exactly the samples",
        "is drawn here",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_part_of_the_attacks_passes_and_says_so() {
    honest();
    let only = ["--only", "attack=none", "--only", "attack=badnets", "--out", "part"];
    let run = ["run", "benchmarks/mini.toml", "--cache", "cache"];
    for command in [
        &[&run[..], &only].concat()[..],
        &["submit", "pack", "part", "--allow-dirty", "--out", "part.tar.zst"],
    ] {
        let done = toxiclip(place(), command);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let done = verify(&fs::read(place().join("part.tar.zst")).unwrap());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("attacks of the benchmark left out: single-label"), "{said}");
    // Two seeds of two defenses; the control is scored against both attacks.
    assert!(said.contains("all 16 models"), "{said}");
}

/// `cargo test --release -p toxiclip --test submit every_forgery -- --nocapture` prints the table.
#[test]
fn every_forgery_fails_with_its_reason() {
    honest();
    // Each is a process of its own, most of whose time is spent on drawing the attacks again.
    let next = AtomicUsize::new(0);
    let said: Mutex<Vec<Option<(Output, &str)>>> = Mutex::new(vec![None; FORGERIES.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((at, (_, forge, part))) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|i| Some((i, FORGERIES.get(i)?)))
                {
                    let done = verify(&forge());
                    said.lock().unwrap()[at] = Some((done, part));
                }
            });
        }
    });
    let mut wrong = Vec::new();
    for ((what, ..), done) in FORGERIES.iter().zip(said.into_inner().unwrap()) {
        let (done, part) = done.unwrap();
        let text = String::from_utf8(done.stderr).unwrap();
        let one_line = (done.status.code(), text.lines().count()) == (Some(1), 1);
        println!("{what:<42} {}", text.trim_end());
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
    let done = verify(&bomb());
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

/// A bundle becomes a folder of published results, which the check takes as it is.
#[test]
fn a_bundle_is_laid_out_for_a_pull_request() {
    let place = place();
    let (bundle, results) = (place.join("clean.tar.zst"), place.join("results"));
    // Whoever changes the program tests it before committing: its rows are dirty then, and refused.
    let mut all = members(honest());
    let clean =
        |text: &[u8]| String::from_utf8_lossy(text).replace("\"dirty\":true", "\"dirty\":false");
    let rows = clean(&all["rows.jsonl"]);
    all.insert("rows.jsonl".to_owned(), rows.into_bytes());
    let mut contents: serde_json::Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    let dirty = contents["code"]["dirty"] == true;
    contents["code"]["dirty"] = false.into();
    contents["link"] = "https://example.org/models".into();
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    fs::write(&bundle, packed(&sealed(all), false)).unwrap();
    let unpack = |file: &str, more: &[&str]| {
        let words = ["submit", "unpack", file, "--out", "results", "--submitter"];
        toxiclip(place, &[&words, more].concat())
    };
    let done = unpack("clean.tar.zst", &["somebody", "--date", "2026-01-31"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let at = results.join("somebody/mini");
    let entry: serde_json::Value =
        serde_json::from_slice(&fs::read(at.join("entry.json")).unwrap()).unwrap();
    assert_eq!((&entry["submitter"], &entry["date"]), (&"somebody".into(), &"2026-01-31".into()));
    assert_eq!(entry["checkpoints"], "https://example.org/models");
    assert!(entry["verifications"][0]["passed"].to_string().contains("follow from their evidence"));
    let build = ["leaderboard", "build", "--results", "results", "--out", "board"];
    let done = toxiclip(place, &build);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let board: serde_json::Value =
        serde_json::from_slice(&fs::read(place.join("board/leaderboard.json")).unwrap()).unwrap();
    let entries = board["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4, "two attacks, undefended and repaired: {entries:?}");
    for entry in entries {
        let page = fs::read_to_string(place.join("board").join(entry["page"].as_str().unwrap()));
        assert!(page.unwrap().contains("somebody's run of benchmark"), "{entry}");
    }
    for (name, says) in
        [("Somebody", "no plain name"), ("../up", "no plain name"), ("a/b", "no plain name")]
    {
        let said = String::from_utf8(unpack("clean.tar.zst", &[name]).stderr).unwrap();
        assert!(said.contains(says) && said.lines().count() == 1, "{said}");
    }
    let said =
        String::from_utf8(unpack("clean.tar.zst", &["a", "--date", "today"]).stderr).unwrap();
    assert!(said.contains("is not like 2026-01-31"), "{said}");
    if dirty {
        honest();
        let said = String::from_utf8(unpack("one.tar.zst", &["somebody"]).stderr).unwrap();
        assert!(said.contains("changed sources"), "{said}");
    }
}

/// A seed is committed to, revealed, and draws the trigger under which submitted models are scored.
#[test]
fn a_hidden_trigger_is_revealed_and_scored() {
    let place = place();
    honest();
    let commit = |seed: &str| {
        let words = ["submit", "commit", "--salt-file", "salt", "--seed", seed];
        String::from_utf8(toxiclip(place, &words).stdout).unwrap().trim().to_owned()
    };
    let commitment = commit("7");
    assert_eq!((commitment.len(), commit("7") == commitment), (64, true));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(place.join("salt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the salt is its owner's alone");
    }
    let reveal = |seed: &str| {
        toxiclip(place, &["submit", "reveal", &commitment, "--salt-file", "salt", "--seed", seed])
    };
    assert!(reveal("7").status.success());
    let refused = reveal("8");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not what"));
    let score = |seed: &str, checkpoints: &str| {
        let words =
            ["submit", "rescore", "one.tar.zst", "--commitment", &commitment, "--salt-file"];
        let more = ["salt", "--seed", seed, "--checkpoints", checkpoints, "--attack"];
        toxiclip(place, &[&words[..], &more, &["blended:target=banana"]].concat())
    };
    let done = score("7", "cache");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Two attacks, with and without a repair, two seeds.
    assert_eq!(lines.iter().filter(|line| line["metric"] == "asr").count(), 8, "{text}");
    assert_eq!(String::from_utf8(score("7", "cache").stdout).unwrap(), text, "the same again");
    assert_eq!(score("8", "cache").status.code(), Some(1), "another seed");
    fs::create_dir_all(place.join("no-models")).unwrap();
    let said = String::from_utf8(score("7", "no-models").stderr).unwrap();
    assert!(said.contains("attacked models is at hand"), "{said}");
}
