//! Comparisons, ablations and what a report refuses or says about its rows.

use super::*;
use toxiclip::report::extras::{ClassMap, MapPanel};

/// The page and the Markdown file of a directory.
fn pages(dir: &Path, allow_mixed: bool) -> (String, String, Vec<String>) {
    let finding = write(&[dir], &ReportOptions { allow_mixed, out: None }).unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    (read(&finding.html), read(&finding.markdown), finding.notes)
}

/// The synthetic run with changed rows.
fn changed(change: impl Fn(&mut Vec<Row>)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    synthetic(dir.path());
    let path = dir.path().join("rows.jsonl");
    let mut rows = toxiclip::row::read(&path).unwrap().rows;
    change(&mut rows);
    // Not row by row, each of which waits for the disk.
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    dir
}

/// The cells of the Markdown row that starts with `start`.
fn cells(markdown: &str, start: &str) -> Vec<String> {
    let line =
        markdown.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn models_are_compared_on_the_same_queries() {
    let dir = changed(|_| ());
    let (html, markdown, notes) = pages(dir.path(), false);
    assert!(notes.is_empty(), "{notes:?}");
    let attack = cells(&markdown, "| hit@10 on the goals of single-label | single-label − clean |");
    assert!(
        attack[3].starts_with("+0.7") && attack[4..6] == ["< 0.001", "attack stronger"],
        "{attack:?}"
    );
    let defense = cells(
        &markdown,
        "| hit@10 on the goals of single-label | single-label + finetune − single-label |",
    );
    assert!(defense[3].starts_with("−0.7") && defense[5] == "attack weaker", "{defense:?}");
    let utility = cells(&markdown, "| ir@10 | single-label − clean |");
    assert_eq!(utility[5], "not clear", "{utility:?}");
    assert!(html.contains("id=\"comparisons\"") && html.contains("200 queries about 40 pictures"));
    assert!(
        html.contains("places from all 6 comparisons, corrected together")
            && html.contains("3 of 3")
    );
    // Clean models share the first places, the undefended attack has the last one.
    let places: Vec<&str> =
        html.split("<th scope=\"row\">").skip(1).filter_map(|t| t.split("</th>").next()).collect();
    assert!(places.contains(&"1–2") && places.contains(&"4"), "{places:?}");
}

#[test]
fn a_report_has_the_same_bytes_every_time() {
    let dir = changed(|_| ());
    assert_eq!(pages(dir.path(), false), pages(dir.path(), false));
}

#[test]
fn modified_sources_are_compared_only_on_demand() {
    let dir = changed(|rows| rows.iter_mut().for_each(|row| row.code.dirty = true));
    let (html, markdown, notes) = pages(dir.path(), false);
    assert!(!html.contains("id=\"comparisons\"") && !markdown.contains("verdict"));
    assert!(
        notes[0].starts_with("models are not compared: rows of modified sources (000000000000"),
        "{notes:?}"
    );
    assert!(html.contains("say --allow-mixed"));
    let (html, markdown, notes) = pages(dir.path(), true);
    assert!(html.contains("id=\"comparisons\"") && markdown.contains("verdict"));
    assert!(notes[0].starts_with("models are compared all the same"), "{notes:?}");
}

#[test]
fn a_missing_seed_is_one_line() {
    let lost = |row: &Row| {
        row.seed == 1 && row.attack["name"] == "single-label" && row.defense["name"] == "none"
    };
    let dir = changed(|rows| rows.retain(|row| !lost(row)));
    let (html, _, notes) = pages(dir.path(), false);
    assert_eq!(notes, ["single-label has no value for seed 1: its means are over 0, 2"]);
    assert!(html.contains("2 of 2"), "only seeds in common are compared");
}

#[test]
fn other_recipes_and_protocols_are_refused() {
    let recipe = |rows: &mut Vec<Row>| rows[0].config = Digest::of(&"other");
    let error = error_after(false, recipe).unwrap();
    assert!(error.contains("2 configurations") && error.contains("--allow-mixed"), "{error}");
    assert_eq!(error_after(true, recipe), None);
    let (one, two) = (
        changed(|rows| rows.retain(|r| r.seed == 0)),
        changed(|rows| rows.retain(|r| r.seed == 1)),
    );
    for (dir, protocol) in [(&one, "a"), (&two, "b")] {
        ReportExtras { protocol: Some(Digest::of(&protocol)), ..extras() }
            .write(dir.path())
            .unwrap();
    }
    let both = [one.path(), two.path()];
    let error = format!("{:#}", write(&both, &ReportOptions::default()).unwrap_err());
    assert!(error.contains("2 protocols or recipes"), "{error}");
    let allowed = ReportOptions { allow_mixed: true, out: None };
    assert!(write(&both, &allowed).unwrap().notes[0].contains("2 protocols or recipes"));
}

/// Evidence and rows of one model whose parameters are not those of [`spec`].
fn measure_as(
    dir: &Path,
    rows: &mut RowFile,
    attack: &Value,
    seed: u64,
    hit: f32,
    goals: [&str; 2],
) {
    let noise = Seed::new(seed).child(attack);
    let mut evidence = judgements(Task::Hit, 100, 5, hit, &noise);
    for (i, judgement) in evidence.iter_mut().enumerate() {
        judgement.goal = Some(goals[usize::from(i >= 50)].to_owned());
    }
    evidence.extend(judgements(Task::ImageRetrieval, 200, 5, 0.8, &noise));
    let config = Digest::of(attack);
    let base = Row {
        run: Digest::of(&(config, seed)),
        attack: attack.clone(),
        config,
        ..row(&MODELS[2], None, seed, "")
    };
    evidence::write(&dir.join(format!("evidence/{}.parquet", base.run)), &evidence).unwrap();
    for v in values(&evidence).unwrap() {
        let (value, lo, hi) = (Some(v.value), Some(v.lo), Some(v.hi));
        rows.append(&Row { metric: v.metric, value, lo, hi, n: v.n, ..base.clone() }).unwrap();
    }
}

#[test]
fn a_varied_number_becomes_a_curve() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, _) = RowFile::open(&dir.path().join("rows.jsonl")).unwrap();
    for seed in 0..2 {
        for (rate, hit) in [(0.05, 0.1), (0.25, 0.5), (1.0, 0.95)] {
            let attack =
                json!({"name": "single-label", "from": "ewe", "to": "airplane", "rate": rate});
            measure_as(dir.path(), &mut rows, &attack, seed, hit, ["ewe → airplane"; 2]);
        }
    }
    let (html, ..) = pages(dir.path(), false);
    assert!(html.contains("id=\"ablations\""));
    let title = html
        .split("<h3>")
        .find(|part| part.starts_with("hit@10 of single-label rises: 0."))
        .unwrap();
    assert!(title.contains(" at rate of single-label 0.05, 0.9"), "{}", &title[..80]);
    assert!(
        html.contains("rate of single-label (share of A's rows), logarithmic"),
        "an axis over a factor of 20"
    );
    assert!(html.contains("ir@10 of single-label does not clearly change"));
    assert_eq!(html.matches("class=\"spread poisoned\"").count(), 2);
    assert!(html.contains("single-label:rate=0.25"));
}

