//! One honest bundle, and ways to change it as a forger would: with a table of contents, and rows, that fit.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};
use toxiclip::evidence;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::SPEC;

pub(crate) type Members = BTreeMap<String, Vec<u8>>;

/// A folder with a benchmark and a finished run of it.
pub(crate) fn place() -> &'static Path {
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

pub(crate) fn toxiclip(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.current_dir(place).args(arguments).output().unwrap()
}

/// The bundle of the run.
pub(crate) fn honest() -> &'static [u8] {
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

pub(crate) fn verify(bytes: &[u8]) -> Output {
    verify_with(bytes, &[])
}

pub(crate) fn verify_with(bytes: &[u8], arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let words = ["submit", "verify", file.path().to_str().unwrap()];
    toxiclip(place(), &[&words, arguments].concat())
}

pub(crate) fn members(bytes: &[u8]) -> Members {
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
pub(crate) fn packed(all: &Members, link: bool) -> Vec<u8> {
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
pub(crate) fn sealed(mut all: Members) -> Members {
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

pub(crate) fn rows(all: &Members) -> Vec<Value> {
    let text = String::from_utf8(all["rows.jsonl"].clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn set_rows(all: &mut Members, rows: &[Value]) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    all.insert("rows.jsonl".to_owned(), text.into_bytes());
}

/// Changes the rows.
pub(crate) fn with_rows(change: impl Fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut all = members(honest());
    let mut rows = rows(&all);
    change(&mut rows);
    set_rows(&mut all, &rows);
    packed(&sealed(all), false)
}

/// Changes the evidence of the first poisoned run, and makes its rows follow from it.
pub(crate) fn with_evidence(change: impl Fn(&mut Vec<Judgement>)) -> Vec<u8> {
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
    let values = metrics::values(&judgements);
    for row in rows.iter_mut().filter(|row| row["run"] == run) {
        let metric = metrics::find(row["metric"].as_str().unwrap()).unwrap();
        match &values {
            Ok(values) => {
                let value = values.iter().find(|v| v.metric == metric.name).unwrap();
                row["lo"] = json!(value.lo);
                row["hi"] = json!(value.hi);
                row["n"] = json!(value.n);
                row["value"] = json!(value.value);
            }
            // Evidence of which nothing may be computed has a mean all the same.
            Err(_) => row["value"] = json!(metric.clusters(&judgements).mean().unwrap()),
        }
    }
    set_rows(&mut all, &rows);
    packed(&sealed(all), false)
}

pub(crate) fn with_member(name: &str, content: Option<&[u8]>, seal: bool) -> Vec<u8> {
    let mut all = members(honest());
    match content {
        Some(content) => all.insert(name.to_owned(), content.to_vec()),
        None => all.remove(name),
    };
    packed(&if seal { sealed(all) } else { all }, false)
}

/// Gives the first poisoned run another name, in its rows and its evidence.
pub(crate) fn rename_run() -> Vec<u8> {
    let mut all = members(honest());
    let mut rows = rows(&all);
    let run = rows.iter().find(|r| r["attack"]["name"] == "badnets").unwrap()["run"].clone();
    let other = json!(Digest::of(&"another run"));
    rows.iter_mut().filter(|row| row["run"] == run).for_each(|row| row["run"] = other.clone());
    let file = |run: &Value| format!("evidence/{}.parquet", run.as_str().unwrap());
    let evidence = all.remove(&file(&run)).unwrap();
    all.insert(file(&other), evidence);
    set_rows(&mut all, &rows);
    packed(&sealed(all), false)
}

/// Of each model in [`large`].
pub(crate) const SAMPLES: u32 = 10_000;
const SEEDS: u64 = 34;
const METRICS: [&str; 3] = ["ca", "ca@5", "mpcr"];

/// The test pictures of CIFAR-10 under a model that draws its answers.
fn answers(seed: u64) -> Vec<Judgement> {
    let root = Seed::new(seed).child("answers");
    let one = |i: u32| {
        let id = format!("test/{i:05}");
        Judgement {
            task: Task::ZeroShot,
            content: Digest::of(&i),
            text: None,
            label: Some(i % 10),
            goal: None,
            rank: root.child(i).stream().below(10) as u32,
            gallery: 10,
            top: (0..5).map(|k| format!("class {k}")).collect(),
            scores: (0..5_u8).map(|k| 0.3 - f32::from(k) / 50.0).collect(),
            cluster: id.clone(),
            sample: PairId(id),
            poisoned: None,
            score: None,
            dropped: None,
        }
    };
    (0..SAMPLES).map(one).collect()
}

/// Numbers that nobody measured, all of which follow from their evidence; the data are not at hand.
pub(crate) fn large() -> Vec<u8> {
    let mut all = members(honest());
    let template = rows(&all)[0].clone();
    all.retain(|name, _| {
        ["bundle.json", "cards.json"].contains(&&name[..]) || name.starts_with("encoders/")
    });
    let spec = format!(
        "title = 'large'\nanalysis = 'made up'\n[matrix]\ndataset = 'cifar-10'\nencoder = 'tiny-resnet'\nseed = {:?}\n[eval]\nmetrics = {METRICS:?}\n",
        (0..SEEDS).collect::<Vec<_>>()
    );
    all.insert("benchmark.toml".to_owned(), spec.into_bytes());
    let place = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for seed in 0..SEEDS {
        let (run, judgements) = (Digest::of(&("large", seed)), answers(seed));
        let path = place.path().join("evidence.parquet");
        evidence::write(&path, &judgements).unwrap();
        all.insert(format!("evidence/{run}.parquet"), fs::read(&path).unwrap());
        let values = metrics::values(&judgements).unwrap();
        for value in values.iter().filter(|value| METRICS.contains(&&value.metric[..])) {
            let mut row = template.clone();
            row["run"] = json!(run);
            row["seed"] = json!(seed);
            row["benchmark"] = json!("large");
            row["dataset"] = json!("cifar-10");
            for (key, json) in json!(value).as_object().unwrap() {
                row[key] = json.clone();
            }
            made.push(row);
        }
    }
    assert_eq!(made.len(), 102);
    set_rows(&mut all, &made);
    let mut contents: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    contents["benchmark"] = json!("large");
    contents.as_object_mut().unwrap().remove("protocol");
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    packed(&sealed(all), false)
}

/// Claims more than a bundle may hold, and is small on the wire.
pub(crate) fn bomb() -> Vec<u8> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 30);
    header.set_mode(0o644);
    header.set_path("bundle.json").unwrap();
    header.set_cksum();
    tar.append(&header, std::io::repeat(0).take(64 << 20)).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
