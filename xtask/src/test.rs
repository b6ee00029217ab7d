//! `cargo xtask test`: what CI runs. Rules about files and documents are tests too, in `xtask/tests/house.rs`.

use anyhow::Result;

use crate::step::{Outcome, Steps, cargo, command, works};
use crate::{browser, fuzz, gpu, results, serve, wasm};

/// One set of features for lints and tests, so that dependencies are compiled once: `candle`, whose primitives are the
/// oracle of our own operations, `wgpu` for graphics cards, `serve`, and the task that rebuilds the data.
pub(crate) const FEATURES: &str =
    "--release --workspace --features toxiclip/candle,toxiclip/serve,toxiclip/wgpu,xtask/data";

/// What is neither a step's own nor [`SHARED`].
const ELSEWHERE: &str =
    "not (test(wgpu) or (package(toxiclip) and binary(/^(eval|serve|submit)$/)))";
/// Tests that share the run they look at: in a process each they would all repeat it.
const SHARED: &str = "--test eval --test submit";

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    steps.run("format", || command(&mut cargo("fmt --all --check")));
    steps.run("lint", || {
        command(&mut cargo(&format!("clippy {FEATURES} --all-targets -- -D warnings")))?;
        fuzz::locked()
    });
    steps.run("test", tests);
    steps.run("results", results::step);
    steps.run("gpu", gpu::test);
    steps.run("serve", serve::test);
    steps.run("wasm", wasm::build);
    steps.run("browser", browser::test);
    steps.finish()
}

/// nextest runs the tests of all crates side by side; it does not know documentation tests.
fn tests() -> Result<Outcome> {
    if !works(&mut cargo("nextest --version")) {
        return command(&mut cargo(&format!("test {FEATURES} --no-fail-fast -- --skip wgpu")));
    }
    let mut nextest = cargo(&format!("nextest run {FEATURES} --no-fail-fast"));
    // All run, so that one run names every fault.
    let ended = [
        command(nextest.args(["--filterset", ELSEWHERE])),
        command(&mut cargo(&format!("test {FEATURES} {SHARED} --no-fail-fast -- --skip wgpu"))),
        command(&mut cargo(&format!("test {FEATURES} --doc"))),
    ];
    ended.into_iter().collect::<Result<Vec<_>>>().map(|_| Outcome::Passed)
}
