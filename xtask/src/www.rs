//! The site: static pages, the wasm module with its glue, and the models that the demos show.
//!
//! Everything lies in `target/www`, with relative paths: any file host serves it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{cargo, command};
use crate::test::FEATURES;
use crate::{root, target_dir};

/// Where the site is served.
const PORT: &str = "8123";

/// Builds the site; serves it, or with `release` prints its folder.
pub(crate) fn run(release: bool) -> Result<()> {
    let site = build(false)?;
    if release {
        println!("{}", site.display());
        return Ok(());
    }
    println!("    http://127.0.0.1:{PORT}/demo/ (Ctrl-C ends it)");
    let mut serve = Command::new("python3");
    serve.args(["-m", "http.server", "--bind", "127.0.0.1", PORT, "--directory"]).arg(site);
    command(&mut serve).map(drop)
}

/// Writes the whole site anew; with `tiny` its models are of seconds and know nothing.
pub(crate) fn build(tiny: bool) -> Result<PathBuf> {
    let site = target_dir().join(if tiny { "www-tiny" } else { "www" });
    if site.exists() {
        std::fs::remove_dir_all(&site).with_context(|| site.display().to_string())?;
    }
    copy(&root().join("www"), &site)?;
    glue(&crate::wasm::module()?, &site.join("demo/pkg"))?;
    let mut export = match tiny {
        false => cargo("run --release --quiet --package toxiclip --example demo --"),
        // With the features of the tests, that have compiled it already.
        true => {
            command(&mut cargo(&format!("build {FEATURES} --example demo")))?;
            let mut built = Command::new(target_dir().join("release/examples/demo"));
            built.arg("--tiny");
            built
        }
    };
    command(export.arg(site.join("demo/data")))?;
    if !tiny {
        // With rows and evidence, to which the committed pages link outside of `www/`.
        let mut board = cargo("run --release --quiet -- leaderboard build --out");
        command(board.arg(site.join("leaderboard")))?;
    }
    Ok(site)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}

/// What JavaScript needs beside the module, and the module without what only that tells.
#[cfg(feature = "www")]
pub(crate) fn glue(module: &Path, out: &Path) -> Result<()> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(module).web(true)?.typescript(false).remove_producers_section(true);
    bindgen.remove_name_section(true);
    bindgen.generate(out)
}

/// Runs itself again with the generator compiled in, so that no other task waits for it.
#[cfg(not(feature = "www"))]
pub(crate) fn glue(module: &Path, out: &Path) -> Result<()> {
    let mut again = cargo("run --release --quiet --package xtask --features www -- glue");
    command(again.arg(module).arg(out)).map(drop)
}
