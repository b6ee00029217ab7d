//! Writes the files of the demo page; `cargo xtask www` runs it.
//!
//! `demo [--tiny] OUT`: models of `benchmarks/demo.toml`, from the cache where they are there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toxiclip::benchmark::{Benchmark, Form};
use toxiclip::executor::Executor;
use toxiclip::interrupt::Interrupt;
use toxiclip::lab::Lab;
use toxiclip::pipeline::{Plan, Stages};
use toxiclip::prepared::Prepared;
use toxiclip::progress::Progress;
use toxiclip::store::Store;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tiny = arguments.iter().any(|word| word == "--tiny");
    let out =
        arguments.iter().find(|word| *word != "--tiny").context("usage: demo [--tiny] OUT")?;
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/demo.toml");
    let form = if tiny { Form::Tiny } else { Form::Laptop };
    let benchmark = Benchmark::read(&spec, form, &[], &[])?;
    let mut plan = Plan::new(&benchmark, None)?;
    let stages = Stages {
        store: Store::open(Some(Store::default_dir()?))?,
        lab: Lab {
            progress: Progress::on_stderr(),
            interrupt: Interrupt::install()?,
            executor: Executor::Cpu,
            picture_memory: u64::MAX,
        },
        prepared: Prepared::default(),
    };
    plan.arm(&stages)?;
    let bytes = toxiclip::demo::export(&plan, &stages, &PathBuf::from(out))?;
    println!("models: {bytes} bytes");
    Ok(())
}
