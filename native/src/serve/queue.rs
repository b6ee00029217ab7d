//! Workers: each takes the oldest bundle that waits, has it verified by a process of its own, and keeps what that said.
//! What waits is in the database, so a stop of the server loses nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::app::App;
use super::audit::Actor;
use super::check::Verdict;
use super::clock;
use super::log;
use super::places::{move_to, remove};
use super::submission::{self, State, Step, Submission};
use crate::failure::{Failure, Result};
use crate::secret::secret;

/// A worker looks by itself so often, should it miss its call.
const LOOK: Duration = Duration::from_secs(5);
/// After a fault of ours: a full disk may have room again.
const PAUSE: Duration = Duration::from_secs(20);

/// Works until the server ends.
pub(crate) async fn work(app: App) {
    loop {
        match one(&app).await {
            Ok(true) => {}
            Ok(false) => {
                drop(tokio::time::timeout(LOOK, app.wake.notified()).await);
            }
            Err(failure) => {
                log::line(format!("error: queue: {failure}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Verifies one bundle, if one waits.
async fn one(app: &App) -> Result<bool> {
    let Some(job) = take(app).await.map_err(|e| database(&e))? else { return Ok(false) };
    let nonce = secret::<4>()?;
    let place = app.places.work(&job.id, &nonce);
    let outcome = verify(app, &job, place.clone()).await;
    let settled = match outcome {
        Ok((verdict, seconds)) => settle(app, &job, &place, verdict, seconds).await,
        Err(failure) => Err(failure),
    };
    drop(remove(&place));
    if settled.is_err() {
        give_back(app, &job).await.map_err(|e| database(&e))?;
    }
    settled.map(|()| true)
}

fn database(error: &sqlx::Error) -> Failure {
    Failure::failed(format!("database: {error}"))
}

/// The oldest that waits, now this worker's.
async fn take(app: &App) -> sqlx::Result<Option<Submission>> {
    if submission::waiting(&app.database).await? == 0 {
        return Ok(None);
    }
    let mut write = app.database.write().await?;
    let waiting = submission::in_state(&app.database, State::Queued).await?;
    let Some(first) = waiting.into_iter().next() else { return Ok(None) };
    let (action, reason) = ("submission.verify", "");
    let (from, to) = (&[State::Queued][..], State::Verifying);
    let step = Step { from, to, actor: &Actor::Server, action, reason };
    let taken = submission::step(&mut write, &first.id, &step).await?;
    write.commit().await?;
    Ok(taken.then_some(first))
}

async fn give_back(app: &App, job: &Submission) -> sqlx::Result<()> {
    let mut write = app.database.write().await?;
    let (action, reason) = ("submission.requeue", "the server could not verify it");
    let (from, to) = (&[State::Verifying][..], State::Queued);
    let step = Step { from, to, actor: &Actor::Server, action, reason };
    submission::step(&mut write, &job.id, &step).await?;
    write.commit().await
}

/// Runs the process; its folder is `place`. Errors are ours, verdicts the bundle's.
async fn verify(app: &App, job: &Submission, place: PathBuf) -> Result<(Verdict, f64)> {
    let temporary = place.join("tmp");
    std::fs::create_dir_all(&temporary).map_err(|e| Failure::io(&temporary, &e))?;
    let program = std::env::current_exe()
        .map_err(|e| Failure::failed(format!("the program does not find itself: {e}")))?;
    let limit = app.settings.verify_memory;
    let mut words: Vec<OsString> = vec!["serve".into(), "check".into()];
    words.extend([app.places.bundle(&job.id).into(), "--into".into(), place.join("out").into()]);
    words.extend(["--id", &job.id, "--memory", &limit.to_string()].map(OsString::from));
    words.extend(["--threads", "1", "--cache", "none"].map(OsString::from));
    if let Some(root) = &app.settings.data_root {
        words.extend(["--root".into(), root.into()]);
    }
    let mut command = Command::new(program);
    command.args(words).env_clear().env("TMPDIR", &temporary).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |e: std::io::Error| Failure::failed(format!("a verification does not start: {e}"));
    let start = clock::now();
    let mut child = command.spawn().map_err(failed)?;
    // Held until it ends: it ends with us.
    let held = child.stdin.take();
    let time = app.settings.verify_time;
    let ended = tokio::time::timeout(time, child.wait_with_output()).await;
    drop(held);
    let seconds = (clock::now() - start) as f64 / 1000.0;
    let verdict = match ended {
        Err(_) => refused(format!("its verification took more than {} seconds", time.as_secs())),
        Ok(output) => judge(&output.map_err(failed)?, limit)?,
    };
    Ok((verdict, seconds))
}

fn refused(why: String) -> Verdict {
    let (passed, skipped) = (Vec::new(), Vec::new());
    Verdict { refused: Some(why), passed, skipped, content: String::new() }
}

fn judge(output: &Output, limit: u64) -> Result<Verdict> {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("a verification ended without a word");
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout)
            .map_err(|e| Failure::failed(format!("a verification said no verdict: {e}"))),
        // Its own words for a fault of this machine.
        Some(1 | 2) => Err(Failure::failed(last.trim_start_matches("error: "))),
        _ => Ok(refused(format!(
            "its verification crashed, or needed more than {limit} MiB of memory ({})",
            output.status
        ))),
    }
}

/// Keeps a verdict; it counts only if the bundle was not withdrawn meanwhile.
async fn settle(
    app: &App,
    job: &Submission,
    place: &std::path::Path,
    verdict: Verdict,
    seconds: f64,
) -> Result<()> {
    let Verdict { refused, passed, skipped, content } = verdict;
    let record = json!({"passed": passed, "skipped": skipped, "seconds": seconds});
    if refused.is_none() {
        let checked = app.places.checked(&job.id);
        let out = place.join("out");
        let laid = move || remove(&checked).and_then(|()| move_to(&out, &checked));
        let laid = tokio::task::spawn_blocking(laid).await.map_err(Failure::failed)?;
        laid.map_err(|e| Failure::io(&app.places.checked(&job.id), &e))?;
    }
    kept(app, job, refused, &record, &content).await.map_err(|e| database(&e))
}

async fn kept(
    app: &App,
    job: &Submission,
    refused: Option<String>,
    record: &Value,
    content: &str,
) -> sqlx::Result<()> {
    let mut write = app.database.write().await?;
    let refused = match refused {
        Some(why) => Some(why),
        None => submission::same_rows(&mut write, content, &job.submitter)
            .await?
            .map(|other| format!("the same rows are in {} of {}", other.name, other.submitter)),
    };
    let (to, action) = match refused {
        None => (State::Verified, "submission.verified"),
        Some(_) => (State::Refused, "submission.refuse"),
    };
    let reason = refused.unwrap_or_default();
    let (from, actor) = (&[State::Verifying][..], &Actor::Server);
    let step = Step { from, to, actor, action, reason: &reason };
    if submission::step(&mut write, &job.id, &step).await? {
        submission::set_record(&mut write, &job.id, record, content).await?;
    }
    write.commit().await
}
