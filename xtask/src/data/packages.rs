//! The npm packages that the data are made from: fetched at exact versions, checked by digest, read from memory.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use toxiclip_shared::digest::Digest;

/// One entry of `packages.json`, the lock file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    version: String,
    sha256: String,
}

/// All pinned packages, fetched when first asked for.
pub(crate) struct Packages {
    pins: BTreeMap<String, Pin>,
    cache: PathBuf,
}

/// The files of one package, by path below its root.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Packages {
    /// Reads the lock file; archives are kept in `cache`.
    pub(crate) fn open(lock: &Path, cache: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(lock).with_context(|| lock.display().to_string())?;
        std::fs::create_dir_all(&cache)?;
        Ok(Self { pins: serde_json::from_str(&text)?, cache })
    }

    /// The pinned version and digest of a package, for the notices.
    pub(crate) fn pin(&self, package: &str) -> Result<(&str, &str)> {
        let pin = self.pins.get(package).with_context(|| format!("{package} is not pinned"))?;
        Ok((&pin.version, &pin.sha256))
    }

    /// The files of `package` whose path `wanted` accepts.
    pub(crate) fn files(&self, package: &str, wanted: impl Fn(&str) -> bool) -> Result<Files> {
        let bytes = self.archive(package)?;
        let mut out = Files::new();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        for entry in tar.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            // Every npm archive has one folder at its root.
            let Some((_, path)) = path.split_once('/') else { continue };
            if wanted(path) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                out.insert(path.to_owned(), content);
            }
        }
        Ok(out)
    }

    fn archive(&self, package: &str) -> Result<Vec<u8>> {
        let (version, sha256) = self.pin(package)?;
        let stem = package.trim_start_matches('@').replace('/', "-");
        let path = self.cache.join(format!("{stem}-{version}.tgz"));
        if !path.exists() {
            self.fetch(&format!("{package}@{version}"))?;
        }
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let found = Digest::of_bytes(&bytes).to_string();
        if found != sha256 {
            bail!("{}: sha256 {found}, packages.json says {sha256}; delete it", path.display());
        }
        Ok(bytes)
    }

    fn fetch(&self, spec: &str) -> Result<()> {
        eprintln!("npm pack {spec}");
        let output = Command::new("npm")
            .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
            .arg(&self.cache)
            .arg(spec)
            .output()
            .context("npm is needed to fetch the emoji packages: install Node.js")?;
        let answer = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "npm pack {spec}: {}", answer.trim());
        Ok(())
    }
}

/// The file `path` of `files`.
pub(crate) fn file<'a>(files: &'a Files, path: &str) -> Result<&'a [u8]> {
    files.get(path).map(Vec::as_slice).with_context(|| format!("the package has no {path}"))
}
