//! Whether the server is well.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;

use crate::serve::answer::{Answer, json};
use crate::serve::app::App;
use crate::serve::openapi::{Operation, Resource, object};
use crate::serve::submission;

pub(super) fn resources() -> Vec<Resource> {
    let text = json!({"type": "string"});
    let well = object(&json!({"status": text, "version": text, "waiting": {"type": "integer"}}));
    let health = Operation {
        id: "health",
        summary: "Whether the server and its database answer, and how many bundles wait for verification",
        good: vec![(200, "they do", Some(("application/json", well)))],
        ..Operation::default()
    };
    let operations = vec![("get", health.json())];
    vec![Resource { path: "/health", methods: get(self::health), operations }]
}

async fn health(State(app): State<App>) -> Answer {
    let waiting = submission::waiting(&app.database).await?;
    let said = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "waiting": waiting});
    Ok(json(StatusCode::OK, &said))
}
