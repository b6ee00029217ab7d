//! Writes the files of the demos; `cargo xtask www` runs it.
//!
//! `demo [--tiny] OUT`: the trigger playground's models are those of `benchmarks/demo.toml`, poisoned retrieval's, in the folder
//! `retrieval` below, those of `benchmarks/demo-retrieval.toml`; from the cache where they are there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toxiclip::benchmark::{Benchmark, Form};
use toxiclip::demo::{export, export_retrieval};
use toxiclip::executor::Executor;
use toxiclip::interrupt::Interrupt;
use toxiclip::lab::Lab;
use toxiclip::pipeline::{Plan, Stages};
use toxiclip::prepared::Prepared;
use toxiclip::progress::Progress;
use toxiclip::store::Store;

/// Writes the files of one page; the sum of its models' bytes.
type Export = fn(&Plan<'_>, &Stages, &Path) -> toxiclip::failure::Result<usize>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tiny = arguments.iter().any(|word| word == "--tiny");
    let out =
        arguments.iter().find(|word| *word != "--tiny").context("usage: demo [--tiny] OUT")?;
    let out = PathBuf::from(out);
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
    let form = if tiny { Form::Tiny } else { Form::Laptop };
    let pages: [(&str, PathBuf, Export); 2] = [
        ("demo.toml", out.clone(), export),
        ("demo-retrieval.toml", out.join("retrieval"), export_retrieval),
    ];
    for (spec, out, export) in pages {
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks").join(spec);
        let benchmark = Benchmark::read(&spec, form, &[], &[])?;
        let mut plan = Plan::new(&benchmark, None)?;
        plan.arm(&stages)?;
        std::fs::create_dir_all(&out)?;
        let bytes = export(&plan, &stages, &out)?;
        println!("{}: models of {bytes} bytes", out.display());
    }
    Ok(())
}
