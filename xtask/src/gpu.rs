//! The executor on a graphics card: its tests on whatever adapter there is, Mesa's software one if need be.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{Outcome, cargo, command, output};
use crate::test::FEATURES;

/// Where drivers say that they are there.
const DRIVERS: &str = "/usr/share/vulkan/icd.d";
const PACKAGE: &str = "mesa-vulkan-drivers";

/// The step: tests, or says which of them could not be. `REQUIRE_GPU=1` makes the second an error.
pub(crate) fn test() -> Result<Outcome> {
    let driver = driver();
    let required = std::env::var_os("REQUIRE_GPU").is_some_and(|v| v == "1");
    let mut tests = cargo(&format!("test {FEATURES} --no-fail-fast -- wgpu"));
    match driver {
        // With a driver a missing adapter is a fault.
        Ok(()) => command(tests.env("REQUIRE_GPU", "1")),
        Err(why) if required => Err(why),
        Err(why) => {
            command(&mut tests)?;
            Ok(Outcome::Skipped(format!("kernels were read, not run: {why:#}")))
        }
    }
}

fn driver() -> Result<()> {
    let present = || Path::new(DRIVERS).read_dir().is_ok_and(|mut files| files.next().is_some());
    if present() || !cfg!(target_os = "linux") {
        return Ok(());
    }
    let install = format!("apt-get install --yes --no-install-recommends {PACKAGE}");
    if output(Command::new("id").arg("-u")).as_deref() != Some("0") {
        bail!("no Vulkan driver; as root `{install}`");
    }
    println!("    no Vulkan driver; taking Mesa's software one");
    let apt = |line: &str| {
        let mut words = line.split_whitespace();
        let mut run = Command::new(words.next().unwrap_or_default());
        command(run.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt("apt-get update --quiet").and_then(|_| apt(&install)).context("no Vulkan driver")?;
    if present() { Ok(()) } else { bail!("{PACKAGE} brought no Vulkan driver") }
}
