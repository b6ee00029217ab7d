//! Answers: JSON, and refusals that say what was wrong, in a word for programs, and what to do.

use std::io;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::log;

/// What a handler gives.
pub(crate) type Answer = Result<Response, Refusal>;

/// Why a request was not answered as it wished.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    remedy: String,
    wait: Option<u64>,
    offset: Option<u64>,
}

impl Refusal {
    /// A refusal with a status, a word for programs, a sentence for people and a remedy.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { status, code, message, remedy, wait: None, offset: None }
    }

    /// What the request says cannot be meant.
    pub(crate) fn invalid(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message, remedy)
    }

    /// There is no such thing, or it is not the asker's to see.
    pub(crate) fn unknown(what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "unknown", message, "look at GET /api/v1/openapi.json")
    }

    /// It is not in the state for this.
    pub(crate) fn conflict(
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::CONFLICT, code, message, remedy)
    }

    /// Too often; after so many seconds again.
    pub(crate) fn too_often(wait: u64) -> Self {
        let remedy = format!("wait {wait} seconds");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { wait: Some(wait), ..Self::new(status, "too-often", "too many requests", remedy) }
    }

    /// With the number of bytes that are here.
    pub(crate) fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// A fault of ours: what it is stays in our log.
    pub(crate) fn fault(what: &str) -> Self {
        log::line(format!("error: {what}"));
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(
            status,
            "fault",
            "the server failed at this",
            "try again; tell its keeper if it stays",
        )
    }

    fn full(what: &str) -> Self {
        log::line(format!("error: {what}; free some space"));
        let status = StatusCode::INSUFFICIENT_STORAGE;
        Self::new(status, "full", "the server's disk is full; nothing was lost", "go on later")
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        // SQLite's and PostgreSQL's words for it.
        let full = ["disk is full", "No space left", "could not extend file"];
        let said = format!("database: {text}");
        if full.iter().any(|mark| text.contains(mark)) {
            Self::full(&said)
        } else {
            Self::fault(&said)
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let said = format!("files: {error}");
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::full(&said),
            _ => Self::fault(&said),
        }
    }
}

impl From<tokio::task::JoinError> for Refusal {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::fault(&format!("a task ended: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message, remedy, wait, offset } = self;
        let error = json!({"code": code, "message": message, "remedy": remedy});
        let mut response = json(status, &json!({"error": error}));
        let headers = response.headers_mut();
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, wait.into());
        }
        if let Some(offset) = offset {
            headers.insert("upload-offset", offset.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// JSON with a status.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    typed(status, "application/json", value.to_string())
}

/// A text of a type.
pub(crate) fn typed(status: StatusCode, kind: &'static str, text: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text.into()).into_response()
}
