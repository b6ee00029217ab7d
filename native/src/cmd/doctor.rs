//! `toxiclip doctor`: what this build and this machine are.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::Context;
use crate::failure::Result;
use crate::output;
use crate::provenance::{Code, Machine};
use crate::store::Store;

/// CPU features, threads, memory, GPU, versions, cache: what a report of a problem should contain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Findings {
    version: &'static str,
    code: Code,
    machine: Machine,
    threads: usize,
    executor: &'static str,
    gpu: &'static str,
    /// `null` under `--cache none`.
    cache: Option<Cache>,
}

#[derive(Serialize)]
struct Cache {
    dir: PathBuf,
    bytes: u64,
}

/// Prints the findings.
///
/// # Errors
/// If no cache folder can be named.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let cache = context.cache_dir()?.map(|dir| Cache { bytes: Store::size(&dir), dir });
    let findings = Findings {
        version: env!("CARGO_PKG_VERSION"),
        code: Code::of_this_build(),
        machine: Machine::of_this_process(),
        threads: context.threads,
        executor: "cpu: own operations and products",
        gpu: "none: built without CUDA and wgpu",
        cache,
    };
    if args.json { output::print_json(&findings) } else { output::print(&text(&findings)) }
}

fn text(found: &Findings) -> String {
    let dirty = if found.code.dirty { " with local changes" } else { "" };
    let memory = found.machine.memory_bytes.map_or("unknown".to_owned(), bytes);
    let cache = match &found.cache {
        None => "off".to_owned(),
        Some(cache) => format!("{} ({})", cache.dir.display(), bytes(cache.bytes)),
    };
    output::columns(
        &[
            ("toxiclip", format!("{} ({}{dirty})", found.version, found.code.commit)),
            ("rustc", found.code.rustc.clone()),
            ("lock", found.code.lock.short()),
            ("cpu", format!("{} ({})", found.machine.cpu, found.machine.features.join(" "))),
            ("threads", format!("{} of {} cores", found.threads, found.machine.cores)),
            ("memory", memory),
            ("executor", found.executor.to_owned()),
            ("gpu", found.gpu.to_owned()),
            ("cache", cache),
        ]
        .map(|(key, value)| [key.to_owned(), value]),
    )
}

fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
