//! The command line. Doc comments are the help; a sub-command is a file in [`crate::cmd`] and two lines here.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::argument::Device;
use crate::cmd;
use crate::executor::Executor;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::output;
use crate::progress::Progress;
use crate::store::Store;

/// Benchmarks of data poisoning and backdoors on CLIP-style encoders: train, attack, defend, measure.
///
/// Exit codes: 0 all well; 1 the work ran and something in it failed; 2 the request was wrong and nothing was written.
#[derive(Debug, Parser)]
#[command(name = "toxiclip", version, max_term_width = 100)]
struct Cli {
    /// Without one, the main job: `run benchmarks/quick.toml`.
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(cmd::list::Args),
    Show(cmd::show::Args),
    Doctor(cmd::doctor::Args),
    Run(cmd::run::Args),
    Train(cmd::train::Args),
    Poison(cmd::poison::Args),
    Embed(cmd::embed::Args),
    Eval(cmd::eval::Args),
    Defend(cmd::defend::Args),
    Scan(cmd::scan::Args),
    Report(cmd::report::Args),
    Convert(cmd::convert::Args),
    Submit(cmd::submit::Args),
    Serve(Box<cmd::serve::Args>),
    Leaderboard(cmd::leaderboard::Args),
    Bench(cmd::bench::Args),
}

/// What every sub-command understands.
#[derive(Debug, clap::Args)]
struct Common {
    /// Threads to compute with; results do not depend on it [default: all cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Folder of finished stages, or `none` [default: `$XDG_CACHE_HOME/toxiclip`, `~/.cache/toxiclip`].
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where trainings and embeddings are computed: auto, cpu, cuda[:N], wgpu (embeddings alone) or candle; auto is the CPU.
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "auto",
        hide_default_value = true
    )]
    device: Device,
    /// Memory for the pictures of a training, in MiB; more are read again in every epoch [default: half of the machine's].
    #[arg(long, global = true, value_name = "MIB")]
    picture_memory: Option<u64>,
}

/// What a sub-command may use besides its own arguments.
#[derive(Debug)]
pub struct Context {
    /// Size of rayon's pool.
    pub threads: usize,
    /// Bars and log lines.
    pub progress: Progress,
    /// Who walks towers.
    pub executor: Executor,
    cache: Option<PathBuf>,
    picture_memory: u64,
}

impl Context {
    fn new(common: Common) -> Result<Self> {
        let all = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = common.threads.map_or(all, usize::from);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|e| Failure::failed(format!("cannot start {threads} threads: {e}")))?;
        let executor = Executor::open(common.device)?;
        let picture_memory = match common.picture_memory {
            Some(mebibytes) => mebibytes.saturating_mul(1 << 20),
            None => Machine::of_this_process().memory_bytes.map_or(u64::MAX, |all| all / 2),
        };
        let progress = Progress::on_stderr();
        Ok(Self { threads, progress, executor, cache: common.cache, picture_memory })
    }

    /// Takes over Ctrl-C, once; for sub-commands that ask the flag between steps. The others just end.
    ///
    /// # Errors
    /// If it was taken over before.
    pub fn interrupt(&self) -> Result<Interrupt> {
        Interrupt::install()
    }

    /// Where long work shows itself and asks whether to stop; takes over Ctrl-C.
    ///
    /// # Errors
    /// If it was taken over before.
    pub fn lab(&self) -> Result<Lab> {
        let (progress, executor) = (self.progress.clone(), self.executor.clone());
        let (interrupt, picture_memory) = (self.interrupt()?, self.picture_memory);
        Ok(Lab { progress, interrupt, executor, picture_memory })
    }

    /// The cache folder, or `None` under `--cache none`.
    ///
    /// # Errors
    /// If the system names no folder for caches.
    pub fn cache_dir(&self) -> Result<Option<PathBuf>> {
        let dir = match &self.cache {
            Some(dir) if dir.as_os_str() == "none" => return Ok(None),
            Some(dir) => dir.clone(),
            None => Store::default_dir()?,
        };
        let shelf = self.executor.shelf();
        Ok(Some(shelf.map_or_else(|| dir.clone(), |shelf| dir.join(shelf))))
    }

    /// Opens the cache; its notices step around the bars.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn store(&self) -> Result<Store> {
        let progress = self.progress.clone();
        Ok(Store::open(self.cache_dir()?)?.with_notices(move |line| progress.warn(line)))
    }
}

/// Parses the arguments (the first is the program's name) and runs the sub-command.
///
/// # Errors
/// Whatever went wrong, as one line with its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let context = Context::new(cli.common)?;
    let main_job = || Command::Run(cmd::run::Args::main_job());
    match &cli.command.unwrap_or_else(main_job) {
        Command::List(args) => cmd::list::run(args),
        Command::Show(args) => cmd::show::run(args),
        Command::Doctor(args) => cmd::doctor::run(args, &context),
        Command::Run(args) => cmd::run::run(args, &context),
        Command::Train(args) => cmd::train::run(args, &context),
        Command::Poison(args) => cmd::poison::run(args, &context),
        Command::Embed(args) => cmd::embed::run(args, &context),
        Command::Eval(args) => cmd::eval::run(args, &context),
        Command::Defend(args) => cmd::defend::run(args, &context),
        Command::Scan(args) => cmd::scan::run(args, &context),
        Command::Convert(args) => cmd::convert::run(args, &context),
        Command::Submit(args) => cmd::submit::run(args, &context),
        Command::Serve(args) => cmd::serve::run(args),
        Command::Leaderboard(args) => cmd::leaderboard::run(args),
        Command::Report(args) => cmd::report::run(args),
        Command::Bench(args) => cmd::bench::run(args, &context),
    }
}

/// Help and version are data and go to stdout; a usage error becomes one line without the usage text.
fn explain(error: &clap::Error) -> Result<()> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print(&text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::request("a sub-command is missing; see --help"))
        }
        _ => {
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
            let text = text.trim_start_matches("error: ");
            Err(Failure::request(text.replace("For more information, try '--help'.", "").trim()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
