//! Bundles: a finished run as one `.tar.zst` that others can check without the program that made it having to be trusted.
//!
//! | member | content |
//! |---|---|
//! | `bundle.json` | [`Contents`]: what it is about, and size and sha256 of every other member; comes first |
//! | `rows.jsonl` | the rows |
//! | `evidence/RUN.parquet` | what each row's value follows from |
//! | `armed/DIGEST.json` | the drawn attacks |
//! | `benchmark.toml` | what was asked |
//! | `protocol.json` | what its numbers mean, where its data were at hand; its digest is in the first member |
//! | `encoders/NAME.json` | the definitions of its encoders |
//! | `cards.json` | papers and threat models of its attacks and defenses |
//! | `checkpoint-DIGEST/…` | the models behind the rows, if asked for |
//!
//! Otherwise checkpoints are named by the digests of their weights, and by a link to where they lie if there is one.

mod checkpoints;
mod data;
mod hidden;
mod pack;
mod replay;
mod unpack;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toxiclip_shared::digest::Digest;

use crate::failure::{Failure, Result};
use crate::provenance::Code;

pub(crate) use data::check as check_samples;
pub use hidden::{Rescore, Score, commitment, rescore};
pub use pack::{Packed, Packing, pack};
pub use replay::Replay;
pub use verify::{Report, verify};

/// Raised when members have another meaning.
const FORMAT: u32 = 1;
/// The member that comes first.
const CONTENTS: &str = "bundle.json";
/// Members at most.
const MEMBERS: usize = 20_000;
/// Bytes of all members at most, unpacked.
const BYTES: u64 = 1 << 30;
/// What the numbers mean.
const PROTOCOL: &str = "protocol.json";
/// The folder of the encoders' definitions.
const ENCODERS: &str = "encoders";

/// `bundle.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    format: u32,
    /// Path of the benchmark below `benchmarks/`, without its ending.
    benchmark: String,
    /// The program that made the rows.
    code: Code,
    /// What it ran on.
    environment: Value,
    /// Digests of the weights behind the rows, ascending.
    checkpoints: Vec<Digest>,
    /// The address below which they lie, `checkpoint-DIGEST/` each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// Digest of `protocol.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Digest>,
    /// All other members.
    files: BTreeMap<String, Member>,
}

/// A member as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    bytes: u64,
    sha256: Digest,
}

impl Contents {
    /// Path of the benchmark below `benchmarks/`, without its ending.
    pub fn benchmark(&self) -> &str {
        &self.benchmark
    }

    /// What the numbers mean, as far as the bundle says it.
    pub fn protocol(&self) -> Option<Digest> {
        self.protocol
    }

    /// What the rows were made on.
    pub fn environment(&self) -> &Value {
        &self.environment
    }

    /// Where the checkpoints lie, if the bundle says it.
    pub fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }

    /// Whether the program was built from changed sources.
    pub fn dirty(&self) -> bool {
        self.code.dirty
    }
}

/// Lays the members of a bundle out below a folder of our own, as the run folder that it was made of.
///
/// # Errors
/// If it is no bundle, or the folder cannot be written to.
pub fn lay_out_at(bytes: &[u8], dir: &Path) -> Result<Contents> {
    let forged = |why: String| Failure::failed(format!("the bundle {why}"));
    let (contents, members) = unpack::unpack(bytes).map_err(forged)?;
    unpack::lay_out(&members, dir).map_err(|e| Failure::io(dir, &e))?;
    Ok(contents)
}

/// Whether a member may have this name: one or two plain words with a slash between.
fn is_plain(name: &str) -> bool {
    let word = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !word.is_empty() && !word.starts_with('.') && word.chars().all(plain)
    };
    name.len() <= 200 && name.split('/').count() <= 2 && name.split('/').all(word)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn members_have_plain_names() {
        for name in ["rows.jsonl", "evidence/ab12.parquet", "armed/a-b_c.json"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../rows.jsonl",
            "a/../b",
            "a//b",
            "a/b/c",
            ".x",
            "a/.x",
            "a b",
            "ä",
            "a\\b",
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
