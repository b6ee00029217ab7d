//! One verification, in a process of its own: it bounds its memory, ends with its server, and says one line of JSON.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::board;
use super::places::{BOARD, OWNER, sync_tree};
use crate::bundle::{self, Report};
use crate::failure::{Failure, Result};
use crate::files::write_whole;
use crate::output;

/// What is to be verified, and where its content is laid out.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// The bundle.
    pub(crate) bundle: &'a Path,
    /// The folder for its content.
    pub(crate) into: &'a Path,
    /// The submission.
    pub(crate) id: &'a str,
    /// MiB of address space.
    pub(crate) memory: u64,
    /// Data that do not come with the program.
    pub(crate) data_root: Option<PathBuf>,
}

/// The line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    /// Why it is refused; nothing where it is verified.
    pub(crate) refused: Option<String>,
    /// Checks that were passed.
    pub(crate) passed: Vec<String>,
    /// Checks that could not be made.
    pub(crate) skipped: Vec<String>,
    /// Digest of its rows.
    pub(crate) content: String,
}

/// Verifies and prints the verdict.
///
/// # Errors
/// If it is not the bundle's fault: no limit can be set, or the disk is full.
pub(crate) fn run(task: &Task<'_>) -> Result<()> {
    end_with_server();
    limit_memory(task.memory)?;
    let verdict = match verified(task) {
        Ok(verdict) => verdict,
        Err(full @ Failure::Full(_)) => return Err(full),
        Err(failure) => Verdict {
            refused: Some(failure.to_string()),
            passed: Vec::new(),
            skipped: Vec::new(),
            content: String::new(),
        },
    };
    output::print(&json!(verdict).to_string())
}

fn verified(task: &Task<'_>) -> Result<Verdict> {
    let bytes = std::fs::read(task.bundle).map_err(|e| Failure::io(task.bundle, &e))?;
    let Report { passed, skipped, .. } = bundle::verify(&bytes, task.data_root.as_deref(), None)?;
    let content = lay_out(&bytes, task.into, task.id)?;
    Ok(Verdict { refused: None, passed, skipped, content })
}

/// Lays a verified bundle out through the checked reader, with its estimates and its owner; returns the digest of its rows.
///
/// # Errors
/// If it cannot be read, or the disk is full.
pub(crate) fn lay_out(bundle: &[u8], into: &Path, id: &str) -> Result<String> {
    let io = |e: std::io::Error| Failure::io(into, &e);
    std::fs::create_dir_all(into).map_err(io)?;
    bundle::lay_out_at(bundle, into)?;
    let (entries, content) = board::estimates(into)?;
    write_whole(&into.join(BOARD), entries.to_string().as_bytes())?;
    write_whole(&into.join(OWNER), id.as_bytes())?;
    // All of it is on the disk before anybody says that it was verified.
    sync_tree(into).map_err(io)?;
    Ok(content.to_string())
}

/// The server holds the other end of our input: when it ends, however it does, so do we.
fn end_with_server() {
    std::thread::spawn(|| {
        let mut nothing = [0];
        while std::io::stdin().read(&mut nothing).is_ok_and(|n| n > 0) {}
        std::process::exit(1);
    });
}

/// What goes beyond ends the process, and nothing else on the machine.
fn limit_memory(mebibytes: u64) -> Result<()> {
    let most = Some(mebibytes.saturating_mul(1 << 20));
    let limit = Rlimit { current: most, maximum: most };
    setrlimit(Resource::As, limit).map_err(|e| {
        Failure::failed(format!("the memory of a verification cannot be limited: {e}"))
    })?;
    // A crash is told by its signal; it need not leave an image of the memory behind.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|e| Failure::failed(format!("core: {e}")))
}
