//! `toxiclip serve`: submissions over HTTP, and what its keeper does at the machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::failure::Result;

/// Takes bundles over HTTP, verifies them and shows those that were accepted.
///
/// Speaks HTTP on one address of this machine: for others put a reverse proxy with TLS before it (docs/serve.md).
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Where its data are.
    #[command(flatten)]
    pub place: Place,
    /// What bounds it.
    #[command(flatten)]
    pub limits: Limits,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787")]
    pub addr: SocketAddr,
    /// Where readers find this server; links in the feed begin with it [default: http://ADDRESS:PORT].
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// A folder of static pages to serve beside the interface, such as `cargo xtask www --release` writes.
    #[arg(long, value_name = "DIR")]
    pub www: Option<PathBuf>,
    /// Takes the asker's address from the last entry of X-Forwarded-For: only behind a proxy that sets it.
    #[arg(long)]
    pub behind_proxy: bool,
    /// Folder of data sets that do not come with the program, for verifications.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
}

/// Where its data are.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Folder of bundles, accepted results and the embedded database.
    #[arg(long, global = true, value_name = "DIR", default_value = "toxiclip-data")]
    pub data: PathBuf,
    /// Database: a file of SQLite, or postgres://USER@HOST/NAME; TOXICLIP_DB says it too, which keeps a password out of lists of
    /// processes [default: toxiclip.sqlite in the data folder].
    #[arg(long, global = true, value_name = "FILE|URL")]
    pub db: Option<String>,
}

/// What bounds it.
#[derive(Debug, clap::Args)]
pub struct Limits {
    /// The largest bundle, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_bundle: u64,
    /// Bytes of one submitter that are not decided upon, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub max_pending: u64,
    /// Verifications at the same time, each a process.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Memory of a verification, in MiB of address space.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    pub verify_memory: u64,
    /// Time of a verification, in seconds.
    #[arg(long, value_name = "N", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub verify_seconds: u64,
    /// Seconds without a byte after which an upload, which goes on from there, or an answer is cut.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub idle_seconds: u64,
    /// Requests a minute of one address.
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    pub address_rate: u64,
    /// Requests a minute with one token.
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u64).range(1..))]
    pub token_rate: u64,
    /// Connections at the same time; more wait.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
}

/// What to do instead of serving.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Makes, lists and revokes tokens; the first admin's is made here.
    Token {
        /// What to do.
        #[command(subcommand)]
        what: TokenWhat,
    },
    /// Writes database and bundles into one file, beside a server that runs.
    Backup {
        /// The file to write.
        #[arg(value_name = "FILE.tar.zst")]
        file: PathBuf,
    },
    /// Lays a backup out into an empty data folder and an empty database, of either kind.
    Restore {
        /// The file that `backup` wrote.
        #[arg(value_name = "FILE.tar.zst")]
        file: PathBuf,
    },
    /// One verification: what a server's workers start.
    #[command(hide = true)]
    Check {
        /// The bundle.
        bundle: PathBuf,
        /// The folder to lay it out in.
        #[arg(long)]
        into: PathBuf,
        /// The submission that it is.
        #[arg(long)]
        id: String,
        /// Memory, in MiB of address space.
        #[arg(long)]
        memory: u64,
        /// Folder of data sets.
        #[arg(long)]
        root: Option<PathBuf>,
    },
}

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum TokenWhat {
    /// Makes a token and prints it, once.
    Create {
        /// What it allows: `submit`, or `admin`, which decides on submissions and tokens.
        #[arg(long, value_parser = ["submit", "admin"])]
        scope: String,
        /// Whose submissions it makes: lower-case words with hyphens between.
        #[arg(long, value_name = "NAME", required_if_eq("scope", "submit"))]
        submitter: Option<String>,
    },
    /// Prints all tokens without their secrets.
    List,
    /// Ends a token.
    Revoke {
        /// Its id, as `list` prints it.
        id: String,
    },
}

/// Serves, or does what was asked instead.
///
/// # Errors
/// If the address, the folder or the database cannot be used.
#[cfg(feature = "serve")]
pub fn run(args: &Args) -> Result<()> {
    crate::serve::run(args)
}

/// Says how to get it.
///
/// # Errors
/// Always.
#[cfg(not(feature = "serve"))]
pub fn run(_: &Args) -> Result<()> {
    Err(absent("serve"))
}

/// Of a command that a plain build has not.
#[cfg(not(feature = "serve"))]
pub(crate) fn absent(command: &str) -> crate::failure::Failure {
    crate::failure::Failure::request(format!(
        "{command}: this build has no server and no client; build it with `cargo build --release --features serve`"
    ))
}
