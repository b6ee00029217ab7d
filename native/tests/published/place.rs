//! A small repository in which everything can go wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use toxiclip::published::{build, check, publish};

/// A benchmark of two models.
pub(crate) const SPEC: &str = r#"
title = "Small"
analysis = "Nothing is asked; publishing is tested."
[matrix]
dataset = "emoji"
encoder = "tiny-resnet"
attack = ["none", { name = "single-label", from = "ewe", to = "airplane" }]
[train]
steps = 2
batch = 16
[tiny]
[finding]
question = "Does this | that?"
paper = "All of it (table 1)"
ours = "hit@10 {}, clean model {}"
values = [
    { metric = "hit@10", attack = "single-label" },
    { metric = "hit@10", attack = "none", against = "single-label" },
]
"#;

/// A repository with one benchmark, and a finished run of it.
pub(crate) struct Place(pub(crate) tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(SPEC, &[])
    }

    /// With a run of what `only` keeps of `spec`.
    pub(crate) fn of(spec: &str, only: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("benchmarks")).unwrap();
        fs::write(place.path("benchmarks/small.toml"), spec).unwrap();
        fs::write(
            place.path("README.md"),
            "# T\n<!-- results:findings -->\n<!-- /results:findings -->\n\
             <!-- results:small -->\n<!-- /results:small -->\nend\n",
        )
        .unwrap();
        place.run("run", only);
        place
    }

    /// Runs the benchmark into a folder.
    pub(crate) fn run(&self, to: &str, only: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        command
            .arg("run")
            .arg(self.path("benchmarks/small.toml"))
            .args(only.iter().flat_map(|cells| ["--only", *cells]))
            .args(["--cache", "none", "--out"]);
        let done = command.arg(self.path(to)).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // Whoever changes the program tests it before committing: its rows are dirty then, and refused.
        self.edit(&format!("{to}/rows.jsonl"), r#""dirty":true"#, r#""dirty":false"#);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(crate) fn publish(&self) -> Result<Vec<String>, String> {
        self.publish_from("run")
    }

    pub(crate) fn publish_from(&self, run: &str) -> Result<Vec<String>, String> {
        publish(self.0.path(), &self.path(run)).map_err(|e| format!("{e:#}"))
    }

    /// Builds the leaderboard in a folder of its own; what was said of each run.
    pub(crate) fn board(&self) -> Result<String, String> {
        let out = self.path("board");
        let said = build(self.0.path(), &self.path("benchmarks/results"), Some(&out));
        said.map(|lines| lines.join("\n")).map_err(|e| format!("{e:#}"))
    }

    /// The error of [`check`] while `name` holds another text.
    pub(crate) fn error_with(&self, name: &str, change: impl Fn(&str) -> String) -> String {
        let good = fs::read_to_string(self.path(name)).unwrap();
        let bad = change(&good);
        assert_ne!(good, bad, "{name}");
        fs::write(self.path(name), bad).unwrap();
        let error = format!("{:#}", check(self.0.path()).unwrap_err());
        fs::write(self.path(name), good).unwrap();
        assert!(!error.contains('\n'), "{error}");
        error
    }
}
