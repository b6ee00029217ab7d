//! Folders below `www/` that are made of what is published: written whole, and compared file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::remove;
use crate::files::write_whole;

/// Contents by path in the folder.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

const REMEDY: &str = "`cargo xtask check-results --update` writes it";

/// Puts the files into their folder, in place of all that is there.
pub(super) fn write(folder: &Path, files: &Files) -> Result<()> {
    remove(folder)?;
    for (name, bytes) in files {
        write_whole(&folder.join(name), bytes)?;
    }
    Ok(())
}

/// As [`write`], into a folder that somebody named: it is empty, missing, or holds what was written before.
///
/// # Errors
/// If it holds something else, which is not removed.
pub(super) fn replace(folder: &Path, files: &Files) -> Result<()> {
    let ours = |folder: &Path| folder.join("leaderboard.json").exists();
    let empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut all| all.next().is_none());
    ensure!(
        !folder.exists() || ours(folder) || empty(folder),
        "{}: it holds something that is no leaderboard; give an empty folder with --out",
        folder.display()
    );
    write(folder, files)
}

/// Compares `www/FOLDER` with the files; a folder that is not there has none yet.
///
/// # Errors
/// If a file is missing, stale, or of nothing that is published or registered.
pub(super) fn check(root: &Path, folder: &str, files: &Files) -> Result<Option<String>> {
    let place = root.join("www").join(folder);
    if !place.exists() {
        return Ok(None);
    }
    for (name, bytes) in files {
        match fs::read(place.join(name)) {
            Ok(there) if there == *bytes => {}
            Ok(_) => bail!("www/{folder}/{name} is stale; {REMEDY}"),
            Err(_) => bail!("www/{folder}/{name} is missing; {REMEDY}"),
        }
    }
    for name in names(&place)? {
        ensure!(files.contains_key(&name), "www/{folder}/{name} is a page of nothing; {REMEDY}");
    }
    Ok(Some(format!("www/{folder}: {} files are fresh", files.len())))
}

/// Paths of all files below `place`, with slashes.
fn names(place: &Path) -> Result<BTreeSet<String>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![place.to_owned()]);
    while let Some(current) = folders.pop() {
        for file in fs::read_dir(&current).with_context(|| current.display().to_string())? {
            let path = file?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let parts = path.strip_prefix(place).unwrap_or(&path).iter();
            let parts: Vec<String> = parts.map(|p| p.to_string_lossy().into_owned()).collect();
            found.insert(parts.join("/"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_as_it_was_written_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([
            ("index.html".to_owned(), b"one".to_vec()),
            ("entry/a/b.html".to_owned(), b"two".to_vec()),
        ]);
        let look = || check(place.path(), "x", &files);
        let at = |name: &str| place.path().join("www/x").join(name);
        assert!(look().unwrap().is_none(), "nothing has been written yet");
        write(&place.path().join("www/x"), &files).unwrap();
        assert!(look().unwrap().unwrap().contains("2 files are fresh"));
        let error = || look().unwrap_err().to_string();
        fs::write(at("entry/a/gone.html"), "").unwrap();
        assert!(error().contains("entry/a/gone.html is a page of nothing"));
        fs::remove_file(at("entry/a/gone.html")).unwrap();
        fs::write(at("entry/a/b.html"), "old").unwrap();
        assert!(error().contains("entry/a/b.html is stale"));
        fs::write(at("entry/a/b.html"), "two").unwrap();
        fs::remove_file(at("index.html")).unwrap();
        assert!(error().contains("index.html is missing"));
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([("leaderboard.json".to_owned(), b"{}".to_vec())]);
        replace(place.path(), &files).unwrap();
        replace(place.path(), &files).unwrap();
        let other = place.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("thesis.tex"), "").unwrap();
        assert!(replace(&other, &files).unwrap_err().to_string().contains("no leaderboard"));
        assert!(other.join("thesis.tex").exists());
    }
}
