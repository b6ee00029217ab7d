//! What every answer tells browsers: run and embed nothing but our own pages.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Of the interface: data, never a page.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// Of pages: their own files, WebAssembly, and pictures that they draw or were given.
const PAGES: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:; \
                     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Sets them.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    let policy = if request.uri().path().starts_with("/api/") { DATA } else { PAGES };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let all: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
