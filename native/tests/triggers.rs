//! The benchmark of triggers in its small form: every attack is judged beside the clean model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_trigger_is_judged_beside_the_clean_model() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/triggers.toml");
    let done = Command::new(env!("CARGO_BIN_EXE_toxiclip"))
        .args(["run", "--tiny", "--cache"])
        .arg(place.path().join("cache"))
        .arg("--out")
        .arg(&out)
        .arg(&file)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(out.join("rows.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |attack: &str, against: Option<&str>| -> BTreeSet<&str> {
        let asked = |row: &&Value| {
            row["attack"]["name"] == attack && row["against"]["name"].as_str() == against
        };
        rows.iter().filter(asked).map(|row| row["metric"].as_str().unwrap()).collect()
    };
    for attack in ["badnets", "blended", "sig"] {
        let own = of(attack, None);
        assert!(["asr", "asr-all", "asr-lift", "ra"].iter().all(|m| own.contains(m)), "{own:?}");
        let control = of("none", Some(attack));
        assert!(["asr", "asr-all", "ra"].iter().all(|m| control.contains(m)), "{control:?}");
        assert!(!control.contains("asr-lift"), "the control has nothing to be lifted from");
    }
}
