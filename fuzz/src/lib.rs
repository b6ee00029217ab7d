//! What the targets share: a folder to put an input into, and the rule that every reader keeps.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder for temporary files"));

/// A place below the folder of this process, whose own folder exists.
pub fn place(name: &str) -> PathBuf {
    let path = FOLDER.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(&path)).expect("a folder for the input");
    path
}

/// The folder of this process.
pub fn folder() -> &'static Path {
    FOLDER.path()
}

/// Writes an input where its reader looks for it.
pub fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = place(name);
    std::fs::write(&path, bytes).expect("an input that can be written");
    path
}

/// A file of the program's tests.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../native/tests").join(path)
}

/// What is refused is refused in one line.
///
/// # Panics
/// If the error is empty or has several lines: that is a finding.
pub fn said<T>(result: Result<T, impl Display>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && line.lines().count() == 1, "no single line: {line:?}");
            None
        }
    }
}
