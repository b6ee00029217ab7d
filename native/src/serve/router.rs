//! All paths together, and what every request goes through.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;
use tower_http::services::ServeDir;

use super::answer::{Refusal, json};
use super::app::App;
use super::openapi::{Operation, PREFIX, Resource, document};
use super::{api, caller, headers, page};

/// Every resource, the description among them; `most` bytes of a bundle.
pub(crate) fn resources(most: u64) -> Vec<Resource> {
    let mut all = api::resources(most);
    let about = Operation {
        id: "openapi",
        summary: "This description",
        good: vec![(200, "OpenAPI 3.1", Some(("application/json", json!({"type": "object"}))))],
        ..Operation::default()
    };
    let operations = vec![("get", about.json())];
    all.push(Resource { path: "/openapi.json", methods: get(description), operations });
    all
}

async fn description(State(app): State<App>) -> Response {
    json(StatusCode::OK, &document(&resources(app.settings.max_bundle)))
}

/// What answers requests.
pub(crate) fn router(app: &App) -> Router {
    let mut interface = Router::new();
    for Resource { path, methods, .. } in resources(app.settings.max_bundle) {
        interface = interface.route(path, methods);
    }
    let interface = interface.fallback(absent).method_not_allowed_fallback(not_so);
    let all = Router::new().nest(PREFIX, interface);
    let all = match &app.settings.www {
        None => all.route("/", get(page::index)).fallback(absent),
        Some(dir) => all.fallback_service(ServeDir::new(dir)),
    };
    all.layer(middleware::from_fn(whole))
        .layer(middleware::from_fn_with_state(app.clone(), caller::admit))
        .layer(middleware::from_fn(headers::secure))
        .with_state(app.clone())
}

/// A change goes on to its end though whoever asked for it has left: files and rows move together.
async fn whole(request: Request, next: Next) -> Response {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => Refusal::from(error).into_response(),
    }
}

async fn absent() -> Refusal {
    Refusal::unknown("address")
}

async fn not_so() -> Refusal {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let remedy = "look at GET /api/v1/openapi.json";
    Refusal::new(status, "method", "nothing is done so at this address", remedy)
}
