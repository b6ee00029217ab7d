//! `/submissions/{id}/withdraw|accept|reject`: what people decide.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::submissions::visible;
use crate::serve::answer::{Answer, Refusal, json};
use crate::serve::app::App;
use crate::serve::body::{self, Id};
use crate::serve::caller::Caller;
use crate::serve::log;
use crate::serve::openapi::{Operation, Resource, object, schema};
use crate::serve::places::{move_to, remove};
use crate::serve::submission::{self, State as Of, Step, Submission};
use crate::serve::tokens::Scope;

/// Characters of a reason.
const REASON: usize = 1000;

pub(super) fn resources() -> Vec<Resource> {
    let good = || vec![(200, "as it is now", Some(("application/json", schema("Submission"))))];
    let withdraw = Operation {
        id: "withdrawSubmission",
        summary: "Take back what is one's own; it is shown no longer, and its bundle stays known",
        scope: "submit",
        good: good(),
        refusals: &[404, 409, 507],
        ..Operation::default()
    };
    let sure = object(&json!({"acknowledge_skipped": {"type": "boolean"}}));
    let accept = Operation {
        id: "acceptSubmission",
        summary: "Show a verified submission; checks that could not be made must be acknowledged",
        scope: "admin",
        body: vec![("application/json", sure)],
        good: good(),
        refusals: &[400, 404, 408, 409, 413, 415, 507],
        ..Operation::default()
    };
    let line = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
    let text = json!({"type": "string", "minLength": 1, "maxLength": REASON, "pattern": line});
    let reject = Operation {
        id: "rejectSubmission",
        summary: "Decline a verified submission",
        scope: "admin",
        body: vec![("application/json", object(&json!({"reason": text})))],
        good: good(),
        refusals: &[400, 404, 408, 409, 413, 415, 422, 507],
        ..Operation::default()
    };
    vec![
        Resource {
            path: "/submissions/{id}/withdraw",
            methods: post(self::withdraw),
            operations: vec![("post", withdraw.json())],
        },
        Resource {
            path: "/submissions/{id}/accept",
            methods: post(self::accept),
            operations: vec![("post", accept.json())],
        },
        Resource {
            path: "/submissions/{id}/reject",
            methods: post(self::reject),
            operations: vec![("post", reject.json())],
        },
    ]
}

async fn withdraw(caller: Caller, State(app): State<App>, Id(id): Id<32>) -> Answer {
    let token = caller.of(Scope::Submit)?;
    let found = visible(&app, &caller, &id).await?;
    if found.submitter != token.submitter {
        return Err(Refusal::unknown("submission of yours"));
    }
    let actor = Caller::actor(token);
    let from: Vec<Of> = Of::ALL.into_iter().filter(|state| *state != Of::Withdrawn).collect();
    let (action, reason) = ("submission.withdraw", "");
    let step = Step { from: &from, to: Of::Withdrawn, actor: &actor, action, reason };
    let mut write = app.database.write().await?;
    // Within the transaction: it may have been accepted since it was looked at.
    let accepted = app.places.accepted(&found);
    if !submission::step(&mut write, &id, &step).await? {
        return Err(Refusal::conflict("state", "it is withdrawn", "there is nothing to do"));
    }
    write.commit().await?;
    app.set_board(None);
    // Files follow the row; what a stop leaves behind is put right at the next start.
    let (checked, part) = (app.places.checked(&id), app.places.part(&id));
    let put_away = move || -> io::Result<()> {
        remove(&part)?;
        if owner(&accepted).is_some_and(|owner| owner == id) {
            move_to(&accepted, &checked)?;
        }
        Ok(())
    };
    if let Err(error) = tokio::task::spawn_blocking(put_away).await? {
        log::line(format!("warning: files of the withdrawn submission {}: {error}", found.id));
    }
    now(&app, &found.id).await
}

/// The submission that a laid out bundle is of.
fn owner(dir: &std::path::Path) -> Option<String> {
    std::fs::read_to_string(dir.join(crate::serve::places::OWNER)).ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sure {
    acknowledge_skipped: bool,
}

async fn accept(
    caller: Caller,
    State(app): State<App>,
    Id(id): Id<32>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let admin = caller.of(Scope::Admin)?;
    let sure: Sure = body::json(&headers, body).await?;
    let found = visible(&app, &caller, &id).await?;
    let skipped = found.skipped();
    if found.state == Of::Verified && skipped != json!([]) && !sure.acknowledge_skipped {
        let message = format!("checks that could not be made: {}", lines(&skipped));
        let remedy = "send acknowledge_skipped: true if it may be shown all the same";
        return Err(Refusal::conflict("skipped", message, remedy));
    }
    let actor = Caller::actor(admin);
    let mut write = app.database.write().await?;
    let (action, reason) = ("submission.accept", "");
    let step = Step { from: &[Of::Verified], to: Of::Accepted, actor: &actor, action, reason };
    match submission::step(&mut write, &id, &step).await {
        Ok(true) => {}
        Ok(false) => return Err(not_verified(&found)),
        Err(sqlx::Error::Database(e)) if e.is_unique_violation() => {
            let message =
                format!("{} has an accepted submission called {}", found.submitter, found.name);
            return Err(Refusal::conflict("name", message, "its owner may withdraw that first"));
        }
        Err(e) => return Err(e.into()),
    }
    // The folder is whole before the row that shows it is lasting; should that fail, it goes back.
    let (from, to) = (app.places.checked(&id), app.places.accepted(&found));
    tokio::task::spawn_blocking(move || move_to(&from, &to)).await??;
    if let Err(error) = write.commit().await {
        let (from, to) = (app.places.accepted(&found), app.places.checked(&id));
        tokio::task::spawn_blocking(move || move_to(&from, &to)).await??;
        return Err(error.into());
    }
    app.set_board(None);
    now(&app, &id).await
}

fn lines(skipped: &Value) -> String {
    let all = skipped.as_array().into_iter().flatten().filter_map(Value::as_str);
    all.collect::<Vec<_>>().join("; ")
}

fn not_verified(found: &Submission) -> Refusal {
    let message = format!("it is {}", found.state.name());
    Refusal::conflict("state", message, "only what is verified can be decided upon")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct No {
    reason: String,
}

async fn reject(
    caller: Caller,
    State(app): State<App>,
    Id(id): Id<32>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let admin = caller.of(Scope::Admin)?;
    let No { reason } = body::json(&headers, body).await?;
    let length = reason.chars().count();
    if !(1..=REASON).contains(&length) || reason.chars().any(char::is_control) {
        let remedy = format!("give one line of 1 to {REASON} characters");
        return Err(Refusal::invalid("`reason` is none", remedy));
    }
    let found = visible(&app, &caller, &id).await?;
    let actor = Caller::actor(admin);
    let mut write = app.database.write().await?;
    let (action, reason) = ("submission.reject", &reason[..]);
    let step = Step { from: &[Of::Verified], to: Of::Rejected, actor: &actor, action, reason };
    if !submission::step(&mut write, &id, &step).await? {
        return Err(not_verified(&found));
    }
    write.commit().await?;
    now(&app, &id).await
}

async fn now(app: &App, id: &str) -> Answer {
    match submission::get(&app.database, id).await? {
        Some(found) => Ok(json(StatusCode::OK, &found.json())),
        None => Err(Refusal::fault("a submission is gone")),
    }
}
