//! `cargo xtask survival`: what everyday processing leaves of every trigger, as a page with pictures.

use anyhow::Result;

use crate::step::{cargo, command};

/// Writes `docs/triggers.md` and `docs/triggers.png` anew.
pub(crate) fn run() -> Result<()> {
    let line = "run --release -p toxiclip-shared --features emoji --example survival -- docs";
    command(&mut cargo(line)).map(drop)
}