#[test]
fn two_values_make_no_curve_and_what_is_not_given_no_label() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, _) = RowFile::open(&dir.path().join("rows.jsonl")).unwrap();
    for (count, hit) in [(Value::Null, 0.1), (3.into(), 0.95)] {
        let attack = json!({"name": "single-label", "count": count});
        measure_as(dir.path(), &mut rows, &attack, 0, hit, ["ewe → airplane"; 2]);
    }
    let (html, markdown, _) = pages(dir.path(), false);
    assert!(!html.contains("id=\"ablations\""));
    assert!(markdown.contains("| single-label | none |"), "{markdown}");
    assert!(markdown.contains("| single-label:count=3 | none |"), "{markdown}");
}

#[test]
fn pairs_of_classes_and_goals_become_heat_maps() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, _) = RowFile::open(&dir.path().join("rows.jsonl")).unwrap();
    for (from, to, hit) in
        [("ewe", "dog", 0.9), ("ewe", "pizza", 0.1), ("cat", "dog", 0.2), ("cat", "pizza", 0.3)]
    {
        let attack = json!({"name": "single-label", "from": from, "to": to});
        measure_as(dir.path(), &mut rows, &attack, 0, hit, ["a → b", "c → d"]);
    }
    let (html, ..) = pages(dir.path(), false);
    assert!(html.contains("class asked about by class fetched"));
    assert!(html.contains("for ewe → dog and") && html.contains("for ewe → pizza"));
    assert!(html.contains("of 2 goals") && html.matches("class=\"heat\"").count() == 1);
    // Heads that are long stand upright: attack by model is one map for each of four attacks.
    assert_eq!(html.matches("class=\"heat many\"").count(), 4);
}

#[test]
fn maps_say_how_many_captions_crossed_over() {
    let dir = changed(|_| ());
    let panel = |role, label: &str, captions: [f64; 2]| MapPanel {
        role,
        label: label.into(),
        from: vec![[-1.0, 0.0], [-1.0, 0.2]],
        to: vec![[1.0, 0.0], [1.2, 0.1]],
        captions: captions.map(|x| [x, 0.5]).to_vec(),
        crossed: captions.iter().filter(|x| **x > 0.0).count() as f64 / 2.0,
        kept: 0.75,
    };
    let map = ClassMap {
        attack: "single-label".into(),
        goal: "ewe → airplane".into(),
        panels: vec![
            panel(Role::Clean, "clean", [-0.9, -1.1]),
            panel(Role::Poisoned, "single-label", [0.9, -0.3]),
        ],
    };
    ReportExtras { maps: vec![map], ..extras() }.write(dir.path()).unwrap();
    let (html, ..) = pages(dir.path(), false);
    let title = "Captions of ewe that lie nearer to pictures of airplane: 0\u{a0}% (clean), 50\u{a0}% (single-label)";
    assert!(html.contains(title));
    assert_eq!(html.matches("class=\"dot cross\"").count(), 4 + 1, "captions and their legend");
}
