//! `/submissions`: a new one, all of them, one of them.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::secret::secret;
use crate::serve::answer::{Answer, Refusal, json};
use crate::serve::app::App;
use crate::serve::body::{self, Id};
use crate::serve::caller::Caller;
use crate::serve::names::{NAME, SUBMITTER, is_hex, is_kebab};
use crate::serve::openapi::{
    Operation, PREFIX, Resource, id_schema, kebab, object, parameter, schema,
};
use crate::serve::submission::{self, State as Of, Submission, Wanted};
use crate::serve::tokens::Scope;

/// Submissions that one answer holds.
const PAGE: i64 = 100;
/// Submissions of one submitter that nobody has decided upon.
const OPEN: i64 = 1000;

/// `most` bytes of a bundle.
pub(super) fn resources(most: u64) -> Vec<Resource> {
    let size = json!({"type": "integer", "minimum": 1, "maximum": most});
    let wanted = object(&json!({"name": kebab(NAME), "bytes": size, "sha256": id_schema(64)}));
    let one = || Some(("application/json", schema("Submission")));
    let all = object(&json!({
        "submissions": {"type": "array", "items": schema("Submission")}, "next": {"type": ["string", "null"]},
    }));
    let create = Operation {
        id: "createSubmission",
        summary: "Announce a bundle; its bytes follow at its content",
        scope: "submit",
        body: vec![("application/json", wanted)],
        good: vec![
            (201, "made; Location says where", one()),
            (200, "the same bundle was announced before, by the same submitter", one()),
        ],
        refusals: &[400, 408, 409, 413, 415, 422, 507],
        ..Operation::default()
    };
    let text = json!({"type": "string", "pattern": "^[0-9]{1,18}-[0-9a-f]{32}$"});
    let limit = json!({"type": "integer", "minimum": 1, "maximum": PAGE});
    let list = Operation {
        id: "listSubmissions",
        summary: "Accepted submissions; with a token also one's own, an admin's shows all",
        scope: "any",
        parameters: vec![
            parameter("state", "query", false, "only in this state", &schema("State")),
            parameter("submitter", "query", false, "only of this submitter", &kebab(SUBMITTER)),
            parameter("after", "query", false, "`next` of the page before", &text),
            parameter("limit", "query", false, "how many", &limit),
        ],
        good: vec![(200, "in the order of their creation", Some(("application/json", all)))],
        refusals: &[400, 422],
        ..Operation::default()
    };
    let get_one = Operation {
        id: "getSubmission",
        summary: "One submission",
        scope: "any",
        good: vec![(200, "as it is now", one())],
        refusals: &[404],
        ..Operation::default()
    };
    vec![
        Resource {
            path: "/submissions",
            methods: get(self::list).post(self::create),
            operations: vec![("get", list.json()), ("post", create.json())],
        },
        Resource {
            path: "/submissions/{id}",
            methods: get(self::one),
            operations: vec![("get", get_one.json())],
        },
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    name: String,
    #[serde(deserialize_with = "whole")]
    bytes: u64,
    sha256: String,
}

/// To JSON's users 5.0 is a whole number too.
fn whole<'de, D: Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(source)?;
    // Exact up to 2^53, and larger bundles there are none.
    let integral = |n: f64| n.fract() == 0.0 && (0.0..=9e15).contains(&n);
    let from_float = || number.as_f64().filter(|n| integral(*n)).map(|n| n as u64);
    number.as_u64().or_else(from_float).ok_or_else(|| D::Error::custom("`bytes` is no size"))
}

impl Announced {
    fn check(&self, most: u64) -> Result<(), Refusal> {
        if !is_kebab(&self.name, NAME) {
            let remedy = "give lower-case words with hyphens between, 64 characters at most";
            return Err(Refusal::invalid("`name` is no name", remedy));
        }
        if !is_hex(&self.sha256, 64) {
            return Err(Refusal::invalid(
                "`sha256` is none",
                "give 64 lower-case hexadecimal digits",
            ));
        }
        if self.bytes == 0 {
            return Err(Refusal::invalid("`bytes` is 0", "give the size of the bundle"));
        }
        if self.bytes > most {
            let remedy = "pack parts of the matrix, or without weights";
            return Err(Refusal::invalid(format!("`bytes` is more than {most}"), remedy));
        }
        Ok(())
    }
}

