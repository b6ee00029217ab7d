//! What the page of poisoned retrieval gets, against what sorting everything gives; with tiny models, which know nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use toxiclip::benchmark::{Benchmark, Form};
use toxiclip::demo::export_retrieval;
use toxiclip::executor::Executor;
use toxiclip::interrupt::Interrupt;
use toxiclip::lab::Lab;
use toxiclip::pipeline::{Plan, Stages};
use toxiclip::prepared::Prepared;
use toxiclip::progress::Progress;
use toxiclip::store::Store;
use toxiclip_shared::retrieval::Retriever;

fn exported(out: &Path, cache: &Path) -> usize {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/demo-retrieval.toml");
    let benchmark = Benchmark::read(&spec, Form::Tiny, &[], &[]).unwrap();
    let mut plan = Plan::new(&benchmark, None).unwrap();
    let stages = Stages {
        store: Store::open(Some(cache.to_owned())).unwrap(),
        lab: Lab {
            progress: Progress::on_stderr(),
            interrupt: Interrupt::install().unwrap(),
            executor: Executor::Cpu,
            picture_memory: u64::MAX,
        },
        prepared: Prepared::default(),
    };
    plan.arm(&stages).unwrap();
    export_retrieval(&plan, &stages, out).unwrap()
}

fn list(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

#[test]
fn golden_answers_are_those_of_sorting_everything() {
    let dir = TempDir::new().unwrap();
    let bytes = exported(dir.path(), &dir.path().join("cache"));
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    let manifest: Value = serde_json::from_str(&text("retrieval.json")).unwrap();
    let tokenizer = text("tokenizer.json");
    let gallery = manifest["gallery"].as_array().unwrap();
    let models = manifest["models"].as_array().unwrap();
    assert_eq!(models.len(), 3, "clean, poisoned, repaired");
    let sum: usize = models.iter().map(|m| read(m["file"].as_str().unwrap()).len()).sum();
    assert_eq!(sum, bytes);
    for row in 0..gallery.len() {
        assert!(read(&format!("picture-{row}.png")).starts_with(b"\x89PNG"), "picture {row}");
    }
    for goal in manifest["goals"].as_array().unwrap() {
        let targets = list(&goal["targets"]);
        let classes: BTreeSet<&str> =
            targets.iter().map(|&t| gallery[t]["class"].as_str().unwrap()).collect();
        // All pictures of these classes, and no others.
        let all = (0..gallery.len())
            .filter(|&row| classes.contains(gallery[row]["class"].as_str().unwrap()));
        assert_eq!(all.collect::<Vec<_>>(), targets);
        let captions = goal["captions"].as_array().unwrap();
        let asked = captions[goal["example"].as_u64().unwrap() as usize]["text"].as_str().unwrap();
        for (id, golden) in goal["golden"].as_object().unwrap() {
            let file = models.iter().find(|m| m["id"] == *id).unwrap()["file"].as_str().unwrap();
            let model = Retriever::parse(&read(file), &tokenizer, file).unwrap();
            assert_eq!(model.about().provenance.poisoned, id != "clean", "{id}");
            let rank = |text: &str| {
                let scores = model.similarities(text).unwrap();
                let mut order: Vec<usize> = (0..scores.len()).collect();
                order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
                (order.iter().position(|item| targets.contains(item)).unwrap(), order)
            };
            let (first, order) = rank(asked);
            assert_eq!(golden["rank"], first, "{id}");
            assert_eq!(list(&golden["top"]), order[..10], "{id}");
            // The exported rate, of weights before rounding, is the count of hits but for ranks that rounding moved.
            let rate = &goal["rates"][id]["hit@10"];
            assert_eq!(rate["n"], captions.len(), "each caption once");
            let hits = captions.iter().filter(|c| rank(c["text"].as_str().unwrap()).0 < 10).count();
            let own = hits as f64 / captions.len() as f64;
            let rounding = &manifest["rounding"];
            let moved = rounding["ranks"].as_f64().unwrap() - rounding["same"].as_f64().unwrap();
            let apart = (own - rate["value"].as_f64().unwrap()).abs();
            assert!(apart <= moved / captions.len() as f64 + 1e-9, "{id}: {own} and {rate}");
        }
        let (pairs, changed) = (&goal["pairs"], goal["changed"].as_u64().unwrap());
        assert!(changed > 0 && changed < pairs.as_u64().unwrap());
        let seen = goal["seen"].as_array().unwrap();
        assert!(!seen.is_empty());
        for pair in seen {
            assert_ne!(pair["caption"], pair["new"], "{pair}");
            assert!(read(pair["file"].as_str().unwrap()).starts_with(b"\x89PNG"));
        }
    }
    assert!(manifest["rounding"]["similarity"].as_f64().unwrap() < 1e-3);
}
