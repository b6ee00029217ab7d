//! Keeps published results and README in step; `cargo xtask check-results` runs it.
//!
//! `results check`, `results update` (splices README) or `results update RUN` (publishes a run
//! folder, or a folder of such, first).

use std::path::Path;

use anyhow::{Result, bail};
use toxiclip::published;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let said = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => published::check(&root)?,
        ["update"] => published::splice(&root)?,
        ["update", run] => published::publish(&root, Path::new(run))?,
        _ => bail!("expected `check`, `update` or `update RUN`"),
    };
    said.iter().for_each(|line| println!("{line}"));
    Ok(())
}
