//! Files that are whole or absent, whatever interrupts their writing.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Writes `bytes` to a temporary name beside `path`, flushes it to the disk, and renames it; makes
/// missing folders. A reader sees the old file or the new one.
///
/// # Errors
/// If the folder is read-only or the disk is full; names the path. The temporary file is removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::io(folder, &e))?;
    }
    let partial = partial_name(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|error| {
        // The cause is reported; that the leftover may stay as well is not worth a second line.
        drop(fs::remove_file(&partial));
        Failure::io(path, &error)
    })
}

/// A folder's or file's own name, also where it is given as `.` or with `..`.
///
/// # Errors
/// If it is not there, or is the root of the file system.
pub fn name_of(path: &Path) -> Result<String> {
    let whole = fs::canonicalize(path).map_err(|e| Failure::io(path, &e))?;
    match whole.file_name() {
        Some(name) => Ok(name.to_string_lossy().into_owned()),
        None => Err(Failure::request(format!("{} has no name; give a folder", path.display()))),
    }
}

/// The process id keeps two runs that write the same file apart.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_name_however_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        fs::create_dir(&folder).unwrap();
        for given in [folder.clone(), folder.join("."), folder.join("../run")] {
            assert_eq!(name_of(&given).unwrap(), "run");
        }
        assert!(name_of(&dir.path().join("absent")).unwrap_err().to_string().contains("absent"));
        assert!(name_of(Path::new("/")).unwrap_err().to_string().contains("has no name"));
    }

    #[test]
    fn leaves_no_partial_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file.txt");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let error = write_whole(&path.join("below a file"), b"").unwrap_err();
        assert!(error.to_string().contains("file.txt"), "{error}");
    }
}
