//! Writes into the program which commit and compiler it was built from.
//!
//! Watches what the answer depends on: git's HEAD, the ref it names and their log, and every source that enters the
//! program, because an edit makes the tree dirty without touching git. The index is not watched: any `git status`
//! rewrites it, and what it could tell shows in the sources and in HEAD.

use std::path::Path;
use std::process::Command;

/// What the program is made of; a change elsewhere (documents, results) does not make a build dirty.
const SOURCES: [&str; 7] = [
    "native/src",
    "native/build.rs",
    "native/Cargo.toml",
    "shared",
    "benchmarks/encoders",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    for path in SOURCES.iter().map(|source| Path::new("..").join(source)).filter(|p| p.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    // Asked through git, since in a linked worktree these files are elsewhere.
    let reference = output("git", &["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(reference.as_deref()) {
        let path = output("git", &["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|p| Path::new(p).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = output("git", &["rev-parse", "HEAD"]);
    // Asking changes nothing: a build must not write to the repository, be it only git's index.
    let mut status = vec!["-C", "..", "--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    // Without git nobody can say what was built: such a build counts as dirty.
    let clean = commit.is_some() && output("git", &status).is_some_and(|text| text.is_empty());
    println!("cargo::rustc-env=TOXICLIP_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=TOXICLIP_DIRTY={}", !clean);
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=TOXICLIP_RUSTC={version}");
}

/// What a command prints, or `None` if it cannot be run or fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| text.trim().to_owned())
}
