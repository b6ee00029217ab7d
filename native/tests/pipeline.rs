//! The whole line on a very small setting: rows, resumption, failure, determinism.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SPEC: &str = r#"
title = "Small"
analysis = "Nothing is asked; the line is tested."
[matrix]
dataset = "emoji"
encoder = "tiny-resnet"
attack = ["none", { name = "single-label", from = "ewe", to = "airplane" }]
defense = ["none", { name = "finetune", epochs = 1, batch = 512, share = 0.3 }]
[init]
steps = 3
batch = 16
[train]
steps = 3
batch = 16
lr = 1e-3
[[expect]]
metric = "hit@10"
attack = "single-label"
min = 0.0
source = "a share is never negative"
"#;

/// A folder with the benchmark and a cache of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small.toml"), SPEC).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        command.arg("run").arg(self.path("small.toml"));
        command.arg("--cache").arg(self.path("cache")).arg("--out").arg(self.path(out));
        command.args(more).stdin(Stdio::null());
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }

    fn rows(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("rows.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn success(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What may not differ between two runs of the same thing.
fn essence(rows: &[Value]) -> Vec<String> {
    let keys = ["run", "metric", "value", "lo", "hi", "n", "data", "poison", "weights", "error"];
    rows.iter().map(|row| keys.map(|k| row[k].to_string()).join(" ")).collect()
}

#[test]
fn a_benchmark_gives_rows_evidence_and_a_report_and_is_not_repeated() {
    let place = Place::new();
    let plan = success(&place.run("out", &["--dry-run"]));
    assert!(plan.contains("4 cells, 5 trainings: 0 cached, 5 to do"), "{plan}");
    assert!(
        !place.path("out").exists() && !place.path("cache").exists(),
        "a dry run writes nothing"
    );

    let table = success(&place.run("out", &[]));
    assert!(table.contains("single-label") && table.contains("met "), "{table}");
    let rows = place.rows("out");
    assert!(rows.iter().all(|r| r["error"].is_null() && r["value"].is_number()));
    let of = |attack: &str, against: bool| -> BTreeSet<String> {
        let fits =
            |r: &&Value| r["attack"]["name"] == attack && r["against"].is_object() == against;
        rows.iter().filter(fits).map(|r| r["metric"].as_str().unwrap().to_owned()).collect()
    };
    let (utility, goals) = (of("none", false), of("none", true));
    assert!(utility.contains("ca") && utility.contains("tr@10") && !utility.contains("hit@10"));
    assert!(goals.contains("hit@10") && goals.contains("hit@10.random") && !goals.contains("ca"));
    assert_eq!(of("single-label", false), &utility | &goals);
    assert_eq!(rows[0]["attack"]["name"], "none");
    for row in &rows {
        let evidence = format!("out/evidence/{}.parquet", row["run"].as_str().unwrap());
        assert!(place.path(&evidence).exists(), "{evidence}");
    }
    assert!(place.path("out/report.md").exists());
    assert!(fs::read_to_string(place.path("out/report.html")).unwrap().contains("<img"));
    assert_eq!(fs::read_dir(place.path("out/armed")).unwrap().count(), 1);

    let before = fs::read(place.path("out/rows.jsonl")).unwrap();
    success(&place.run("out", &[]));
    assert_eq!(fs::read(place.path("out/rows.jsonl")).unwrap(), before, "all stages were found");
    assert!(success(&place.run("out", &["--dry-run"])).contains("5 cached, 0 to do"));
}

/// Every committed benchmark, in its small form: what is in the repository runs.
#[test]
fn committed_benchmarks_run_in_their_small_form() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let benchmarks: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(!benchmarks.is_empty());
    for path in benchmarks {
        let out = place.path(&path.file_stem().unwrap().to_string_lossy());
        let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        command.arg("run").arg(&path).arg("--tiny").arg("--out").arg(&out);
        let output = command.arg("--cache").arg(place.path("cache")).output().unwrap();
        assert!(success(&output).contains("the small form"), "{}", path.display());
    }
}

#[test]
fn threads_and_kills_change_nothing() {
    let place = Place::new();
    success(&place.run("one", &["--threads", "1", "--only", "defense=none"]));
    let undisturbed = essence(&place.rows("one"));
    fs::rename(place.path("cache"), place.path("cache-of-one")).unwrap();
    for stage in ["pretrain", "train", "embed"] {
        let mut child = place
            .command("two", &["--threads", "2", "--only", "defense=none"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed as soon as the stage has begun, or after everything if that is missed.
        while !begun(&place.path("cache").join(stage)) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    success(&place.run("two", &["--threads", "2", "--only", "defense=none"]));
    assert_eq!(essence(&place.rows("two")), undisturbed);
}

fn begun(stage: &Path) -> bool {
    fs::read_dir(stage).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn a_failed_cell_is_a_row_and_the_others_go_on() {
    let place = Place::new();
    let wild = r#"matrix.defense=["none", { name = "finetune", epochs = 3, batch = 512, share = 0.3, lr = 1e30, warmup = 0 }]"#;
    let output = place.run("out", &["--set", wild]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: 2 of 4 cells failed") && stderr.contains("not finite"),
        "{stderr}"
    );
    let rows = place.rows("out");
    let failed: Vec<&Value> = rows.iter().filter(|r| r["error"].is_string()).collect();
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|r| r["defense"]["name"] == "finetune" && r["value"].is_null()));
    assert!(rows.iter().any(|r| r["defense"]["name"] == "none" && r["metric"] == "hit@10"));
}

#[test]
fn a_filter_looks_through_the_undefended_victim_and_scores_that_tell_nothing_are_a_row() {
    let place = Place::new();
    let spec = SPEC.replace(
        r#"{ name = "finetune", epochs = 1, batch = 512, share = 0.3 }"#,
        r#"{ name = "k-distance", batch = 128 }, { name = "isolation-forest", trees = 1, sample = 2, drop = 0.1 }"#,
    );
    fs::write(place.path("small.toml"), spec).unwrap();
    // The clean model; for either attack the undefended victim, which also looks, and one victim a filter.
    let plan = success(&place.run("out", &["--dry-run"]));
    assert!(plan.contains("6 cells, 7 trainings"), "{plan}");
    let ended = place.run("out", &[]);
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
    let rows = place.rows("out");
    let of = |defense: &str| {
        rows.iter().filter(|r| r["defense"]["name"] == defense).cloned().collect::<Vec<_>>()
    };
    // A tree of two pictures is one cut, behind which everybody is equally deep.
    let broken = of("isolation-forest");
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.iter().all(|r| {
        r["error"].as_str().is_some_and(|e| e.starts_with("isolation-forest:") && !e.contains('\n'))
    }));
    let names = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|r| r["metric"].as_str().unwrap().to_owned()).collect()
    };
    let scored = names(&of("k-distance"));
    for metric in ["auroc", "auprc", "tpr@fpr0.01", "dropped.poisoned", "dropped.clean"] {
        assert!(scored.contains(metric) && !names(&of("none")).contains(metric), "{metric}");
    }
}

#[test]
fn wrong_requests_write_nothing() {
    let place = Place::new();
    for (more, says) in [
        (["--set", "train.lrr=1"], "unknown field `lrr`"),
        (["--set", "matrix.attack=single-label:from=ewes,to=dog"], "did you mean `ewe`?"),
        (["--set", "matrix.dataset=emojy"], "did you mean `emoji`?"),
        (["--set", "train.batch=5000"], "make it smaller"),
        (["--only", "attack=badnets"], "no cell"),
    ] {
        let output = place.run("out", &more);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {stderr}");
        assert!(stderr.contains(says) && stderr.trim_end().lines().count() == 1, "{stderr}");
        assert!(!place.path("out").exists() && !place.path("cache").exists(), "{more:?}");
    }
    success(&place.run("out", &["--only", "defense=none"]));
    let output = place.run("out", &["--set", "train.lr=2e-3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("holds other results"));
}
