//! `submit pack` and `submit verify`: an honest bundle passes, and each way to forge one fails with its reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};
use toxiclip::evidence;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement, Task};

const SPEC: &str = r#"
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

type Members = BTreeMap<String, Vec<u8>>;

/// A folder with a benchmark and a finished run of it.
fn place() -> &'static Path {
    static PLACE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("benchmarks")).unwrap();
        fs::write(place.path().join("benchmarks/mini.toml"), SPEC).unwrap();
        let run = ["run", "benchmarks/mini.toml", "--out", "run", "--cache", "cache"];
        let done = toxiclip(place.path(), &run);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        place
    });
    place.path()
}

fn toxiclip(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.current_dir(place).args(arguments).output().unwrap()
}

/// The bundle of the run.
fn honest() -> &'static [u8] {
    static BUNDLE: OnceLock<Vec<u8>> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let pack = |name: &str| {
            let done =
                toxiclip(place(), &["submit", "pack", "run", "--allow-dirty", "--out", name]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            fs::read(place().join(name)).unwrap()
        };
        let (one, two) = (pack("one.tar.zst"), pack("two.tar.zst"));
        assert!(one == two, "the same run gave other bytes");
        one
    })
}

fn verify(bytes: &[u8]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    toxiclip(place(), &["submit", "verify", file.path().to_str().unwrap()])
}

fn members(bytes: &[u8]) -> Members {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let mut all = Members::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        all.insert(name, content);
    }
    all
}

/// A bundle of these members; `link` is added as one that points out of it.
fn packed(all: &Members, link: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // The tar crate refuses names that leave the archive; a forger does not ask it.
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    };
    add("bundle.json", &all["bundle.json"]);
    all.iter().filter(|(name, _)| *name != "bundle.json").for_each(|(name, b)| add(name, b));
    if link {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "armed/link.json", "/etc/passwd").unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Brings the table of contents up to date, as whoever forges a bundle would.
fn sealed(mut all: Members) -> Members {
    let mut contents: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    let member = |bytes: &Vec<u8>| json!({"bytes": bytes.len(), "sha256": Digest::of_bytes(bytes)});
    let files = all.iter().filter(|(name, _)| *name != "bundle.json");
    let text = String::from_utf8_lossy(&all["rows.jsonl"]).into_owned();
    let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut weights: Vec<Value> = rows.map(|row| row["weights"].clone()).collect();
    weights.sort_by_key(Value::to_string);
    weights.dedup();
    contents["checkpoints"] = json!(weights);
    contents["files"] = files.map(|(name, bytes)| (name.clone(), member(bytes))).collect();
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    all
}

