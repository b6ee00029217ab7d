//! Where files lie below the data folder. Names are identifiers of ours or checked words; nothing of a stranger's is a path.
//!
//! | place | content |
//! |---|---|
//! | `incoming/ID.part` | a bundle while it is uploaded; its length is the upload's offset |
//! | `bundles/ID.tar.zst` | a bundle that came whole |
//! | `work/ID-…/` | of one verification; swept at the start |
//! | `checked/ID/` | what a verified bundle holds, laid out by the checked reader |
//! | `accepted/SUBMITTER/NAME/` | the same, once accepted |

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::submission::Submission;
use crate::failure::{Failure, Result};

/// The file in a laid out bundle that names its submission.
pub(crate) const OWNER: &str = "submission";
/// The entries of a laid out bundle for the leaderboard.
pub(crate) const BOARD: &str = "board.json";

/// The data folder.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    root: PathBuf,
}

impl Places {
    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// If the data folder cannot be written.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let io = |e: io::Error| Failure::io(root, &e);
        if !root.exists() {
            fs::create_dir_all(root).map_err(io)?;
            // Bundles are nobody's business before they are accepted.
            private(root).map_err(io)?;
        }
        let root = fs::canonicalize(root).map_err(io)?;
        for folder in ["incoming", "bundles", "work", "checked", "accepted"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|e| Failure::io(&folder, &e))?;
        }
        Ok(Self { root })
    }

    /// Holds the data folder for one server, until the file is dropped or the process ends.
    ///
    /// # Errors
    /// If another holds it.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(|e| Failure::io(&path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::request(format!(
                "{}: another server uses this folder; stop it, or give another with --data DIR",
                self.root.display()
            ))),
            Err(TryLockError::Error(e)) => Err(Failure::io(&path, &e)),
        }
    }

    /// The folder of all.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("toxiclip.sqlite")
    }

    /// An upload.
    pub(crate) fn part(&self, id: &str) -> PathBuf {
        self.root.join("incoming").join(format!("{id}.part"))
    }

    /// A bundle.
    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.root.join("bundles").join(format!("{id}.tar.zst"))
    }

    /// A verification's folder.
    pub(crate) fn work(&self, id: &str, nonce: &str) -> PathBuf {
        self.root.join("work").join(format!("{id}-{nonce}"))
    }

    /// A verified bundle, laid out.
    pub(crate) fn checked(&self, id: &str) -> PathBuf {
        self.root.join("checked").join(id)
    }

    /// The same, once accepted.
    pub(crate) fn accepted(&self, of: &Submission) -> PathBuf {
        self.root.join("accepted").join(&of.submitter).join(&of.name)
    }

    /// Everything directly in one of the folders, sorted.
    pub(crate) fn entries(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        entries(&self.root.join(folder))
    }

    /// Folders below `accepted/SUBMITTER/`.
    pub(crate) fn all_accepted(&self) -> io::Result<Vec<PathBuf>> {
        let submitters = self.entries("accepted")?;
        let below = submitters.iter().map(|dir| entries(dir)).collect::<io::Result<Vec<_>>>()?;
        Ok(below.concat())
    }
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let all = fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path()));
    let mut all = all.collect::<io::Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

/// Renames, and has both folders on the disk before it returns.
///
/// # Errors
/// If the system refuses.
pub(crate) fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::rename(from, to)?;
    [from, to].iter().filter_map(|path| path.parent()).try_for_each(sync)
}

/// Removes a file or folder; one that is not there is fine.
///
/// # Errors
/// If the system refuses.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// Has all files and folders of a tree on the disk.
///
/// # Errors
/// If the system refuses.
pub(crate) fn sync_tree(dir: &Path) -> io::Result<()> {
    for path in entries(dir)? {
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(dir)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(unix)]
fn private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private(_: &Path) -> io::Result<()> {
    Ok(())
}
