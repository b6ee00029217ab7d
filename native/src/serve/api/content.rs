//! `/submissions/{id}/content`: the bytes of a bundle, in as many requests as it takes, after the manner of tus.io. What is
//! here is what the file holds: a cut connection, a full disk or a killed server leave the offset at its end.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, head};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;
use toxiclip_shared::digest::Digest;

use super::submissions::visible;
use crate::serve::answer::{Answer, Refusal};
use crate::serve::app::App;
use crate::serve::body::{Id, malformed, slow, too_large};
use crate::serve::caller::Caller;
use crate::serve::openapi::{Operation, Resource, parameter};
use crate::serve::places::move_to;
use crate::serve::submission::{self, State as Of, Step, Submission};
use crate::serve::tokens::Scope;

const OFFSET: &str = "upload-offset";
const LENGTH: &str = "upload-length";
/// tus.io's, and that of bytes in general.
const TYPES: [&str; 2] = ["application/offset+octet-stream", "application/octet-stream"];
/// A request that appends lasts no longer than so many pauses.
const PAUSES: u32 = 20;
/// For what a refused sender sends all the same.
const REST: Duration = Duration::from_secs(5);

pub(super) fn resources() -> Vec<Resource> {
    let count = json!({"type": "integer", "minimum": 0, "maximum": i64::MAX});
    let bytes = || json!({"type": "string", "format": "binary"});
    let append = Operation {
        id: "appendContent",
        summary: "Append bytes at the offset; the last ones put the bundle into the queue",
        scope: "submit",
        parameters: vec![parameter(
            "Upload-Offset",
            "header",
            true,
            "bytes that are there",
            &count,
        )],
        body: TYPES.map(|kind| (kind, bytes())).to_vec(),
        good: vec![(204, "kept; Upload-Offset says how many are there", None)],
        refusals: &[400, 404, 408, 409, 413, 415, 422, 507],
    };
    let offset = Operation {
        id: "contentOffset",
        summary: "How many bytes are there: Upload-Offset of Upload-Length",
        scope: "submit",
        good: vec![(200, "in the headers", None)],
        refusals: &[404],
        ..Operation::default()
    };
    let bundle = Operation {
        id: "getBundle",
        summary: "The bundle of an accepted submission",
        good: vec![
            (200, "all of it", Some(("application/zstd", bytes()))),
            (206, "a part of it", Some(("application/zstd", bytes()))),
            (304, "as it was", None),
            (412, "not as it was", None),
            (416, "no such part", None),
        ],
        refusals: &[404],
        ..Operation::default()
    };
    vec![
        Resource {
            path: "/submissions/{id}/content",
            methods: head(self::offset).patch(self::append),
            operations: vec![("head", offset.json()), ("patch", append.json())],
        },
        Resource {
            path: "/submissions/{id}/bundle",
            methods: get(self::bundle),
            operations: vec![("get", bundle.json())],
        },
    ]
}

/// The caller's own submission.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Submission, Refusal> {
    let token = caller.of(Scope::Submit)?;
    let found = submission::get(&app.database, id).await?;
    found.filter(|s| s.submitter == token.submitter).ok_or_else(|| Refusal::unknown("submission"))
}

async fn offset(caller: Caller, State(app): State<App>, Id(id): Id<32>) -> Answer {
    let found = own(&app, &caller, &id).await?;
    let here = match found.state {
        Of::Uploading => length(&app.places.part(&id)).await?,
        _ => found.bytes,
    };
    Ok(([(OFFSET, here.to_string()), (LENGTH, found.bytes.to_string())], StatusCode::OK)
        .into_response())
}

