//! The smoke benchmarks: they name the whole catalogue, and all of it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::defenses::DEFENSES;

/// One for everything that any encoder can meet, one for what needs tokens.
fn files() -> [PathBuf; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/smoke");
    ["all.toml", "tokens.toml"].map(|name| folder.join(name))
}

#[test]
fn the_smoke_benchmarks_name_the_whole_catalogue() {
    let read = |file| fs::read_to_string(file).unwrap().parse::<toml::Table>().unwrap();
    let tables = files().map(read);
    let named = |key: &str| -> BTreeSet<String> {
        let name =
            |v: &toml::Value| v.as_str().unwrap_or_else(|| v["name"].as_str().unwrap()).to_owned();
        tables.iter().flat_map(|t| t["matrix"][key].as_array().unwrap()).map(name).collect()
    };
    let attacks: BTreeSet<String> = ATTACKS.iter().map(|e| e.card.name.to_owned()).collect();
    let defenses: BTreeSet<String> = DEFENSES.iter().map(|e| e.card.name.to_owned()).collect();
    assert_eq!((named("attack"), named("defense")), (attacks, defenses));
}

#[test]
fn every_attack_and_every_defense_runs_to_the_end() {
    let mut text = String::new();
    for file in files() {
        let out = tempfile::tempdir().unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_toxiclip"))
            .args(["run", "--cache", "none", "--out"])
            .arg(out.path())
            .arg(file)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        text += &fs::read_to_string(out.path().join("rows.jsonl")).unwrap();
    }
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let met: BTreeSet<(&str, &str)> = rows
        .iter()
        .filter(|row| row["value"].is_number() && row["against"].is_null())
        .map(|row| {
            (row["attack"]["name"].as_str().unwrap(), row["defense"]["name"].as_str().unwrap())
        })
        .collect();
    // Two attacks meet every defense, and two defenses every attack.
    assert_eq!(met.len(), 2 * (ATTACKS.len() + DEFENSES.len()) - 4, "{met:?}");
}
