//! Builds `wasm/` for the browser.
//!
//! With rustup's `wasm32-unknown-unknown` it is one cargo call. Where that target cannot be had, Debian's `rustc-web`
//! and `rust-web-src` (one version) build the standard library from source, and the toolchain's own `rust-lld` links.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::step::{Outcome, cargo, command, output};

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "library/std/Cargo.toml";
const DEBIAN_PACKAGES: &str = "rustc-web rust-web-src";

/// The step: builds, or says why it could not. `REQUIRE_WASM=1` makes the second an error.
pub(crate) fn build() -> Result<Outcome> {
    match toolchain() {
        Ok(mut build) => {
            command(&mut build)?;
            check(&file())
        }
        Err(why) if std::env::var_os("REQUIRE_WASM").is_some_and(|v| v == "1") => Err(why),
        Err(why) => Ok(Outcome::Skipped(format!("{why:#}"))),
    }
}

/// The module, built; what is missing for that is an error.
pub(crate) fn module() -> Result<PathBuf> {
    command(&mut toolchain()?)?;
    check(&file())?;
    Ok(file())
}

fn file() -> PathBuf {
    directory().join(TARGET).join("web/toxiclip_wasm.wasm")
}

/// Apart from the native build: another compiler would throw that one away.
fn directory() -> PathBuf {
    crate::target_dir().join("wasm")
}

fn toolchain() -> Result<Command> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))
        .context("rustc does not answer; install Rust with rustup")?;
    let installed = Path::new(&sysroot).join("lib/rustlib").join(TARGET);
    let mut build =
        cargo("build --profile web --package toxiclip-wasm --target wasm32-unknown-unknown");
    build.arg("--target-dir").arg(directory());
    // SIMD is in every browser that has WebGPU.
    build.env("RUSTFLAGS", "-C target-feature=+simd128");
    if installed.is_dir() {
        return Ok(build);
    }
    debian()?;
    let host = output(Command::new("rustc").args(["--print", "host-tuple"])).unwrap_or_default();
    let linker = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.exists() {
        bail!("{} is missing; `rustup target add {TARGET}` needs no linker", linker.display());
    }
    build
        .arg("-Zbuild-std=std,panic_abort")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
        .env("RUSTC", DEBIAN_RUSTC)
        // Debian's compiler is a stable one; building std is what it is asked to allow, nothing in our code.
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(build)
}

/// Makes sure of Debian's compiler and the source of its standard library.
fn debian() -> Result<()> {
    apt::ensure(&format!("{TARGET} (`rustup target add {TARGET}`)"), DEBIAN_PACKAGES, present)
}

fn present() -> bool {
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]));
    sysroot.is_some_and(|root| {
        Path::new(&root).join("lib/rustlib/src/rust").join(DEBIAN_SOURCE).exists()
    })
}

/// A module must begin with wasm's magic bytes and export the binding, or an empty build would pass.
fn check(module: &Path) -> Result<Outcome> {
    let bytes = std::fs::read(module).with_context(|| module.display().to_string())?;
    verify(&bytes).with_context(|| module.display().to_string())?;
    println!("    {}: {} KiB", module.display(), bytes.len() / 1024);
    Ok(Outcome::Passed)
}

fn verify(bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(b"\0asm") {
        bail!("no wasm module");
    }
    if !bytes.windows(5).any(|name| name == b"stamp") {
        bail!("does not export `stamp`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_module_is_refused() {
        assert!(verify(b"\0asm\x01\0\0\0stamp").is_ok());
        assert!(verify(b"\0asm\x01\0\0\0").is_err());
        assert!(verify(b"ELF stamp").is_err());
    }
}
