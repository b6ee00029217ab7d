//! SQLite or PostgreSQL behind the same queries, and the migrations that bring an older one up to date.
//!
//! One change at a time: a write holds the turn from its first statement to its commit, here and between processes
//! (`BEGIN IMMEDIATE`, or a lock on the table). Readers never wait.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Executor as _, Row as _, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use crate::failure::{Failure, Result};

/// Version, name and text of every migration, ascending. A text that was released is never changed: databases remember
/// its digest.
pub(crate) const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "submissions", include_str!("migrations/0001_submissions.sql")),
    (2, "audit", include_str!("migrations/0002_audit.sql")),
];

/// Readers beside one writer.
const CONNECTIONS: u32 = 8;
/// How long a request waits for a connection or its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// A log that readers need not wait for, on the disk before a commit returns.
const PRAGMAS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 30000;";

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    turn: Mutex<()>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// A change under way; dropped without [`Write::commit`], nothing happened.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    /// For the statements.
    pub(crate) tx: PoolConnection<Any>,
    committed: bool,
    _turn: MutexGuard<'a, ()>,
}

impl Write<'_> {
    /// Makes it lasting.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        self.tx.execute("COMMIT").await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // Its end takes everything back. A connection that met a full disk cannot be asked to: SQLite has rolled back
            // by itself, and sqlx's own transactions then refuse to begin again.
            self.tx.close_on_drop();
        }
    }
}

impl Database {
    /// Opens a database without looking into it: a file, made if it is absent, or `postgres://…`.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn connect(place: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let (kind, options, url) = if is_postgres(place) {
            (Kind::Postgres, options, place.to_owned())
        } else {
            let prepared = options.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(PRAGMAS).await.map(drop) })
            });
            (Kind::Sqlite, prepared, sqlite_url(Path::new(place)))
        };
        let pool = options
            .connect(&url)
            .await
            .map_err(|e| Failure::request(format!("{}: {e}; see --db in --help", shown(place))))?;
        Ok(Self { pool, turn: Mutex::new(()), kind })
    }

    /// Opens a database and brings it up to date.
    ///
    /// # Errors
    /// If it cannot be reached, or is a newer program's.
    pub(crate) async fn open(place: &str) -> Result<Self> {
        let database = Self::connect(place).await?;
        let newest = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
        database.migrate(newest).await.map_err(|e| {
            Failure::request(format!(
                "{}: {e}; use the program that wrote it, or a newer one",
                shown(place)
            ))
        })?;
        Ok(database)
    }

    /// Applies what is missing up to `version`.
    ///
    /// # Errors
    /// If the database has migrations that this program does not know, or one differs.
    pub(crate) async fn migrate(&self, version: i64) -> Result<()> {
        let wanted = MIGRATIONS.iter().filter(|(v, _, _)| *v <= version);
        let all = wanted.map(|&(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into(), false)
        });
        let migrator = Migrator { migrations: Cow::Owned(all.collect()), ..Migrator::DEFAULT };
        migrator.run(&self.pool).await.map_err(Failure::failed)
    }

    /// For reading.
    pub(crate) fn read(&self) -> &AnyPool {
        &self.pool
    }

    /// Waits for the turn and begins a change.
    pub(crate) async fn write(&self) -> sqlx::Result<Write<'_>> {
        let turn = self.turn.lock().await;
        let tx = self.pool.acquire().await?;
        let mut write = Write { tx, committed: false, _turn: turn };
        match self.kind {
            Kind::Sqlite => write.tx.execute("BEGIN IMMEDIATE").await?,
            Kind::Postgres => {
                write.tx.execute("BEGIN").await?;
                write.tx.execute("LOCK TABLE submissions IN EXCLUSIVE MODE").await?
            }
        };
        Ok(write)
    }

    /// Begins reading of one moment, whatever is written meanwhile.
    pub(crate) async fn moment(&self) -> sqlx::Result<Transaction<'static, Any>> {
        match self.kind {
            Kind::Sqlite => self.pool.begin().await,
            Kind::Postgres => self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await,
        }
    }

    /// Ends all connections, so that a file is whole.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether a database is a server's and no file.
pub(crate) fn is_postgres(place: &str) -> bool {
    place.starts_with("postgres://") || place.starts_with("postgresql://")
}

/// What may stand in a message: a URL can hold a password.
fn shown(place: &str) -> &str {
    if is_postgres(place) { "the PostgreSQL database" } else { place }
}

fn sqlite_url(file: &Path) -> String {
    let mut url = "sqlite:".to_owned();
    for c in file.to_string_lossy().chars() {
        match c {
            '%' | '?' | '#' => url.push_str(&format!("%{:02X}", u32::from(c))),
            _ => url.push(c),
        }
    }
    url + "?mode=rwc"
}

/// A column of text.
pub(crate) fn text(row: &AnyRow, column: &str) -> sqlx::Result<String> {
    row.try_get(column)
}

/// A column of whole numbers.
pub(crate) fn number(row: &AnyRow, column: &str) -> sqlx::Result<i64> {
    row.try_get(column)
}