async fn create(caller: Caller, State(app): State<App>, headers: HeaderMap, body: Body) -> Answer {
    let token = caller.of(Scope::Submit)?;
    let announced: Announced = body::json(&headers, body).await?;
    announced.check(app.settings.max_bundle)?;
    let Announced { name, bytes, sha256 } = announced;
    let mut write = app.database.write().await?;
    let same = submission::same_bundle(&mut write, &sha256, &token.submitter).await?;
    if let Some(own) = same.iter().find(|s| s.submitter == token.submitter) {
        return Ok(located(StatusCode::OK, own));
    }
    if !same.is_empty() {
        return Err(replayed());
    }
    let (open, pending) = submission::pending(&mut write, &token.submitter).await?;
    if open >= OPEN || pending.saturating_add(bytes) > app.settings.max_pending {
        let remedy = "withdraw one, or wait until they are decided upon";
        return Err(Refusal::conflict("quota", "too many of your bundles wait", remedy));
    }
    let id = secret::<16>().map_err(|e| Refusal::fault(&e.to_string()))?;
    let columns = [&id, &token.submitter, &name, &sha256].map(String::as_str);
    submission::insert(&mut write, columns, bytes, &Caller::actor(token)).await?;
    write.commit().await?;
    match submission::get(&app.database, &id).await? {
        Some(made) => Ok(located(StatusCode::CREATED, &made)),
        None => Err(Refusal::fault("a submission is gone")),
    }
}

/// Of a bundle that came from somebody else before.
pub(super) fn replayed() -> Refusal {
    let remedy = "submit results of your own";
    Refusal::conflict("replay", "this bundle is another submitter's", remedy)
}

fn located(status: StatusCode, one: &Submission) -> Response {
    let place = format!("{PREFIX}/submissions/{}", one.id);
    ([(header::LOCATION, place)], json(status, &one.json())).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    state: Option<String>,
    submitter: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

async fn list(caller: Caller, State(app): State<App>, uri: Uri) -> Answer {
    let asked: Asked = body::query(&uri)?;
    let wanted = wanted(&caller, asked)?;
    let found = submission::list(&app.database, &wanted).await?;
    let more = i64::try_from(found.len()).is_ok_and(|n| n == wanted.limit);
    let next = found.last().filter(|_| more).map(Submission::cursor);
    let shown: Vec<Value> = found.iter().map(Submission::json).collect();
    Ok(json(StatusCode::OK, &json!({"submissions": shown, "next": next})))
}

fn wanted(caller: &Caller, asked: Asked) -> Result<Wanted, Refusal> {
    let none = |what: &str| Refusal::invalid(format!("`{what}` is none"), "leave it out");
    if asked.state.as_ref().is_some_and(|state| Of::named(state).is_none()) {
        return Err(none("state"));
    }
    if asked.submitter.as_ref().is_some_and(|name| !is_kebab(name, SUBMITTER)) {
        return Err(none("submitter"));
    }
    let state = asked.state.unwrap_or_default();
    let submitter = asked.submitter.unwrap_or_default();
    let limit = asked.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Refusal::invalid(format!("`limit` is not from 1 to {PAGE}"), "leave it out"));
    }
    let after = match asked.after {
        None => (0, String::new()),
        Some(text) => after(&text)
            .ok_or_else(|| Refusal::invalid("`after` is none", "give `next` of the page before"))?,
    };
    let (all, own) = (caller.is_admin(), caller.submitter().to_owned());
    Ok(Wanted { all, own, submitter, state, after, limit })
}

fn after(text: &str) -> Option<(i64, String)> {
    let (time, id) = text.split_once('-')?;
    let plain = (1..=18).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
    (plain && is_hex(id, 32)).then_some(())?;
    Some((time.parse().ok()?, id.to_owned()))
}

async fn one(caller: Caller, State(app): State<App>, Id(id): Id<32>) -> Answer {
    Ok(json(StatusCode::OK, &visible(&app, &caller, &id).await?.json()))
}

/// The submission, if it is for the caller's eyes; otherwise there is none.
pub(super) async fn visible(app: &App, caller: &Caller, id: &str) -> Result<Submission, Refusal> {
    let found = submission::get(&app.database, id).await?;
    let own = |s: &Submission| s.submitter == caller.submitter();
    let shown = found.filter(|s| s.state == Of::Accepted || caller.is_admin() || own(s));
    shown.ok_or_else(|| Refusal::unknown("submission"))
}
