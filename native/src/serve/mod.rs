//! The server: takes bundles over HTTP, has each verified by a process of its own, and shows those that a person accepted.
//!
//! ```text
//! listen ─► router ─► caller ─► api/* ─► submission, tokens ─► database     rows: what is so
//!                                  └───► places                             files: made whole before a row says so
//! queue ─► check (a process) ─► bundle::verify, board ─► checked/ID/
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `app`, `listen`, `router` | what is shared; connections; all paths together |
//! | `answer`, `body`, `headers`, `openapi`, `page` | the form of answers and requests, and their description |
//! | `caller`, `limits`, `tokens` | who asks, how often, and what they may |
//! | `api/` | one file for each kind of thing |
//! | `database`, `migrations/`, `submission`, `audit` | rows, their changes and the log of these |
//! | `places`, `recovery`, `backup` | files, and how both are brought together after a stop or a loss |
//! | `queue`, `check`, `board` | verification, and what is shown of its results |
//! | `names`, `clock`, `log` | what names may be; the time; lines for the keeper |

mod answer;
mod api;
mod app;
mod audit;
mod backup;
mod board;
mod body;
mod caller;
mod check;
mod clock;
mod database;
mod headers;
mod limits;
mod listen;
mod log;
mod names;
mod openapi;
mod page;
mod places;
mod queue;
mod recovery;
mod router;
mod submission;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpListener;

use self::app::{Server, Settings, database_of};
use self::audit::Actor;
use self::database::Database;
use self::places::Places;
use self::tokens::Scope;
use crate::cmd::serve::{Args, Place, TokenWhat, What};
use crate::failure::{Failure, Result};
use crate::output;

/// Serves, or does what was asked instead.
///
/// # Errors
/// If the address, the folder or the database cannot be used.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(What::Check { bundle, into, id, memory, root }) = &args.what {
        let (memory, data_root) = (*memory, root.clone());
        return check::run(&check::Task { bundle, into, id, memory, data_root });
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed(format!("cannot start threads: {e}")))?;
    runtime.block_on(async {
        match &args.what {
            None => serve(args).await,
            Some(What::Token { what }) => token(what, &args.place).await,
            Some(What::Backup { file }) => backup::write(file, &args.place).await,
            Some(What::Restore { file }) => backup::restore(file, &args.place).await,
            // Answered above, without a runtime.
            Some(What::Check { .. }) => Ok(()),
        }
    })
}

async fn serve(args: &Args) -> Result<()> {
    let settings = Settings::of(args)?;
    let server = Server::open(&args.place, settings).await?;
    recovery::run(&server).await?;
    let app = Arc::new(server);
    let wrong = |e: std::io::Error| Failure::request(format!("--addr {}: {e}", args.addr));
    let listener = TcpListener::bind(args.addr).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    if !address.ip().is_loopback() && !app.settings.behind_proxy {
        eprintln!(
            "warning: {address} is open to others and speaks no TLS; put a reverse proxy before it"
        );
    }
    for _ in 0..app.settings.workers {
        tokio::spawn(queue::work(Arc::clone(&app)));
    }
    output::print(&format!("http://{address}"))?;
    let settings = &app.settings;
    let bounds = (settings.connections, settings.idle);
    listen::serve(&listener, &router::router(&app), bounds).await?;
    // The lock goes with the process; the log of the database is written back now.
    app.database.close().await;
    Ok(())
}

async fn token(what: &TokenWhat, place: &Place) -> Result<()> {
    let places = Places::open(&place.data)?;
    let database = Database::open(&database_of(place, &places)).await?;
    let failed = |e: sqlx::Error| Failure::failed(format!("database: {e}"));
    let said = match what {
        TokenWhat::Create { scope, submitter } => {
            let none = || Failure::request(format!("--scope {scope}: it is `submit` or `admin`"));
            let scope = Scope::named(scope).ok_or_else(none)?;
            let submitter = submitter.clone().unwrap_or_default();
            let fits = match scope {
                Scope::Submit => names::is_kebab(&submitter, names::SUBMITTER),
                Scope::Admin => submitter.is_empty(),
            };
            if !fits {
                return Err(Failure::request(
                    "--submitter: lower-case words with hyphens between, 39 characters at most; none for an admin",
                ));
            }
            let made = tokens::create(&database, scope, &submitter, &Actor::CommandLine).await;
            let (token, secret) = made?;
            eprintln!("token {}: kept nowhere but here", token.id);
            secret
        }
        TokenWhat::List => {
            let all = tokens::list(&database).await.map_err(failed)?;
            let head = ["id", "scope", "submitter", "revoked"].map(str::to_owned);
            let rows = all.iter().map(tokens::Token::words);
            output::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        }
        TokenWhat::Revoke { id } => {
            let known = tokens::revoke(&database, id, &Actor::CommandLine).await.map_err(failed)?;
            if !known {
                let list = "see `toxiclip serve token list`";
                return Err(Failure::request(format!("{id}: no such token that is valid; {list}")));
            }
            format!("{id} is revoked")
        }
    };
    database.close().await;
    output::print(&said)
}
