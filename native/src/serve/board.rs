//! The leaderboard: a verification writes the estimates of its bundle beside it, and accepted ones are put together.
//!
//! So evidence, a stranger's Parquet, is read in a process of its own and never by the server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Bytes;
use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;

use super::answer::Refusal;
use super::app::App;
use super::clock;
use super::places::BOARD;
use super::submission::{self, State, Submission};
use crate::report::aggregate::Results;

/// What `/leaderboard` answers.
#[derive(Debug)]
pub(crate) struct Board {
    /// The answer.
    pub(crate) json: Bytes,
    /// Its ETag.
    pub(crate) tag: String,
    /// Its submissions.
    pub(crate) shown: Vec<Submission>,
}

/// The estimates of a laid out bundle, and a digest of its rows in whatever order they come.
///
/// # Errors
/// If its results cannot be read.
pub(crate) fn estimates(dir: &Path) -> anyhow::Result<(Value, Digest)> {
    let results = Results::load(&[dir], false)?;
    let benchmark = results.rows.first().map(|row| row.benchmark.clone()).context("no rows")?;
    let entry = |key: &crate::report::aggregate::Key| {
        let e = results.get(key)?;
        Some(json!({
            "benchmark": benchmark, "dataset": key.dataset, "encoder": key.encoder, "attack": key.attack,
            "against": key.against, "defense": key.defense, "metric": key.metric, "value": e.value,
            "lo": e.interval.lo, "hi": e.interval.hi, "n": e.n, "seeds": e.seeds,
        }))
    };
    let entries: Vec<Value> = results.keys.iter().filter_map(entry).collect();
    // Wall times are among the values, so that two honest runs of one command differ.
    let mut rows: Vec<Digest> = results.rows.iter().map(Digest::of).collect();
    rows.sort();
    Ok((json!(entries), Digest::of(&rows)))
}

/// The leaderboard, made anew where what it shows has changed.
///
/// # Errors
/// If rows or files cannot be read.
pub(crate) async fn of(app: &App) -> Result<Arc<Board>, Refusal> {
    if let Some(board) = app.board() {
        return Ok(board);
    }
    // Made under the writers' turn: what is forgotten meanwhile would otherwise be kept for good.
    let write = app.database.write().await?;
    if let Some(board) = app.board() {
        return Ok(board);
    }
    let shown = submission::in_state(&app.database, State::Accepted).await?;
    let mut entries = Vec::new();
    for one in &shown {
        let file = app.places.accepted(one).join(BOARD);
        let text = tokio::fs::read(&file).await?;
        let unreadable = |e| Refusal::fault(&format!("{}: {e}", file.display()));
        let own: Vec<Value> = serde_json::from_slice(&text).map_err(unreadable)?;
        entries.extend(own.into_iter().map(|entry| signed(entry, one)));
    }
    let json = Bytes::from(json!({"entries": entries}).to_string());
    let tag = format!("\"{}\"", Digest::of_bytes(&json).short());
    let board = Arc::new(Board { json, tag, shown });
    app.set_board(Some(Arc::clone(&board)));
    drop(write);
    Ok(board)
}

fn signed(mut entry: Value, of: &Submission) -> Value {
    entry["submission"] = json!(of.id);
    entry["submitter"] = json!(of.submitter);
    entry["name"] = json!(of.name);
    entry["accepted"] = json!(clock::text(of.changed));
    entry["skipped"] = of.skipped();
    entry
}