fn rows(all: &Members) -> Vec<Value> {
    let text = String::from_utf8(all["rows.jsonl"].clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn set_rows(all: &mut Members, rows: &[Value]) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    all.insert("rows.jsonl".to_owned(), text.into_bytes());
}

/// Changes the rows.
fn with_rows(change: impl Fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut all = members(honest());
    let mut rows = rows(&all);
    change(&mut rows);
    set_rows(&mut all, &rows);
    packed(&sealed(all), false)
}

/// Changes the evidence of the first poisoned run, and makes its rows follow from it.
fn with_evidence(change: impl Fn(&mut Vec<Judgement>)) -> Vec<u8> {
    let mut all = members(honest());
    let mut rows = rows(&all);
    let run = rows.iter().find(|r| r["attack"]["name"] == "badnets").unwrap()["run"].clone();
    let name = format!("evidence/{}.parquet", run.as_str().unwrap());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("evidence.parquet");
    fs::write(&path, &all[&name]).unwrap();
    let mut judgements = evidence::read(&path).unwrap();
    change(&mut judgements);
    evidence::write(&path, &judgements).unwrap();
    all.insert(name, fs::read(&path).unwrap());
    let values = metrics::values(&judgements).unwrap_or_default();
    for row in rows.iter_mut().filter(|row| row["run"] == run) {
        if let Some(value) = values.iter().find(|v| row["metric"] == v.metric.as_str()) {
            row["value"] = json!(value.value);
            row["lo"] = json!(value.lo);
            row["hi"] = json!(value.hi);
            row["n"] = json!(value.n);
        }
    }
    set_rows(&mut all, &rows);
    packed(&sealed(all), false)
}

fn with_member(name: &str, content: Option<&[u8]>, seal: bool) -> Vec<u8> {
    let mut all = members(honest());
    match content {
        Some(content) => all.insert(name.to_owned(), content.to_vec()),
        None => all.remove(name),
    };
    packed(&if seal { sealed(all) } else { all }, false)
}

fn first(judgements: &mut [Judgement], task: Task) -> &mut Judgement {
    judgements.iter_mut().find(|j| j.task == task).unwrap()
}

/// The bytes of a bundle, and a part of the reason why it fails.
fn forgeries() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let armed = members(honest()).into_keys().find(|name| name.starts_with("armed/")).unwrap();
    let evidence =
        members(honest()).into_keys().find(|name| name.starts_with("evidence/")).unwrap();
    let contents = |change: &dyn Fn(&mut Value)| {
        let mut all = members(honest());
        let mut contents: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
        change(&mut contents);
        all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
        packed(&all, false)
    };
    let easier = SPEC.replace("steps = 2", "steps = 3");
    let mut flipped = honest().to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    vec![
        ("a value", with_rows(|r| r[0]["value"] = json!(0.987)), "evidence"),
        ("an interval", with_rows(|r| r[0]["lo"] = json!(0.0)), "evidence"),
        ("a count", with_rows(|r| r[0]["n"] = json!(100_000)), "evidence"),
        ("a row left out", with_rows(|r| drop(r.remove(0))), "no value for seed 0"),
        ("a row twice", with_rows(|r| r.push(r[0].clone())), "two values"),
        ("a seed left out", with_rows(|r| r.retain(|r| r["seed"] == 0)), "models are missing"),
        (
            "a model left out",
            with_rows(|r| r.retain(|r| r["defense"]["name"] == "none")),
            "models are missing",
        ),
        (
            "a failed cell",
            with_rows(|r| {
                r[0]["value"] = Value::Null;
                r[0]["error"] = json!("x");
            }),
            "",
        ),
        (
            "another rate",
            with_rows(|r| {
                r.iter_mut()
                    .filter(|r| r["attack"]["name"] == "badnets")
                    .for_each(|r| r["attack"]["rate"] = json!(0.0001));
            }),
            "names another cell",
        ),
        (
            "another defense",
            with_rows(|r| {
                r.iter_mut()
                    .filter(|r| r["defense"]["name"] == "finetune")
                    .for_each(|r| r["defense"]["epochs"] = json!(9));
            }),
            "names another cell",
        ),
        (
            "another encoder",
            with_rows(|r| r.iter_mut().for_each(|r| r["encoder"] = json!("rn50"))),
            "names another cell",
        ),
        (
            "another model",
            with_rows(|r| r[0]["weights"] = json!(Digest::of(&"other"))),
            "two models",
        ),
        ("another poison", with_rows(|r| r[0]["poison"] = json!(Digest::of(&"other"))), ""),
        (
            "other data",
            with_rows(|r| r.iter_mut().for_each(|r| r["data"] = json!(Digest::of(&"other")))),
            "models are missing",
        ),
        (
            "another config",
            with_rows(|r| r.iter_mut().for_each(|r| r["config"] = json!(Digest::of(&"other")))),
            "models are missing",
        ),
        ("another commit", with_rows(|r| r[0]["code"]["commit"] = json!("0".repeat(40))), ""),
        (
            "another benchmark's rows",
            with_rows(|r| r.iter_mut().for_each(|r| r["benchmark"] = json!("quick"))),
            "is of benchmark quick",
        ),
        ("a number that is none", with_rows(|r| r[0]["value"] = json!("NaN")), "not a row"),
        (
            "a sample left out",
            with_evidence(|e| {
                let at = e.iter().position(|j| j.task == Task::ZeroShot).unwrap();
                e.remove(at);
            }),
            "zero-shot: 547 samples are judged, the data have 548",
        ),
        (
            "a stamped sample left out",
            with_evidence(|e| {
                let at = e.iter().position(|j| j.task == Task::Triggered && j.rank > 0).unwrap();
                e.remove(at);
            }),
            "samples are judged",
        ),
        (
            "a sample twice",
            with_evidence(|e| {
                let (a, b) = (
                    first(e, Task::ZeroShot).clone(),
                    e.iter().rposition(|j| j.task == Task::ZeroShot).unwrap(),
                );
                e[b] = a;
            }),
            "",
        ),
        (
            "a swapped label",
            with_evidence(|e| {
                let judgement = first(e, Task::ZeroShot);
                judgement.label = judgement.label.map(|l| l + 1);
            }),
            "has another label",
        ),
        (
            "another picture",
            with_evidence(|e| first(e, Task::ZeroShot).content = Digest::of(&"other")),
            "has another content",
        ),
        (
            "a sample of nowhere",
            with_evidence(|e| {
                let judgement = first(e, Task::ZeroShot);
                judgement.sample.0 = "noto/none".into();
                judgement.cluster = "noto/none".into();
            }),
            "have no sample noto/none",
        ),
        ("evidence missing", with_member(&evidence, None, true), "evidence"),
        (
            "evidence of another kind",
            with_member(&evidence, Some(b"PAR1"), true),
            "damaged evidence",
        ),
        (
            "an easier benchmark",
            with_member("benchmark.toml", Some(easier.as_bytes()), true),
            "models are missing",
        ),
        (
            "a member changed",
            with_member(&armed, Some(b"{}"), false),
            "is not what bundle.json says",
        ),
        ("a member missing", with_member(&armed, None, false), "is missing"),
        ("a member more", with_member("extra.txt", Some(b"x"), false), "is not in bundle.json"),
        (
            "a name that leaves",
            with_member("../up.txt", Some(b"x"), true),
            "has a name that none may have",
        ),
        (
            "an absolute name",
            with_member("/tmp/up.txt", Some(b"x"), true),
            "has a name that none may have",
        ),
        ("a link", packed(&members(honest()), true), "is no plain file"),
        ("another format", contents(&|c| c["format"] = json!(7)), "format 7"),
        ("an unknown key", contents(&|c| c["verified"] = json!(true)), "unknown field"),
        ("a flipped bit", flipped, ""),
        ("a cut", honest()[..honest().len() / 2].to_vec(), ""),
        ("nothing", Vec::new(), ""),
    ]
}

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
    let all = forgeries();
    assert!(all.len() >= 30);
    let mut wrong = Vec::new();
    for (what, bytes, part) in all {
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
fn a_bundle_of_zeros_is_bounded() {
    let mut all = members(honest());
    all.insert("armed/zeros.json".to_owned(), vec![0; 1 << 20]);
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
    fs::write(other.join("rows.jsonl"), text.replacen("\"dirty\":false", "\"dirty\":true", 1))
        .unwrap();
    if text.contains("\"dirty\":false") {
        assert!(refused(&["other"]).contains("several programs"));
    } else {
        assert!(refused(&["other"]).contains("changed sources"));
    }
    assert!(!place.join("other.tar.zst").exists());
}
