//! `eval`, `scan` and `defend` on a small victim, against what a benchmark says of the same model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use program::{error, rows};
use serde_json::Value;
use toxiclip_shared::metrics;

const SPEC: &str = r#"
title = "one victim"
analysis = "the same numbers from two commands"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", "badnets:target=banana,rate=0.2"]
defense = ["none", "finetune:epochs=1", "decree:steps=20"]
seed = [0]
[train]
epochs = 2
"#;

/// A finished benchmark with its cache, and the folder of its poisoned victim.
struct Bench {
    _place: tempfile::TempDir,
    out: PathBuf,
    cache: PathBuf,
    victim: PathBuf,
    armed: PathBuf,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        let done = program::run(place.path(), SPEC, ["cache", "out"], &[]);
        assert!(done.status.success(), "{}", error(&done));
        let (out, cache) = (place.path().join("out"), place.path().join("cache"));
        let victims = fs::read_dir(cache.join("train")).unwrap().map(|e| e.unwrap().path());
        let poisoned = |dir: &PathBuf| {
            let text = fs::read_to_string(dir.join("toxiclip.json")).unwrap_or_default();
            text.contains("\"poisoned\": true")
        };
        let victim = victims.into_iter().find(poisoned).unwrap();
        let armed = fs::read_dir(out.join("armed")).unwrap().next().unwrap().unwrap().path();
        Bench { _place: place, out, cache, victim, armed }
    })
}

fn toxiclip(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.args(arguments).arg("--cache").arg(&bench().cache).output().unwrap()
}