async fn length(part: &Path) -> std::io::Result<u64> {
    match tokio::fs::metadata(part).await {
        Ok(about) => Ok(about.len()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

async fn append(
    caller: Caller,
    State(app): State<App>,
    Id(id): Id<32>,
    headers: HeaderMap,
    mut body: Body,
) -> Answer {
    let done = appended(&app, &caller, &id, &headers, &mut body).await;
    if done.is_err() {
        // A connection that ends with bytes unread is reset, and the answer is lost with it.
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        drop(tokio::time::timeout(REST, rest).await);
    }
    let here = done?;
    Ok((StatusCode::NO_CONTENT, [(OFFSET, here.to_string())]).into_response())
}

/// Appends, and says how many bytes are there then.
async fn appended(
    app: &App,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<u64, Refusal> {
    own(app, caller, id).await?;
    let kind = headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|said| TYPES.iter().any(|kind| said == kind)) {
        let (status, remedy) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {}", TYPES[0]));
        return Err(Refusal::new(status, "media-type", "the body has no bytes", remedy));
    }
    let count = |name| headers.get(name).and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    let said = count(header::HeaderName::from_static(OFFSET));
    let said = said.ok_or_else(|| malformed("Upload-Offset is missing or no number"))?;
    let busy = || Refusal::conflict("busy", "another request appends to it", "ask for its offset");
    let _held = app.take_upload(id).ok_or_else(busy)?;
    // Only now: the request before may have ended it.
    let found = own(app, caller, id).await?;
    if found.state != Of::Uploading {
        let refusal = Refusal::conflict("state", "all its bytes are here", "ask for its state");
        return Err(refusal.at(found.bytes));
    }
    let part = app.places.part(id);
    let here = length(&part).await?;
    if here != said {
        let message = format!("{here} bytes are here, not {said}");
        return Err(Refusal::conflict("offset", message, "go on from Upload-Offset").at(here));
    }
    let more = count(header::CONTENT_LENGTH).unwrap_or(0);
    if here.saturating_add(more) > found.bytes {
        return Err(too_large(found.bytes).at(here));
    }
    let here = receive(app, &part, here, found.bytes, body).await?;
    if here == found.bytes {
        finish(app, caller, &found).await?;
    }
    Ok(here)
}

/// Writes what comes behind what is there; returns how much is there then.
async fn receive(
    app: &App,
    part: &Path,
    here: u64,
    most: u64,
    body: &mut Body,
) -> Result<u64, Refusal> {
    let mut file = OpenOptions::new().create(true).append(true).open(part).await?;
    let mut now = here;
    let end = tokio::time::Instant::now() + PAUSES * app.settings.idle;
    let outcome = loop {
        // Whoever sends a byte now and then is cut as well.
        let until = end.min(tokio::time::Instant::now() + app.settings.idle);
        match tokio::time::timeout_at(until, body.frame()).await {
            Err(_) => break Err(slow()),
            Ok(None) => break Ok(()),
            Ok(Some(Err(_))) => break Err(malformed("the body ended early")),
            Ok(Some(Ok(frame))) => {
                let Some(bytes) = frame.data_ref() else { continue };
                if now + bytes.len() as u64 > most {
                    break Err(too_large(most));
                }
                if let Err(error) = file.write_all(bytes).await {
                    break Err(error.into());
                }
                now += bytes.len() as u64;
            }
        }
    };
    // Also what was cut is kept: its sender goes on from here.
    let kept = file.flush().await;
    let kept = if kept.is_ok() { file.sync_all().await } else { kept };
    let there = length(part).await?;
    outcome.map_err(|refusal: Refusal| refusal.at(there))?;
    kept.map_err(|e| Refusal::from(e).at(there))?;
    Ok(there)
}

/// Compares all bytes with the digest and puts the bundle into the queue.
async fn finish(app: &App, caller: &Caller, found: &Submission) -> Result<(), Refusal> {
    let token = caller.of(Scope::Submit)?;
    let (part, bundle) = (app.places.part(&found.id), app.places.bundle(&found.id));
    let digest = {
        let part = part.clone();
        let of = move || std::fs::File::open(part).and_then(Digest::of_reader);
        tokio::task::spawn_blocking(of).await??
    };
    if digest.to_string() != found.sha256 {
        tokio::fs::remove_file(&part).await?;
        let message = format!("the bytes are of sha256 {digest}, not what was announced");
        return Err(Refusal::invalid(message, "send them again from offset 0").at(0));
    }
    let mut write = app.database.write().await?;
    let actor = Caller::actor(token);
    let same = submission::same_bundle(&mut write, &found.sha256, &found.submitter).await?;
    if same.iter().any(|other| other.submitter != found.submitter) {
        let (action, reason) = ("submission.refuse", "the same bundle came from another submitter");
        let step = Step { from: &[Of::Uploading], to: Of::Refused, actor: &actor, action, reason };
        submission::step(&mut write, &found.id, &step).await?;
        write.commit().await?;
        tokio::fs::remove_file(&part).await?;
        return Err(super::submissions::replayed());
    }
    // The file is at its place before a row says so.
    tokio::task::spawn_blocking(move || move_to(&part, &bundle)).await??;
    let (action, reason) = ("submission.queue", "");
    let step = Step { from: &[Of::Uploading], to: Of::Queued, actor: &actor, action, reason };
    submission::set_complete(&mut write, &found.id).await?;
    if !submission::step(&mut write, &found.id, &step).await? {
        return Err(Refusal::conflict("state", "it was withdrawn meanwhile", "submit it again"));
    }
    write.commit().await?;
    app.wake.notify_one();
    Ok(())
}

async fn bundle(State(app): State<App>, Id(id): Id<32>, request: Request) -> Answer {
    // To nobody before it is accepted, whoever asks: there is one rule for what is handed out.
    let found = visible(&app, &Caller::Anybody, &id).await?;
    let file = ServeFile::new(app.places.bundle(&id));
    let served = file.oneshot(request).await;
    let mut response: Response = match served {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    let name = format!("attachment; filename=\"{}-{}.tar.zst\"", found.submitter, found.name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/zstd"));
    if let Ok(name) = name.parse() {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
