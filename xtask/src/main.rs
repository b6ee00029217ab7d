//! Tasks of the repository: `cargo xtask --help`. A task is a file and one variant here.

mod apt;
mod browser;
mod cuda;
#[cfg(feature = "data")]
mod data;
mod fuzz;
mod golden;
mod gpu;
mod postgres;
mod results;
mod serve;
mod step;
mod survival;
mod test;
mod wasm;
mod www;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything that is not the program")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All that CI checks: formatting, lints, tests, the wasm build; installs what is missing or says what to install.
    Test,
    /// Rebuild the embedded emoji data from their npm packages.
    Data {
        /// Build in memory and compare byte for byte with the committed files.
        #[arg(long)]
        check: bool,
    },
    /// Remake the golden values with PyTorch and open_clip, which are fetched from PyPI (gigabytes).
    Golden {
        /// Compare with the committed files, and let open_clip load our checkpoints; change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Look for files on which a reader panics, hangs or says more than one line; needs a C++ compiler.
    Fuzz {
        /// How long at each target.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
        /// Names of targets; all of them if there is none.
        targets: Vec<String>,
    },
    /// Write docs/triggers.md: what JPEG, resizing and cropping leave of every trigger.
    Survival,
    /// Build the site with its demos: the wasm module, models trained by the pipeline, and the static pages; serve it here.
    Www {
        /// Only write it; the last line is its folder.
        #[arg(long)]
        release: bool,
    },
    /// The glue of a wasm module, for `www`.
    #[command(hide = true)]
    Glue { module: PathBuf, out: PathBuf },
    /// Check that the program compiles for NVIDIA's GPUs; a compiler of their kernels is fetched from PyPI if there is none.
    CheckCuda,
    /// Recompute every published row from its evidence, compare README's tables and the pages with them, and print what
    /// changed since a commit as a table in Markdown; fails if results are gone or too large.
    CheckResults {
        /// Bring README and pages up to date; with a folder that `toxiclip run` wrote, or a folder of such, publish that first.
        #[arg(long, value_name = "RUN")]
        update: Option<Option<PathBuf>>,
        /// The commit to compare with [default: where this branch left origin/main, else HEAD].
        #[arg(long, value_name = "REV", conflicts_with = "update")]
        base: Option<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Test => test::run(),
        Task::Data { check } => data_task(check),
        Task::Golden { check } => golden::run(check),
        Task::Fuzz { seconds, targets } => fuzz::run(seconds, &targets),
        Task::Survival => survival::run(),
        Task::Www { release } => www::run(release),
        Task::Glue { module, out } => www::glue(&module, &out),
        Task::CheckCuda => cuda::check(),
        Task::CheckResults { update, base } => results::run(update, base.as_deref()),
    }
}

#[cfg(feature = "data")]
fn data_task(check: bool) -> anyhow::Result<()> {
    data::run(check)
}

/// Runs itself again with the renderer compiled in, so that no other task waits for it.
#[cfg(not(feature = "data"))]
fn data_task(check: bool) -> anyhow::Result<()> {
    let mut again = step::cargo("run --release --quiet --package xtask --features data -- data");
    step::command(again.args(check.then_some("--check"))).map(drop)
}

/// The repository, wherever the task was started.
fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else `target/`.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
