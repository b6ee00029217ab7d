//! Tasks of the repository: `cargo xtask --help`.

#[cfg(feature = "data")]
mod data;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything that is not the program")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Rebuild the embedded emoji data from their npm packages.
    Data {
        /// Build into a temporary folder and compare byte for byte with the committed files.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Data { check } => data_task(check),
    }
}

#[cfg(feature = "data")]
fn data_task(check: bool) -> anyhow::Result<()> {
    data::run(check)
}

/// Runs itself again with the renderer compiled in, so that no other task waits for it.
#[cfg(not(feature = "data"))]
fn data_task(check: bool) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["run", "--release", "--quiet", "-p", "xtask", "--features", "data", "--", "data"])
        .args(check.then_some("--check"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    anyhow::ensure!(status.success(), "cargo xtask data failed: {status}");
    Ok(())
}
