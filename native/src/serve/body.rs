//! Bodies and addresses of requests, read strictly: bounded in size and time, no unknown keys, none twice, nothing but objects.

use std::time::Duration;

use axum::RequestPartsExt as _;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::names::is_hex;

/// Bytes of a body of JSON. serde_json refuses more than 128 levels of nesting.
const JSON: usize = 16 << 10;
/// For all of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads an object.
///
/// # Errors
/// If it is none of this form.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::new(
            status,
            "media-type",
            "the body is not JSON",
            "send application/json",
        ));
    }
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, JSON).collect());
    let bytes = match read.await {
        Err(_) => return Err(slow()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => return Err(too_large(JSON as u64)),
        Ok(Err(_)) => return Err(malformed("the body ended early")),
        Ok(Ok(all)) => all.to_bytes(),
    };
    // serde takes a list for a struct.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(malformed("the body is no JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|e| malformed(&format!("the body: {e}")))
}

/// Reads what stands behind the question mark.
///
/// # Errors
/// If there is something else than `T` knows.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(value)| value).map_err(|e| malformed(&e.body_text()))
}

/// A request that cannot be read.
pub(crate) fn malformed(message: &str) -> Refusal {
    let remedy = "look at GET /api/v1/openapi.json";
    Refusal::new(StatusCode::BAD_REQUEST, "malformed", message, remedy)
}

/// A body that does not come.
pub(crate) fn slow() -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow",
        "the body did not come in time",
        "go on from the offset",
    )
}

/// A body that is larger than it may be.
pub(crate) fn too_large(bytes: u64) -> Refusal {
    let message = format!("more than {bytes} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message, "send less")
}

/// An identifier of so many digits in the address; another is nothing that there could be.
#[derive(Debug)]
pub(crate) struct Id<const DIGITS: usize>(pub(crate) String);

impl<const DIGITS: usize, S: Send + Sync> FromRequestParts<S> for Id<DIGITS> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.extract::<Path<String>>().await {
            Ok(Path(id)) if is_hex(&id, DIGITS) => Ok(Self(id)),
            _ => Err(Refusal::unknown("thing")),
        }
    }
}
