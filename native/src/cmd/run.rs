//! `toxiclip run`: a benchmark, from its TOML file to table, rows and report.

use std::path::PathBuf;

use crate::argument::{Assignment, Device};
use crate::catalogue::benchmarks_folder;

/// Runs every cell of a benchmark; finished stages are found, not repeated.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The benchmark.
    #[arg(value_name = "SPEC.toml")]
    pub spec: PathBuf,
    /// Where rows, evidence and report go [default: `runs/` and the benchmark's name].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Applies the file's `[tiny]` part: the same in seconds.
    #[arg(long)]
    pub tiny: bool,
    /// Replaces a value of the file, such as `train.epochs=5`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Assignment>,
    /// Keeps only cells with this value, such as `attack=none` or `seed=0`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub only: Vec<Assignment>,
    /// auto, cpu, `cuda[:N]` or wgpu.
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Prints the cells and what is already cached; computes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    /// The main job: what the program does when it is started without arguments.
    pub fn main_job() -> Self {
        Self {
            spec: benchmarks_folder().join("quick.toml"),
            out: None,
            tiny: false,
            set: Vec::new(),
            only: Vec::new(),
            device: Device::Auto,
            dry_run: false,
        }
    }
}
