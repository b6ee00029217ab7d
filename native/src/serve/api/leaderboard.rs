//! `/leaderboard`: every estimate of every accepted submission.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;

use crate::serve::answer::{Answer, typed};
use crate::serve::app::App;
use crate::serve::board;
use crate::serve::openapi::{Operation, Resource, object, schema};

pub(super) fn resources() -> Vec<Resource> {
    let entries = object(&json!({"entries": {"type": "array", "items": schema("Entry")}}));
    let list = Operation {
        id: "leaderboard",
        summary: "Estimates over seeds, with 95 % intervals over seeds and samples, of all accepted submissions",
        good: vec![
            (200, "entries in the order of acceptance", Some(("application/json", entries))),
            (304, "as it was under this ETag", None),
        ],
        ..Operation::default()
    };
    let operations = vec![("get", list.json())];
    vec![Resource { path: "/leaderboard", methods: get(self::list), operations }]
}

async fn list(State(app): State<App>, headers: HeaderMap) -> Answer {
    let board = board::of(&app).await?;
    let tag = (header::ETAG, board.tag.clone());
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == board.tag.as_bytes())
    {
        return Ok((StatusCode::NOT_MODIFIED, [tag]).into_response());
    }
    // A readers' cache asks again, and mostly hears that nothing changed.
    let cached = (header::CACHE_CONTROL, "no-cache".to_owned());
    Ok(([tag, cached], typed(StatusCode::OK, "application/json", board.json.clone()))
        .into_response())
}
