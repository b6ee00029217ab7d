//! Records which sources the program is made of: commit, whether they differ from it, compiler.

use std::path::Path;
use std::process::Command;

/// What the program is compiled from. Changes elsewhere (pages, benchmarks) do not make it dirty.
const SOURCES: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "native",
    "shared",
    "benchmarks/encoders",
    ".cargo",
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let git = |args: &[&str]| output(Command::new("git").arg("-C").arg(root).args(args));
    for source in SOURCES {
        watch(&root.join(source));
    }
    // HEAD changes with the branch, the branch's file or `packed-refs` with its commits.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]).unwrap_or_default();
    for name in ["HEAD", branch.as_str(), "packed-refs", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|_| !name.is_empty()) {
            watch(&root.join(path));
        }
    }
    // A copy of the sources inside someone else's repository has no commit of its own.
    let ours = git(&["ls-files", "native/build.rs"]).is_some_and(|f| !f.is_empty());
    let commit = git(&["rev-parse", "HEAD"]).filter(|_| ours);
    let mut status = vec!["status", "--porcelain", "--"];
    status.extend(SOURCES);
    let dirty = commit.is_none() || git(&status).is_none_or(|changes| !changes.is_empty());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output(Command::new(rustc).arg("--version"));
    set("TOXICLIP_COMMIT", commit);
    set("TOXICLIP_DIRTY", Some(dirty.to_string()));
    set("TOXICLIP_RUSTC", version);
}

/// A command's output on one line, `None` if it failed or is not installed.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// Paths that do not exist are left out: cargo would build again every time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn set(key: &str, value: Option<String>) {
    println!("cargo::rustc-env={key}={}", value.unwrap_or_else(|| "unknown".into()));
}
