//! A PostgreSQL server for tests: Debian's, in a temporary folder, on a socket of its own, gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt;
use crate::step::{command, output, works};

/// Where Debian puts its versions.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom it makes to run them; the server refuses to run as root.
const USER: &str = "postgres";

/// A running server; stopped and removed when dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
}

impl Postgres {
    /// Installs it if need be, makes a cluster and starts it.
    pub(crate) fn start() -> Result<Self> {
        apt::ensure("PostgreSQL server", "postgresql", || programs().is_some())?;
        let programs = programs().context("no PostgreSQL server")?;
        // A path to a socket is short, and so is this one.
        let folder = std::env::temp_dir().join(format!("toxiclip-pg-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let server = Self { programs, folder };
        if is_root() {
            command(Command::new("chown").arg(USER).arg(&server.folder))?;
        }
        server.begin()?;
        Ok(server)
    }

    fn begin(&self) -> Result<()> {
        let data = self.data();
        let initdb =
            ["--auth=trust", "--no-sync", "--username=toxiclip", "--encoding=UTF8", "--pgdata"];
        command(
            self.program("initdb").args(initdb).arg(&data).stdout(std::process::Stdio::null()),
        )?;
        // No port: only who may enter the folder can ask.
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}'",
            self.folder.display()
        );
        let mut start = self.program("pg_ctl");
        start.args(["start", "--wait", "--silent", "--pgdata"]).arg(&data);
        start.arg("--log").arg(self.folder.join("log")).args(["--options", &options]);
        command(&mut start).map(drop)
    }

    /// For `--db`.
    pub(crate) fn url(&self) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://toxiclip@{folder}/postgres")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of its programs, as a user that it lets run them.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut other = Command::new("runuser");
        other.args(["-u", USER, "--"]).arg(program);
        other
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"]).arg(self.data());
        if !works(&mut stop) {
            eprintln!("warning: the PostgreSQL server in {} did not stop", self.folder.display());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = Path::new(VERSIONS).read_dir().ok()?.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("bin/initdb").exists()).max_by_key(number)?;
    Some(newest.join("bin"))
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).as_deref() == Some("0")
}
