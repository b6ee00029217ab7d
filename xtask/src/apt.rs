//! Debian's packages for what a step needs and a machine may lack.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{command, output};

/// Installs `packages` unless what they bring is `present`; only root can. `what` names it in messages.
pub(crate) fn ensure(what: &str, packages: &str, present: impl Fn() -> bool) -> Result<()> {
    if present() {
        return Ok(());
    }
    let install = format!("install --yes --no-install-recommends {packages}");
    let remedy = format!("no {what}; as root `apt-get {install}`");
    if output(Command::new("id").arg("-u")).as_deref() != Some("0") {
        bail!(remedy);
    }
    println!("    no {what}; taking Debian's");
    let apt = |line: &str| {
        let mut apt = Command::new("apt-get");
        command(apt.args(line.split_whitespace()).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt("update --quiet").and_then(|_| apt(&install)).context(remedy)?;
    if present() { Ok(()) } else { bail!("Debian's {packages} brought no {what}") }
}
