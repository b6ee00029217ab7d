//! `/tokens`: for admins.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::serve::answer::{Answer, Refusal, json};
use crate::serve::app::App;
use crate::serve::body::{self, Id};
use crate::serve::caller::Caller;
use crate::serve::names::{SUBMITTER, is_kebab};
use crate::serve::openapi::{Operation, Resource, kebab, object, schema};
use crate::serve::tokens::{self, Scope};

pub(super) fn resources() -> Vec<Resource> {
    let wanted = json!({"oneOf": [
        object(&json!({"scope": {"const": "submit"}, "submitter": kebab(SUBMITTER)})),
        object(&json!({"scope": {"const": "admin"}})),
    ]});
    let secret = json!({"type": "string", "description": "shown this once"});
    let made = object(&json!({"token": schema("Token"), "secret": secret}));
    let all = object(&json!({"tokens": {"type": "array", "items": schema("Token")}}));
    let create = Operation {
        id: "createToken",
        summary: "Make a token",
        scope: "admin",
        body: vec![("application/json", wanted)],
        good: vec![(201, "made", Some(("application/json", made)))],
        refusals: &[400, 408, 413, 415, 422, 507],
        ..Operation::default()
    };
    let list = Operation {
        id: "listTokens",
        summary: "All tokens, without their secrets",
        scope: "admin",
        good: vec![(200, "tokens, the oldest first", Some(("application/json", all)))],
        ..Operation::default()
    };
    let revoke = Operation {
        id: "revokeToken",
        summary: "End a token at once",
        scope: "admin",
        good: vec![(204, "ended", None)],
        refusals: &[404, 507],
        ..Operation::default()
    };
    vec![
        Resource {
            path: "/tokens",
            methods: get(self::list).post(self::create),
            operations: vec![("get", list.json()), ("post", create.json())],
        },
        Resource {
            path: "/tokens/{id}",
            methods: delete(self::revoke),
            operations: vec![("delete", revoke.json())],
        },
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scope: String,
    submitter: Option<String>,
}

async fn create(caller: Caller, State(app): State<App>, headers: HeaderMap, body: Body) -> Answer {
    let admin = caller.of(Scope::Admin)?;
    let wanted: Wanted = body::json(&headers, body).await?;
    let scope = Scope::named(&wanted.scope).ok_or_else(|| {
        Refusal::invalid("`scope` is neither submit nor admin", "give one of them")
    })?;
    let submitter = match (scope, wanted.submitter) {
        (Scope::Admin, None) => String::new(),
        (Scope::Submit, Some(name)) if is_kebab(&name, SUBMITTER) => name,
        (Scope::Admin, Some(_)) => {
            return Err(Refusal::invalid("an admin submits nothing", "leave `submitter` out"));
        }
        (Scope::Submit, _) => {
            let message = "`submitter` is missing or no name";
            let remedy = "give lower-case words with hyphens between, 39 characters at most";
            return Err(Refusal::invalid(message, remedy));
        }
    };
    let made = tokens::create(&app.database, scope, &submitter, &Caller::actor(admin)).await;
    let (token, secret) = made.map_err(|e| Refusal::fault(&e.to_string()))?;
    Ok(json(StatusCode::CREATED, &json!({"token": token.json(), "secret": secret})))
}

async fn list(caller: Caller, State(app): State<App>) -> Answer {
    caller.of(Scope::Admin)?;
    let all = tokens::list(&app.database).await?;
    let all: Vec<Value> = all.iter().map(tokens::Token::json).collect();
    Ok(json(StatusCode::OK, &json!({"tokens": all})))
}

async fn revoke(caller: Caller, State(app): State<App>, Id(id): Id<16>) -> Answer {
    let admin = caller.of(Scope::Admin)?;
    if tokens::revoke(&app.database, &id, &Caller::actor(admin)).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Refusal::unknown("token that is valid"))
}
