//! `cargo xtask survival`: what everyday processing leaves of every trigger, as a page with pictures.

use anyhow::Result;

use crate::golden::python;
use crate::step::{cargo, command};

/// Writes `docs/triggers.md` and `docs/triggers.png` anew; Pillow makes the WebP files.
pub(crate) fn run() -> Result<()> {
    let line = "run --release -p toxiclip-shared --features emoji --example survival -- docs";
    command(cargo(line).arg(python()?)).map(drop)
}