fn said(arguments: &[&str]) -> String {
    let done = toxiclip(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", error(&done));
    String::from_utf8(done.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Values by metric of the rows of the victim under a defense, or of all rows.
fn values(out: &Path, defense: Option<&str>) -> BTreeMap<String, f64> {
    let wanted = |row: &Value| match defense {
        None => true,
        Some(name) => row["defense"]["name"] == name && row["attack"]["name"] == "badnets",
    };
    let rows = rows(out).into_iter().filter(wanted);
    rows.map(|row| (row["metric"].as_str().unwrap().to_owned(), row["value"].as_f64().unwrap()))
        .collect()
}

fn eval(out: &Path, task: &str, more: &[&str]) -> String {
    let Bench { victim, .. } = bench();
    let first = [
        "eval",
        "--checkpoint",
        text(victim),
        "--data",
        "emoji",
        "--task",
        task,
        "--out",
        text(out),
    ];
    said(&[&first[..], more].concat())
}

#[test]
fn the_numbers_are_those_of_the_benchmark() {
    let place = tempfile::tempdir().unwrap();
    let whole = values(&bench().out, Some("none"));
    let armed = ["--armed", text(&bench().armed)];
    for (task, more, metrics) in [
        ("zero-shot", &armed[..], &["asr", "asr-all", "ca", "ca@5", "mpcr", "ra"][..]),
        ("retrieval", &[], &["ir@1", "ir@10", "ir@5", "tr@1", "tr@10", "tr@5"]),
    ] {
        let out = place.path().join(task);
        let table = eval(&out, task, more);
        let ours = values(&out, None);
        assert_eq!(ours.keys().collect::<Vec<_>>(), metrics, "{table}");
        for (metric, value) in &ours {
            assert_eq!(Some(value), whole.get(metric), "{metric}");
            assert!(table.contains(metric.as_str()), "{table}");
        }
        recomputed(&out);
        // The same command again writes the same, another one is refused.
        let before = fs::read(out.join("rows.jsonl")).unwrap();
        eval(&out, task, more);
        let keep = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.lines()
                .map(|l| l.split("\"seconds\"").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keep(&before), keep(&fs::read(out.join("rows.jsonl")).unwrap()));
    }
    let out = place.path().join("zero-shot");
    let other =
        ["eval", "--checkpoint", text(&bench().victim), "--data", "emoji", "--task", "retrieval"];
    let done = toxiclip(&[&other[..], &["--out", text(&out)]].concat());
    assert!(error(&done).contains("holds other results"), "{}", error(&done));
}

/// Every value of the rows follows from the evidence beside them.
fn recomputed(out: &Path) {
    let run = rows(out)[0]["run"].as_str().unwrap().to_owned();
    let evidence = toxiclip::evidence::read(&out.join(format!("evidence/{run}.parquet"))).unwrap();
    let again = metrics::values(&evidence).unwrap();
    let again: BTreeMap<String, f64> = again.into_iter().map(|v| (v.metric, v.value)).collect();
    assert_eq!(again, values(out, None));
}

/// Name and content of the file in CLIP_benchmark's form.
fn for_clip_benchmark(out: &Path) -> (String, Value) {
    let mut files = fs::read_dir(out).unwrap().map(|e| e.unwrap().path());
    let file = files.find(|p| p.extension().is_some_and(|e| e == "json")).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    (name, serde_json::from_slice(&fs::read(&file).unwrap()).unwrap())
}

#[test]
fn clip_benchmark_reads_the_result() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    eval(&out, "retrieval", &[]);
    let ours = values(&out, None);
    let (name, result) = for_clip_benchmark(&out);
    assert!(
        name.starts_with("emoji_test_") && name.ends_with("_en_zeroshot_retrieval.json"),
        "{name}"
    );
    assert_eq!(result["task"], "zeroshot_retrieval");
    assert_eq!(result["metrics"]["image_retrieval_recall@10"], ours["ir@10"]);
    assert_eq!(result["metrics"]["text_retrieval_recall@1"], ours["tr@1"]);
    assert_eq!(result["metrics"].as_object().unwrap().len(), 6);
}

#[test]
fn a_probe_is_fitted_to_the_training_split() {
    let place = tempfile::tempdir().unwrap();
    let probed = |name: &str, more: &[&str]| {
        let out = place.path().join(name);
        eval(&out, "linear-probe", more);
        recomputed(&out);
        values(&out, None)
    };
    let (stepped, minimum) = (probed("stepped", &[]), probed("minimum", &["--probe", "logistic"]));
    let whole = values(&bench().out, Some("none"));
    assert!(stepped["ca"] > whole["ca"] && minimum["ca"] > whole["ca"], "{stepped:?} {minimum:?}");
    assert_ne!(stepped, minimum);
    assert_ne!(stepped, probed("other-seed", &["--seed", "1"]));
    assert_eq!(stepped, probed("named", &["--train", "emoji"]));
    let (_, result) = for_clip_benchmark(&place.path().join("named"));
    assert_eq!(result["metrics"]["lp_acc1"], stepped["ca"]);
}

#[test]
fn a_probe_without_its_pictures_is_one_line() {
    let place = tempfile::tempdir().unwrap();
    let pairs = place.path().join("pairs");
    let attack = "badnets:target=banana,count=1";
    let first = ["poison", "--data", "emoji", "--attack", attack, "--write", "csv"];
    said(&[&first[..], &["--out", text(&pairs)]].concat());
    let table = format!("csv:{}", text(&pairs.join("pairs.csv")));
    let refused = |task: &str, data: &str, more: &[&str]| {
        let victim = text(&bench().victim);
        let out = place.path().join("never");
        let first = ["eval", "--checkpoint", victim, "--task", task, "--data", data];
        let done = toxiclip(&[&first[..], &["--out", text(&out)], more].concat());
        assert_eq!((done.status.code(), out.exists()), (Some(2), false));
        error(&done)
    };
    assert!(refused("linear-probe", &table, &[]).contains("give one by --train"));
    for more in [["--train", "emoji"], ["--probe", "logistic"]] {
        assert!(refused("zero-shot", "emoji", &more).contains("are about --task linear-probe"));
    }
    let other = refused("linear-probe", &table, &["--train", "emoji-3d"]);
    assert!(other.contains("emoji-3d has no training split"), "{other}");
}

#[test]
fn prompts_come_from_a_file() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("prompts.txt");
    fs::write(&file, "{c}\n\na drawing of a {}\n").unwrap();
    let out = place.path().join("out");
    eval(&out, "zero-shot", &["--templates", text(&file)]);
    assert_ne!(values(&out, None)["ca"], values(&bench().out, Some("none"))["ca"]);
    let victim = text(&bench().victim);
    let refused = |more: &[&str]| {
        let first = ["eval", "--checkpoint", victim, "--out", "never", "--data", "emoji"];
        let done = toxiclip(&[&first[..], &["--task", "zero-shot"], more].concat());
        assert_eq!(done.status.code(), Some(2));
        assert!(!Path::new("never").exists());
        error(&done)
    };
    assert!(refused(&["--templates", "imagenett"]).contains("did you mean `imagenet`"));
    fs::write(&file, "a drawing\n").unwrap();
    assert!(refused(&["--templates", text(&file)]).contains("prompts.txt:1: a prompt without {}"));
    assert!(refused(&["--armed", "nowhere.json"]).contains("nowhere.json: "));
    assert!(refused(&["--armed", text(&file)]).contains("prompts.txt: "));
}

#[test]
fn a_repair_is_that_of_the_benchmark() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("repaired");
    let victim = text(&bench().victim);
    let first = ["defend", "--checkpoint", victim, "--data", "emoji", "--out", text(&out)];
    let told = said(&[&first[..], &["--defense", "finetune:epochs=1"]].concat());
    let rows = rows(&bench().out);
    let row = rows
        .iter()
        .find(|row| row["attack"]["name"] == "badnets" && row["defense"]["name"] == "finetune");
    let weights = row.unwrap()["weights"].as_str().unwrap();
    assert!(told.contains(&format!("weights {weights}")), "{told}");
    let said = fs::read_to_string(out.join("toxiclip.json")).unwrap();
    assert!(said.contains("\"poisoned\": true") && said.contains("finetune"), "{said}");
    for (defense, part) in [
        ("dao", "toxiclip train"),
        ("decree", "toxiclip scan model"),
        ("strip", "among the defenses of a benchmark"),
        ("none", "repairs no checkpoint"),
        ("finetune:epochs=0", "epochs"),
    ] {
        let done = toxiclip(&[&first[..], &["--defense", defense]].concat());
        assert_eq!(done.status.code(), Some(2), "{defense}");
        assert!(error(&done).contains(part), "{}", error(&done));
    }
}

