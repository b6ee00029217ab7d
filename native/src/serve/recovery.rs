//! At the start: rows and files are brought together again, whatever the end of the server before was.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use toxiclip_shared::digest::Digest;

use super::app::Server;
use super::audit::Actor;
use super::clock;
use super::log;
use super::places::{OWNER, move_to, remove};
use super::submission::{self, State, Step, Submission};
use crate::failure::{Failure, Result};

/// Uploads to which nothing was appended for so long are given up, in milliseconds: a week.
const PATIENCE: i64 = 7 * 86_400_000;

/// Brings them together.
///
/// # Errors
/// If database or folder refuse.
pub(crate) async fn run(server: &Server) -> Result<()> {
    let failed = |e: sqlx::Error| Failure::failed(format!("database: {e}"));
    let io = |e: io::Error| Failure::io(server.places.root(), &e);
    for left in server.places.entries("work").map_err(io)? {
        remove(&left).map_err(io)?;
    }
    for one in in_state(server, State::Verifying).await.map_err(failed)? {
        let to = Change(State::Queued, "submission.requeue", "the server was stopped");
        change(server, &one, &to).await.map_err(failed)?;
    }
    uploads(server).await?;
    folders(server).await?;
    for state in [State::Queued, State::Verified, State::Accepted] {
        for one in in_state(server, state).await.map_err(failed)? {
            whole(server, &one).await?;
        }
    }
    Ok(())
}

/// A state, the log's word, and why.
struct Change(State, &'static str, &'static str);

async fn change(server: &Server, of: &Submission, to: &Change) -> sqlx::Result<()> {
    let &Change(to, action, reason) = to;
    let mut write = server.database.write().await?;
    let step = Step { from: &[of.state], to, actor: &Actor::Server, action, reason };
    submission::step(&mut write, &of.id, &step).await?;
    if to == State::Queued {
        submission::set_complete(&mut write, &of.id).await?;
    }
    write.commit().await
}

async fn in_state(server: &Server, state: State) -> sqlx::Result<Vec<Submission>> {
    submission::in_state(&server.database, state).await
}

/// Uploads that were whole are put into the queue, old ones are given up, and files of none are swept.
async fn uploads(server: &Server) -> Result<()> {
    let failed = |e: sqlx::Error| Failure::failed(format!("database: {e}"));
    let io = |e: io::Error| Failure::io(server.places.root(), &e);
    let mut open = BTreeSet::new();
    for one in in_state(server, State::Uploading).await.map_err(failed)? {
        let (part, bundle) = (server.places.part(&one.id), server.places.bundle(&one.id));
        let touched = std::fs::metadata(&part).and_then(|about| about.modified()).ok();
        let touched = touched.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let touched = touched.and_then(|t| i64::try_from(t.as_millis()).ok());
        // All bytes came, and the server ended before it compared them.
        let all = std::fs::metadata(&part).is_ok_and(|about| about.len() == one.bytes);
        if all {
            let digest = std::fs::File::open(&part).and_then(Digest::of_reader).map_err(io)?;
            if digest.to_string() == one.sha256 {
                move_to(&part, &bundle).map_err(io)?;
            } else {
                remove(&part).map_err(io)?;
            }
        }
        // It was compared with its digest before it was moved there.
        if bundle.exists() && !part.exists() {
            let to = Change(State::Queued, "submission.queue", "");
            change(server, &one, &to).await.map_err(failed)?;
        } else if clock::now() - touched.unwrap_or(one.changed) > PATIENCE {
            let why = "its upload was not finished within a week of its last byte";
            let to = Change(State::Refused, "submission.refuse", why);
            change(server, &one, &to).await.map_err(failed)?;
        } else {
            open.insert(part);
        }
    }
    let parts = server.places.entries("incoming").map_err(io)?;
    parts.iter().filter(|part| !open.contains(*part)).try_for_each(|part| remove(part)).map_err(io)
}

/// Every laid out bundle lies where its row says; one of no row, and a bundle of none, is swept.
async fn folders(server: &Server) -> Result<()> {
    let failed = |e: sqlx::Error| Failure::failed(format!("database: {e}"));
    let io = |e: io::Error| Failure::io(server.places.root(), &e);
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    for dir in server.places.all_accepted().map_err(io)? {
        // What cannot be read now is not what is not there: only the second is swept.
        let owner = present(std::fs::read_to_string(dir.join(OWNER))).map_err(io)?;
        let of = match &owner {
            Some(id) => submission::get(&server.database, id).await.map_err(failed)?,
            None => None,
        };
        match of {
            Some(of) if of.state == State::Accepted => {}
            // An acceptance that was not finished, or a withdrawal that was.
            Some(of) => move_to(&dir, &server.places.checked(&of.id)).map_err(io)?,
            None => remove(&dir).map_err(io)?,
        }
    }
    for dir in server.places.entries("checked").map_err(io)? {
        let Some(id) = name(&dir) else { continue };
        match submission::get(&server.database, &id).await.map_err(failed)? {
            Some(of) if of.state == State::Accepted => {
                move_to(&dir, &server.places.accepted(&of)).map_err(io)?;
            }
            Some(_) => {}
            None => remove(&dir).map_err(io)?,
        }
    }
    for file in server.places.entries("bundles").map_err(io)? {
        let Some(name) = name(&file) else { continue };
        let id = name.trim_end_matches(".tar.zst");
        if submission::get(&server.database, id).await.map_err(failed)?.is_none() {
            remove(&file).map_err(io)?;
        }
    }
    Ok(())
}

/// What was found, or nothing where it is not there.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// What should have files and has none says so; what only lacks its laid out form is verified again.
async fn whole(server: &Server, one: &Submission) -> Result<()> {
    let laid = match one.state {
        State::Queued => true,
        State::Accepted => server.places.accepted(one).is_dir(),
        _ => server.places.checked(&one.id).is_dir(),
    };
    let file = server.places.bundle(&one.id);
    let found = present(std::fs::metadata(&file)).map_err(|e| Failure::io(&file, &e))?;
    let bundle = found.is_some_and(|about| about.len() == one.bytes);
    let to = match (bundle, laid) {
        (true, true) => return Ok(()),
        (true, false) => {
            Change(State::Queued, "submission.requeue", "its laid out files were lost")
        }
        (false, _) => Change(
            State::Refused,
            "submission.refuse",
            "its bundle was lost from the server's disk",
        ),
    };
    log::line(format!("warning: submission {}: {}", one.id, to.2));
    change(server, one, &to).await.map_err(|e| Failure::failed(format!("database: {e}")))
}
