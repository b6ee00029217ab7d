//! Closing a stage, and checking that a closed one is as it was.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toxiclip_shared::digest::Digest;

const LIST: &str = "stage.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    stage: String,
    version: u32,
    files: Vec<Sealed>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// Relative to the stage's folder, with `/`.
    path: String,
    size: u64,
    sha256: Digest,
}

type IoResult<T> = Result<T, (PathBuf, io::Error)>;

/// Lists, syncs and renames `partial` to `done`. The order matters: contents reach the disk before the list, the list
/// before the checkpoints go, and all of it before the name: a kill at any point leaves something to go on from.
pub(super) fn finish(partial: &Path, done: &Path, stage: &str, version: u32) -> IoResult<()> {
    let list = partial.join(LIST);
    let files = contents(partial)?;
    for file in &files {
        let path = partial.join(&file.path);
        at(&path, File::open(&path).and_then(|f| f.sync_all()))?;
    }
    let seal = Seal { stage: stage.to_owned(), version, files };
    let json = serde_json::to_vec_pretty(&seal).map_err(|e| (list.clone(), e.into()))?;
    at(&list, fs::write(&list, json))?;
    at(&list, File::open(&list).and_then(|f| f.sync_all()))?;
    let resume = partial.join(super::RESUME);
    if resume.exists() {
        at(&resume, fs::remove_dir_all(&resume))?;
    }
    at(partial, sync_dir(partial))?;
    at(done, fs::rename(partial, done))?;
    done.parent().map_or(Ok(()), |parent| at(parent, sync_dir(parent)))
}

/// Compares a finished folder with its list; says in a few words what differs.
pub(super) fn check(done: &Path) -> Result<(), String> {
    let json = fs::read(done.join(LIST)).map_err(|e| format!("{LIST} is unreadable ({e})"))?;
    let seal: Seal =
        serde_json::from_slice(&json).map_err(|e| format!("{LIST} is malformed ({e})"))?;
    let found = contents(done).map_err(|(path, e)| format!("{}: {e}", path.display()))?;
    for file in &seal.files {
        match found.iter().find(|f| f.path == file.path) {
            None => return Err(format!("{} is missing", file.path)),
            Some(f) if f != file => return Err(format!("{} has changed", file.path)),
            Some(_) => {}
        }
    }
    if found.len() > seal.files.len() {
        return Err("it holds files that its list does not name".to_owned());
    }
    Ok(())
}

/// All files below `dir`, sorted by path, without the list itself and the checkpoints of unfinished work.
fn contents(dir: &Path) -> IoResult<Vec<Sealed>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in at(&folder, fs::read_dir(&folder))? {
            let path = at(&folder, entry)?.path();
            if path.is_dir() {
                if path != dir.join(super::RESUME) {
                    folders.push(path);
                }
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if name != LIST {
                let file = at(&path, File::open(&path))?;
                let size = at(&path, file.metadata())?.len();
                let sha256 = at(&path, Digest::of_reader(file))?;
                files.push(Sealed { path: name, size, sha256 });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Makes names durable; only Unix lets a folder be opened for it.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

fn at<T>(path: &Path, result: io::Result<T>) -> IoResult<T> {
    result.map_err(|error| (path.to_owned(), error))
}
