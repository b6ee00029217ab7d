//! Keeps published results and README in step; `cargo xtask check-results` runs it.
//!
//! `results check [BASE]` (and what changed since that commit), `results update` (writes README's
//! tables and the pages) or `results update RUN` (publishes a run folder, or a folder of such,
//! first).

use std::path::Path;

use anyhow::{Result, bail};
use toxiclip::published;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let said = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => checked(&root, None)?,
        ["check", base] => checked(&root, Some(base))?,
        ["update"] => published::splice(&root)?,
        ["update", run] => published::publish(&root, Path::new(run))?,
        _ => bail!("expected `check [BASE]`, `update` or `update RUN`"),
    };
    said.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// What the check says, and after it the table of changes, where there is a commit to compare with.
fn checked(root: &Path, base: Option<&str>) -> Result<Vec<String>> {
    let mut said = published::check(root)?;
    match (published::Base::read(root, base), base) {
        (Ok(base), _) => said.push(format!("\n{}", published::changes(root, &base)?)),
        (Err(why), None) => said.push(format!("SKIPPED: no changes are shown ({why:#})")),
        (Err(why), Some(_)) => return Err(why),
    }
    Ok(said)
}
