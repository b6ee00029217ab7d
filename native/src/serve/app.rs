//! What all requests and workers share.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::board::Board;
use super::database::Database;
use super::limits::Meter;
use super::places::Places;
use crate::cmd::serve::{Args, Limits, Place};
use crate::failure::{Failure, Result};

/// Guesses of tokens that an address has in a minute.
const GUESSES: u64 = 20;

/// A server, shared.
pub(crate) type App = Arc<Server>;

/// What all requests and workers share.
#[derive(Debug)]
pub(crate) struct Server {
    /// What was asked on the command line.
    pub(crate) settings: Settings,
    /// Rows.
    pub(crate) database: Database,
    /// Files.
    pub(crate) places: Places,
    /// Requests by address.
    pub(crate) addresses: Meter<IpAddr>,
    /// Tokens that are none, by address.
    pub(crate) guesses: Meter<IpAddr>,
    /// Requests by token.
    pub(crate) tokens: Meter<String>,
    /// Wakes a worker.
    pub(crate) wake: Notify,
    uploads: Mutex<BTreeSet<String>>,
    board: Mutex<Option<Arc<Board>>>,
    _lock: File,
}

/// What was asked on the command line.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where readers find it, without a slash at the end.
    pub(crate) public_url: String,
    /// Static pages.
    pub(crate) www: Option<PathBuf>,
    /// Whose word is taken for the asker's address.
    pub(crate) behind_proxy: bool,
    /// Data of verifications.
    pub(crate) data_root: Option<PathBuf>,
    /// Bytes of a bundle.
    pub(crate) max_bundle: u64,
    /// Bytes of a submitter.
    pub(crate) max_pending: u64,
    /// Processes.
    pub(crate) workers: u16,
    /// MiB of each.
    pub(crate) verify_memory: u64,
    /// Of each.
    pub(crate) verify_time: Duration,
    /// Between two bytes of an upload.
    pub(crate) idle: Duration,
    /// At the same time.
    pub(crate) connections: u32,
    address_rate: u64,
    token_rate: u64,
}

impl Settings {
    /// Checks the arguments.
    ///
    /// # Errors
    /// If a folder is missing or an address is none.
    pub(crate) fn of(args: &Args) -> Result<Self> {
        let Limits { max_bundle, max_pending, workers, verify_memory, .. } = args.limits;
        let here = || format!("http://{}", args.addr);
        let public_url = args.public_url.clone().unwrap_or_else(here);
        if !["http://", "https://"].iter().any(|scheme| public_url.starts_with(scheme)) {
            return Err(Failure::request(
                "--public-url: an address begins with https:// or http://",
            ));
        }
        for (flag, dir) in [("--www", &args.www), ("--data-root", &args.data_root)] {
            if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir()) {
                return Err(Failure::request(format!("{flag}: no folder {}", dir.display())));
            }
        }
        Ok(Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            www: args.www.clone(),
            behind_proxy: args.behind_proxy,
            data_root: args.data_root.clone(),
            max_bundle: max_bundle << 20,
            max_pending: max_pending << 20,
            workers,
            verify_memory,
            verify_time: Duration::from_secs(args.limits.verify_seconds),
            idle: Duration::from_secs(args.limits.idle_seconds),
            connections: args.limits.connections,
            address_rate: args.limits.address_rate,
            token_rate: args.limits.token_rate,
        })
    }
}

/// Which database a command means.
pub(crate) fn database_of(place: &Place, places: &Places) -> String {
    let environment = || std::env::var("TOXICLIP_DB").ok().filter(|said| !said.is_empty());
    let own = || places.database().to_string_lossy().into_owned();
    place.db.clone().or_else(environment).unwrap_or_else(own)
}

impl Server {
    /// Opens folder and database, and holds the folder.
    ///
    /// # Errors
    /// If either cannot be used, or another server holds the folder.
    pub(crate) async fn open(place: &Place, settings: Settings) -> Result<Self> {
        let places = Places::open(&place.data)?;
        let lock = places.lock()?;
        let database = Database::open(&database_of(place, &places)).await?;
        Ok(Self {
            addresses: Meter::new(settings.address_rate),
            guesses: Meter::new(GUESSES),
            tokens: Meter::new(settings.token_rate),
            settings,
            database,
            places,
            wake: Notify::new(),
            uploads: Mutex::default(),
            board: Mutex::default(),
            _lock: lock,
        })
    }

    /// Takes an upload, unless somebody has it: two writers of one file would tear it.
    pub(crate) fn take_upload(self: &Arc<Self>, id: &str) -> Option<Held> {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(id.to_owned()).then(|| Held { app: Arc::clone(self), id: id.to_owned() })
    }

    /// The leaderboard as it was last made.
    pub(crate) fn board(&self) -> Option<Arc<Board>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the leaderboard, or forgets it where what it shows has changed.
    pub(crate) fn set_board(&self, board: Option<Arc<Board>>) {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = board;
    }
}

/// An upload that is being written; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    app: App,
    id: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.app.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
