//! `/audit`: the log, for admins.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use crate::serve::answer::{Answer, Refusal, json};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::body;
use crate::serve::caller::Caller;
use crate::serve::openapi::{Operation, Resource, object, parameter, schema};
use crate::serve::tokens::Scope;

pub(super) fn resources() -> Vec<Resource> {
    let rows = object(&json!({"audit": {"type": "array", "items": schema("Audit")}}));
    let count = json!({"type": "integer", "minimum": 1, "maximum": i64::MAX});
    let list = Operation {
        id: "audit",
        summary: "Every change of state, the newest first",
        scope: "admin",
        parameters: vec![parameter(
            "before",
            "query",
            false,
            "only rows of a smaller `seq`",
            &count,
        )],
        good: vec![(200, "200 rows at most", Some(("application/json", rows)))],
        refusals: &[400, 422],
        ..Operation::default()
    };
    let operations = vec![("get", list.json())];
    vec![Resource { path: "/audit", methods: get(self::list), operations }]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<i64>,
}

async fn list(caller: Caller, State(app): State<App>, uri: Uri) -> Answer {
    caller.of(Scope::Admin)?;
    let Asked { before } = body::query(&uri)?;
    let before = before.unwrap_or(i64::MAX);
    if before < 1 {
        return Err(Refusal::invalid("`before` is less than 1", "leave it out"));
    }
    let rows = audit::page(&app.database, before).await?;
    Ok(json(StatusCode::OK, &json!({"audit": rows})))
}
