//! The server: its tests, on SQLite and on a real PostgreSQL.

use std::process::Command;

use anyhow::Result;

use crate::postgres::Postgres;
use crate::step::{Outcome, cargo, command};
use crate::test::FEATURES;

const URL: &str = "TOXICLIP_POSTGRES_URL";

/// The step: tests, or says which of them could not be. `REQUIRE_POSTGRES=1` makes the second an error.
pub(crate) fn test() -> Result<Outcome> {
    if std::env::var_os(URL).is_some() {
        return command(&mut tests());
    }
    let required = std::env::var_os("REQUIRE_POSTGRES").is_some_and(|v| v == "1");
    match Postgres::start() {
        Ok(server) => command(tests().env(URL, server.url()).env("REQUIRE_POSTGRES", "1")),
        Err(why) if required => Err(why),
        Err(why) => {
            command(&mut tests())?;
            Ok(Outcome::Skipped(format!("SQLite was tested, PostgreSQL was not: {why:#}")))
        }
    }
}

/// Two at a time: each runs a server and processes that verify.
fn tests() -> Command {
    cargo(&format!("test {FEATURES} --test serve -- --test-threads 2"))
}
