//! A report of a small synthetic run: nothing in it was measured, and its title says so.
//! The page stays in the target folder (`tmp/report/`) for looking at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toxiclip::provenance::Code;
use toxiclip::report::extras::{
    Budget, Card, Cost, Curve, Fact, Picture, PoisonedPair, Ranking, ReportExtras, Retrieval,
    Retrieved, Role,
};
use toxiclip::report::{ReportOptions, aggregate::Results, write};
use toxiclip::row::{Row, RowFile};
use toxiclip::{evidence, table};
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task, values};
use toxiclip_shared::seed::Seed;

#[path = "report/comparisons.rs"]
mod comparisons;
#[path = "report/synthetic.rs"]
mod synthetic;

use synthetic::*;

fn kept_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn has_all_parts_and_needs_no_network() {
    let dir = kept_dir();
    synthetic(&dir);
    let finding = write(&[&dir], &ReportOptions::default()).unwrap();
    assert!(
        finding.sentence.starts_with("With 27 of 2,012 training pairs changed (1.3\u{a0}%), "),
        "{}",
        finding.sentence
    );
    assert!(finding.sentence.contains("After finetune"), "{}", finding.sentence);
    let html = fs::read_to_string(&finding.html).unwrap();
    let anchors = [
        "table",
        "plot",
        "comparisons",
        "poisoned",
        "retrieval",
        "curves",
        "cost",
        "threat",
        "methods",
        "repeat",
        "responsible",
    ];
    let places = anchors
        .map(|a| html.find(&format!("id=\"{a}\"")).unwrap_or_else(|| panic!("no section {a}")));
    assert!(places.is_sorted(), "sections in the order of the page: {places:?}");
    assert!(html.contains("of 549") && html.contains("seeds 0, 1, 2") && html.contains("<del>"));
    assert!(html.len() < 3_000_000);
    for outside in ["http://", "https://", "src=\"/", "url(", "@import"] {
        assert!(!html.contains(outside), "the page refers to {outside}");
    }
    assert_eq!(
        html.matches("<img ").count(),
        html.matches("alt=\"").count(),
        "every picture has a text"
    );
    let balanced = |tag: &str| {
        html.matches(&format!("<{tag}")).count() == html.matches(&format!("</{tag}>")).count()
    };
    assert!(["section", "table", "figure", "svg", "ul", "details"].iter().all(|t| balanced(t)));
    let markdown = fs::read_to_string(&finding.markdown).unwrap();
    assert!(markdown.contains("| emoji | tiny-resnet | single-label | finetune | 0."));
    assert_eq!(finding.table.lines().count(), 5, "{}", finding.table);
}

#[test]
fn seeds_are_averaged_and_the_interval_covers_them() {
    let dir = tempfile::tempdir().unwrap();
    synthetic(dir.path());
    let results = Results::load(&[dir.path()], false).unwrap();
    let is = |k: &&toxiclip::report::aggregate::Key| {
        k.attack == "single-label" && k.defense == "none" && k.metric == "hit@10"
    };
    let key = results.keys.iter().find(is).unwrap();
    let estimate = results.get(key).unwrap();
    let mine = results.rows.iter().filter(|r| results.key(r) == *key);
    let values: Vec<f64> = mine.filter_map(|r| r.value).collect();
    assert_eq!((values.len(), estimate.seeds.as_slice(), estimate.n), (3, &[0, 1, 2][..], 200));
    assert!((estimate.value - values.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    assert!(estimate.interval.lo < estimate.value && estimate.value < estimate.interval.hi);
}

/// The error of aggregating after `change` has been made to the rows.
fn error_after(allow_mixed: bool, change: impl Fn(&mut Vec<Row>)) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    synthetic(dir.path());
    let path = dir.path().join("rows.jsonl");
    let mut rows = toxiclip::row::read(&path).unwrap().rows;
    change(&mut rows);
    fs::remove_file(&path).unwrap();
    let (mut file, _) = RowFile::open(&path).unwrap();
    rows.iter().for_each(|row| file.append(row).unwrap());
    write(&[dir.path()], &ReportOptions { allow_mixed, out: None }).err().map(|e| format!("{e:#}"))
}

#[test]
fn a_value_that_its_evidence_does_not_give_is_refused() {
    assert_eq!(error_after(false, |_| ()), None);
    let moved = error_after(false, |rows| rows[3].value = rows[3].value.map(|v| v - 1e-6)).unwrap();
    assert!(moved.contains("its evidence"), "{moved}");
    assert!(error_after(false, |rows| rows[3].n += 1).unwrap().contains("its evidence"));
}

#[test]
fn duplicates_and_mixtures_are_refused() {
    let twice = error_after(false, |rows| rows.push(rows[0].clone())).unwrap();
    assert!(twice.contains("two values"), "{twice}");
    let other_commit = |rows: &mut Vec<Row>| rows[0].code.commit = "1111".into();
    let mixed = error_after(false, other_commit).unwrap();
    assert!(mixed.contains("2 commits") && mixed.contains("--allow-mixed"), "{mixed}");
    assert_eq!(error_after(true, other_commit), None);
    let data = error_after(false, |rows| rows[0].data = Digest::of(&"other")).unwrap();
    assert!(data.contains("2 versions of emoji"), "{data}");
}

#[test]
fn a_failed_cell_is_shown_and_a_later_try_replaces_it() {
    let fail = |row: &mut Row| {
        (row.value, row.lo, row.hi) = (None, None, None);
        row.error = Some("the loss is not finite at step 12".into());
    };
    let retried = |rows: &mut Vec<Row>| {
        let mut failed = rows[0].clone();
        fail(&mut failed);
        rows.insert(0, failed);
    };
    assert_eq!(error_after(false, retried), None);
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, _) = RowFile::open(&dir.path().join("rows.jsonl")).unwrap();
    let mut failed = row(&MODELS[2], None, 0, "hit@10");
    fail(&mut failed);
    rows.append(&failed).unwrap();
    let finding = write(&[dir.path()], &ReportOptions::default()).unwrap();
    assert!(finding.sentence.contains("1 of 1 models failed"), "{}", finding.sentence);
    let text = table::render(&Results::load(&[dir.path()], false).unwrap());
    assert!(text.contains("single-label failed: seed 0: the loss is not finite"), "{text}");
}

#[test]
fn names_of_users_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    synthetic(dir.path());
    let mut extras = extras();
    extras.title = "<script>alert(1)</script>".into();
    extras.retrievals[0].query = "\"><img src=x>".into();
    extras.write(dir.path()).unwrap();
    let finding = write(&[dir.path()], &ReportOptions::default()).unwrap();
    let html = fs::read_to_string(finding.html).unwrap();
    assert!(!html.contains("<script>alert") && !html.contains("<img src=x>"));
}
