//! The checked reader: what comes from a stranger is bounded, has plain names, and is what its table of contents says.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use toxiclip_shared::digest::Digest;

use super::pack::address;
use super::{BYTES, CONTENTS, Contents, FORMAT, MEMBERS, is_plain};
use crate::strict;

/// The largest window that a stream may ask for, as a power of two.
const WINDOW: u32 = 27;

/// Reads a bundle into memory.
///
/// # Errors
/// With the first thing that is not as it must be.
pub(super) fn unpack(bytes: &[u8]) -> Result<(Contents, BTreeMap<String, Vec<u8>>), String> {
    let mut stream = zstd::Decoder::new(bytes).map_err(|e| format!("is no bundle ({e})"))?;
    stream.window_log_max(WINDOW).map_err(|e| e.to_string())?;
    // One byte more than allowed, so that too many show.
    let mut archive = tar::Archive::new(stream.take(BYTES + 1));
    let mut members = BTreeMap::new();
    let mut first = None;
    let mut left = BYTES;
    for entry in archive.entries().map_err(|e| format!("is no bundle ({e})"))? {
        let mut entry = entry.map_err(|e| format!("is no bundle, or is cut ({e})"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !is_plain(&name) {
            return Err(format!(
                "the member `{}` has a name that none may have",
                name.escape_debug()
            ));
        }
        if !entry.header().entry_type().is_file() {
            return Err(format!("the member {name} is no plain file"));
        }
        left = left.checked_sub(entry.size()).ok_or(format!("holds more than {BYTES} bytes"))?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| format!("{name} is cut ({e})"))?;
        first.get_or_insert_with(|| name.clone());
        if members.insert(name.clone(), content).is_some() {
            return Err(format!("the member {name} comes twice"));
        }
        if members.len() > MEMBERS {
            return Err(format!("holds more than {MEMBERS} members"));
        }
    }
    if first.as_deref() != Some(CONTENTS) {
        return Err(format!("does not begin with {CONTENTS}"));
    }
    let contents = members.remove(CONTENTS).ok_or(format!("has no {CONTENTS}"))?;
    strict::check(&contents).map_err(|e| format!("{CONTENTS}: {e}"))?;
    let contents: Contents =
        serde_json::from_slice(&contents).map_err(|e| format!("{CONTENTS}: {e}"))?;
    check(&contents, &members)?;
    strictly(&contents, &members)?;
    Ok((contents, members))
}

/// No text of it can be read in two ways.
fn strictly(contents: &Contents, members: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let in_contents = |e| format!("{CONTENTS}: {e}");
    strict::name("benchmark", &contents.benchmark).map_err(in_contents)?;
    if let Some(link) = &contents.link {
        address(link).map_err(|e| in_contents(e.to_string()))?;
    }
    for (name, bytes) in members {
        let checked = match name.rsplit_once('.') {
            // A tokenizer has every character as a token.
            Some(_) if name.starts_with("checkpoint-") => Ok(()),
            Some((_, "json")) => strict::check(bytes),
            Some((_, "jsonl")) => strict::check_lines(bytes),
            _ => Ok(()),
        };
        checked.map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// Members and their table say the same.
fn check(contents: &Contents, members: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    if contents.format != FORMAT {
        return Err(format!("{CONTENTS}: format {} is not {FORMAT}", contents.format));
    }
    if let Some(name) = members.keys().find(|name| !contents.files.contains_key(*name)) {
        return Err(format!("the member {name} is not in {CONTENTS}"));
    }
    for (name, member) in &contents.files {
        let Some(bytes) = members.get(name) else {
            return Err(format!("the member {name} is missing"));
        };
        if bytes.len() as u64 != member.bytes || Digest::of_bytes(bytes) != member.sha256 {
            return Err(format!("the member {name} is not what {CONTENTS} says"));
        }
    }
    Ok(())
}

/// Puts the members below a folder of our own; their names have been checked.
pub(super) fn lay_out(members: &BTreeMap<String, Vec<u8>>, dir: &Path) -> std::io::Result<()> {
    for (name, bytes) in members {
        let path = dir.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
