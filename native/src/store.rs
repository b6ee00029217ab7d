//! The stage cache: a finished stage is a folder `<stage>/<key>/`, named by what went into it.
//!
//! A stage is computed in `<key>.partial/`, which survives a kill so that the work inside may resume from its
//! own checkpoints; it is then sealed (every file listed with size and SHA-256 in `stage.json`), synced and renamed.
//! A folder under its final name is therefore complete, and what is read back is checked against the list:
//! an entry that does not match is thrown away and computed again. One lock file per key lets processes share a cache.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toxiclip_shared::digest::Digest;

use crate::failure::{Failure, Result};

mod seal;

pub use crate::files::write_whole as write_atomic;

/// Checkpoints of unfinished work live in this folder of a stage; sealing removes it.
pub const RESUME: &str = "resume";

/// A folder of finished stages, shared by all commands and processes.
pub struct Store {
    root: PathBuf,
    /// A private folder that ends with the process (`--cache none`).
    temporary: bool,
    /// Entries that were found and checked; they are not read again by this process.
    checked: Mutex<BTreeSet<PathBuf>>,
    computed: AtomicUsize,
    reused: AtomicUsize,
    notice: Box<dyn Fn(&str) + Send + Sync>,
}

/// How often the cache was of use since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Stages that ran.
    pub computed: usize,
    /// Stages that were found finished.
    pub reused: usize,
}

impl Store {
    /// Opens the cache at `dir`, making the folder; `None` makes a private one that is removed when the store is dropped.
    /// Notices (waiting for another process, a damaged entry) go to stderr, one line each.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(dir: Option<PathBuf>) -> Result<Self> {
        let temporary = dir.is_none();
        let root = dir.unwrap_or_else(|| {
            let unique = unique();
            std::env::temp_dir().join(format!("toxiclip-{unique}"))
        });
        fs::create_dir_all(&root).map_err(|e| refused(&root, &e))?;
        Ok(Self {
            root,
            temporary,
            checked: Mutex::default(),
            computed: AtomicUsize::new(0),
            reused: AtomicUsize::new(0),
            notice: Box::new(|line| eprintln!("{line}")),
        })
    }

    /// Sends notices to `sink` instead of stderr: a progress bar has to step aside for them.
    #[must_use]
    pub fn with_notices(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notice = Box::new(sink);
        self
    }

    /// `$XDG_CACHE_HOME/toxiclip`, else `~/.cache/toxiclip`.
    ///
    /// # Errors
    /// If neither variable is set.
    pub fn default_dir() -> Result<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // The XDG specification: a relative path there is invalid and to be ignored.
        let cache = set("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
        let cache = cache.or_else(|| Some(set("HOME")?.join(".cache"))).ok_or_else(|| {
            Failure::request(
                "no cache folder: neither XDG_CACHE_HOME nor HOME is set; give --cache DIR or none",
            )
        })?;
        Ok(cache.join("toxiclip"))
    }

    /// The finished folder of a stage: found, or made by `work`, which gets the folder to fill.
    ///
    /// `key` is the digest of all inputs and resolved parameters, `version` the constant beside the stage's code.
    /// `work` may find files of an earlier, interrupted attempt at the same key; what it keeps under
    /// [`RESUME`] is removed when the stage is sealed. If `work` fails, its folder stays for the next attempt.
    ///
    /// # Errors
    /// Those of `work`; or the cache folder cannot be written, naming the path.
    pub fn stage(
        &self,
        stage: &str,
        key: Digest,
        version: u32,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let key = Digest::of(&(stage, version, key));
        let done = self.root.join(stage).join(key.to_string());
        // Finished entries never change, so this look needs no lock and works on a read-only cache.
        if self.is_sound(&done) {
            self.reused.fetch_add(1, Ordering::Relaxed);
            return Ok(done);
        }
        let parent = self.root.join(stage);
        fs::create_dir_all(&parent).map_err(|e| refused(&parent, &e))?;
        let _lock = self.lock(&done.with_extension("lock"), stage)?;
        if done.is_dir() {
            match seal::check(&done) {
                Ok(()) => {
                    self.reused.fetch_add(1, Ordering::Relaxed);
                    return Ok(done);
                }
                Err(why) => self.discard(&done, &why)?,
            }
        }
        let partial = done.with_extension("partial");
        fs::create_dir_all(&partial).map_err(|e| refused(&partial, &e))?;
        // A list in it means that all but the renaming was done when an earlier run was killed.
        if seal::check(&partial).is_err() {
            work(&partial)?;
        }
        seal::finish(&partial, &done, stage, version).map_err(|(path, e)| refused(&path, &e))?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        Ok(done)
    }

    /// Whether an entry is there and as it was sealed; read from the disk once.
    fn is_sound(&self, done: &Path) -> bool {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.contains(done) {
            return true;
        }
        let sound = done.is_dir() && seal::check(done).is_ok();
        if sound {
            checked.insert(done.to_owned());
        }
        sound
    }

    /// The folder of a finished stage, if there is one. Neither checks its files nor counts as a use.
    pub fn find(&self, stage: &str, key: Digest, version: u32) -> Option<PathBuf> {
        let key = Digest::of(&(stage, version, key));
        Some(self.root.join(stage).join(key.to_string())).filter(|done| done.is_dir())
    }

    /// How many stages ran and how many were found.
    pub fn counts(&self) -> Counts {
        Counts {
            computed: self.computed.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
        }
    }

    /// The cache's folder.
    pub fn dir(&self) -> &Path {
        &self.root
    }

    /// Bytes of all files in a cache folder, unfinished stages included; 0 where there is none.
    pub fn size(dir: &Path) -> u64 {
        let Ok(entries) = fs::read_dir(dir) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(m) if m.is_dir() => Self::size(&entry.path()),
                Ok(m) => m.len(),
                Err(_) => 0,
            })
            .sum()
    }

    /// Takes the lock of one key. It is the system's, so it ends with its process, however that ends.
    fn lock(&self, path: &Path, stage: &str) -> Result<File> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| refused(path, &error))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                (self.notice)(&format!("{stage}: another run is computing this; waiting for it"));
            }
            Err(fs::TryLockError::Error(error)) => return Err(refused(path, &error)),
        }
        file.lock().map_err(|error| refused(path, &error))?;
        Ok(file)
    }

    /// Moves a damaged entry out of the way first: the name is free even where removing fails halfway.
    fn discard(&self, done: &Path, why: &str) -> Result<()> {
        (self.notice)(&format!("{}: {why}; computing it again", done.display()));
        let aside = done.with_extension(format!("bad-{}", unique()));
        fs::rename(done, &aside).map_err(|error| refused(done, &error))?;
        // What cannot be removed stays aside under its own name and does no harm.
        let _ = fs::remove_dir_all(&aside);
        Ok(())
    }
}

/// What a finished stage keeps in a JSON file of its folder.
///
/// # Errors
/// If the file cannot be read or says something else; with the path and what to delete.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| Failure::io(path, &e))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure::failed(format!("{}: {e}; delete its folder", path.display())))
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.temporary {
            // A leftover in the system's temporary folder is all that can go wrong here.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Different in every call of every process on this machine.
fn unique() -> String {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let hint = "choose another cache with --cache DIR, or --cache none";
    match Failure::io(path, error) {
        Failure::Request(text) => Failure::Request(format!("{text}; {hint}")),
        Failure::Failed(text) => Failure::Failed(format!("{text}; {hint}")),
        Failure::Full(text) => Failure::Full(format!("{text}; {hint}")),
        Failure::Interrupted => Failure::Interrupted,
    }
}

#[cfg(test)]
mod tests;