#[test]
fn an_audit_says_what_it_says_in_the_benchmark() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("verdict.json");
    let victim = text(&bench().victim);
    let told = said(&[
        "scan",
        "model",
        "--checkpoint",
        victim,
        "--data",
        "emoji",
        "--defense",
        "decree:steps=20",
        "--out",
        text(&file),
    ]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let score = told["score"].as_f64().unwrap();
    let whole = values(&bench().out, Some("decree"));
    assert!(whole.values().any(|v| (v - score).abs() < 1e-6), "{score} is not in {whole:?}");
    let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept["score"], told["score"]);
    let done =
        toxiclip(&["scan", "model", "--checkpoint", victim, "--data", "emoji", "--defense", "dao"]);
    assert!(error(&done).contains("gives no verdict on a model"), "{}", error(&done));
}

#[test]
fn pairs_are_scored_and_known_poison_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("scores.csv");
    let victim = text(&bench().victim);
    let first = ["scan", "data", "--data", "emoji", "--checkpoint", victim, "--out", text(&file)];
    let attack = ["--defense", "clip-score", "--attack", "badnets:target=banana,rate=0.2"];
    let told = said(&[&first[..], &attack].concat());
    let auroc = told.lines().find(|line| line.starts_with("auroc")).unwrap();
    let table = fs::read_to_string(&file).unwrap();
    let (mut above, mut pairs) = (0.0, 0.0);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let all: Vec<(f32, bool)> = rows
        .records()
        .map(|r| r.unwrap())
        .map(|r| (r[1].parse().unwrap(), &r[3] == "true"))
        .collect();
    assert_eq!(all.len(), 1945);
    for (score, _) in all.iter().filter(|(_, poisoned)| *poisoned) {
        for (other, _) in all.iter().filter(|(_, poisoned)| !poisoned) {
            pairs += 1.0;
            above += if score > other {
                1.0
            } else if score == other {
                0.5
            } else {
                0.0
            };
        }
    }
    let expected = format!("{:.4}", above / pairs);
    assert!(auroc.contains(&expected), "{auroc}: {expected}");
    said(&[&first[..], &["--defense", "dao"]].concat());
    let head = fs::read_to_string(&file).unwrap();
    assert!(head.starts_with("id,score,dropped\n"), "nobody knows which are poisoned");
    for (more, part) in [
        (&["--defense", "finetune"][..], "scores no pairs"),
        (&["--attack", "badclip:target=banana"], "give it as --manifest"),
        (&["--manifest", "nowhere.json"], "nowhere.json"),
    ] {
        let done = toxiclip(&[&first[..], more].concat());
        assert_eq!(done.status.code(), Some(2));
        assert!(error(&done).contains(part), "{}", error(&done));
    }
    let blind = ["scan", "data", "--data", "emoji", "--out", text(&file), "--defense", "dao"];
    assert!(error(&toxiclip(&blind)).contains("give its --checkpoint"));
}

/// The same model on a graphics card: its embeddings differ by rounding alone, and rows say where they come from.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_embeds_and_measures_as_the_cpu_does() {
    let (place, bench) = (tempfile::tempdir().unwrap(), bench());
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::write(
        path("texts"),
        "a photo of a ewe\nbanana\na very long caption of many words about a ship\n",
    )
    .unwrap();
    let embed = |device: &str| {
        let (texts, out) = (path("texts"), path(device));
        let victim = text(&bench.victim);
        toxiclip(&[
            "embed",
            "--checkpoint",
            victim,
            "--texts",
            &texts,
            "--out",
            &out,
            "--device",
            device,
        ])
    };
    let done = embed("wgpu");
    if error(&done).contains("no adapter") {
        assert!(std::env::var_os("REQUIRE_GPU").is_none(), "{}", error(&done));
        return println!("SKIPPED, {}", error(&done));
    }
    assert!(done.status.success() && embed("cpu").status.success(), "{}", error(&done));
    let read = |device: &str| {
        let file = fs::read(path(device)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
        let bytes = tensors.tensor("text_features").unwrap().data().to_vec();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
    };
    let (card, cpu) = (read("wgpu"), read("cpu"));
    let most = card.iter().zip(&cpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(card.len() == cpu.len() && most < 1e-5, "{most}");
    assert!(most > 0.0, "another executor rounds in another way: was this the CPU?");

    let eval = |device: &str| {
        let (victim, out) = (text(&bench.victim), path(&format!("eval-{device}")));
        let task = ["--task", "zero-shot", "--data", "emoji"];
        said(
            &[&["eval", "--checkpoint", victim, "--out", &out, "--device", device], &task[..]]
                .concat(),
        );
        rows(Path::new(&out))
    };
    for (card, cpu) in eval("wgpu").iter().zip(eval("cpu")) {
        assert!(card["machine"].as_str().unwrap().starts_with("wgpu "), "{card}");
        let value = |row: &Value| row["value"].as_f64().unwrap();
        assert!((value(card) - value(&cpu)).abs() < 0.01, "{card} and {cpu}");
    }
}
