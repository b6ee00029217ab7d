//! The executor on a graphics card: its tests on whatever adapter there is, Mesa's software one if need be.

use std::path::Path;

use anyhow::Result;

use crate::apt;
use crate::step::{Outcome, cargo, command};
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
    // Other systems have theirs built in.
    if cfg!(target_os = "linux") { apt::ensure("Vulkan driver", PACKAGE, present) } else { Ok(()) }
}
