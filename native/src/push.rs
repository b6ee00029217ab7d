//! The client of a server: sends a bundle, going on where an earlier try ended.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use crate::failure::{Failure, Result};
use crate::files::name_of;

/// Bytes of one request: what a cut connection can cost.
const PART: u64 = 8 << 20;
/// Requests in a row that may fail before we give up.
const TRIES: u32 = 5;
/// Between two of them, and between two looks at a verification.
const PAUSE: Duration = Duration::from_secs(2);

/// A server, and whom it takes us for.
#[derive(Debug)]
pub(crate) struct Remote {
    agent: Agent,
    url: String,
    token: String,
}

/// What an answer said.
struct Said {
    status: u16,
    offset: Option<u64>,
    body: Value,
}

impl Remote {
    /// A server at `url`, such as `http://127.0.0.1:8787`.
    ///
    /// # Errors
    /// If the address is none that this client can speak to.
    pub(crate) fn new(url: &str, token: String) -> Result<Self> {
        if !url.starts_with("http://") {
            return Err(Failure::request(format!(
                "--url {url}: this client speaks http:// alone; for https:// open a tunnel \
                 (ssh -L 8787:127.0.0.1:8787 HOST) and give http://127.0.0.1:8787"
            )));
        }
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let config = config.timeout_connect(Some(Duration::from_secs(20)));
        let config = config.timeout_recv_response(Some(Duration::from_secs(120)));
        let agent = config.build().new_agent();
        Ok(Self { agent, url: format!("{}/api/v1", url.trim_end_matches('/')), token })
    }

    /// Announces and sends a bundle; returns the submission's address.
    ///
    /// # Errors
    /// If the file cannot be read, the server refuses it, or does not answer several times in a row.
    pub(crate) fn push(&self, bundle: &Path, name: Option<&str>) -> Result<String> {
        let absent = |e: &std::io::Error| {
            Failure::absent(bundle, e, "give a file that `toxiclip submit pack` wrote")
        };
        let mut file = File::open(bundle).map_err(|e| absent(&e))?;
        let digest = Digest::of_reader(&file).map_err(|e| Failure::io(bundle, &e))?;
        let bytes = file.metadata().map_err(|e| Failure::io(bundle, &e))?.len();
        let name = name.map_or_else(|| own_name(bundle), |name| Ok(name.to_owned()))?;
        let announced = json!({"name": name, "bytes": bytes, "sha256": digest});
        let said = self.again(|| self.post("/submissions", &announced))?;
        let Some(id) = said.body["id"].as_str() else { return Err(refused(&said)) };
        let place = format!("/submissions/{id}");
        if said.body["state"] == "uploading" {
            self.content(&place, &mut file, bytes)?;
        }
        Ok(place)
    }

    /// Sends part after part; the last may be empty, where all bytes are there and were not compared yet.
    fn content(&self, place: &str, file: &mut File, bytes: u64) -> Result<()> {
        let mut failures = 0;
        let mut here = self.offset(place)?;
        loop {
            let more = PART.min(bytes.saturating_sub(here));
            let sent = file
                .seek(SeekFrom::Start(here))
                .map_err(ureq::Error::Io)
                .and_then(|_| self.patch(place, here, &mut file.take(more), more));
            match sent {
                Ok(Said { status: 204, offset: Some(next), .. }) if next >= bytes => return Ok(()),
                Ok(Said { status: 204, offset: Some(next), .. }) => (here, failures) = (next, 0),
                Ok(said) if ![408, 409, 429, 507].contains(&said.status) => {
                    return Err(refused(&said));
                }
                // An answer to the last part was lost, and it is there.
                Ok(said) if said.body["error"]["code"] == "state" => return Ok(()),
                outcome => {
                    failures += 1;
                    if failures == TRIES {
                        return Err(outcome.map_or_else(|e| self.silent(&e), |said| refused(&said)));
                    }
                    eprintln!("warning: cut at byte {here}; going on in {} s", PAUSE.as_secs());
                    sleep(PAUSE);
                    here = self.offset(place)?;
                }
            }
        }
    }

    /// Waits until a submission is verified or refused.
    ///
    /// # Errors
    /// If it is refused, with the reason.
    pub(crate) fn wait(&self, place: &str) -> Result<String> {
        loop {
            let said = self.again(|| self.get(place))?;
            let reason = said.body["reason"].as_str().unwrap_or("the server gives no reason");
            match said.body["state"].as_str() {
                Some("uploading" | "queued" | "verifying") => sleep(PAUSE),
                Some("refused") => return Err(Failure::failed(format!("refused: {reason}"))),
                Some(state) => return Ok(state.to_owned()),
                None => return Err(refused(&said)),
            }
        }
    }

    /// The whole address of a place.
    pub(crate) fn address(&self, place: &str) -> String {
        format!("{}{place}", self.url)
    }

    fn offset(&self, place: &str) -> Result<u64> {
        let said = self.again(|| {
            let request = self.agent.head(self.address(&format!("{place}/content")));
            said(request.header("authorization", self.bearer()).call()?)
        })?;
        said.offset.ok_or_else(|| refused(&said))
    }

    fn patch(
        &self,
        place: &str,
        offset: u64,
        part: &mut impl std::io::Read,
        bytes: u64,
    ) -> Result<Said, ureq::Error> {
        let request = self.agent.patch(self.address(&format!("{place}/content")));
        let request = request.header("authorization", self.bearer());
        let request = request.header("upload-offset", offset.to_string());
        let request = request.header("content-length", bytes.to_string());
        let request = request.content_type("application/offset+octet-stream");
        said(request.send(SendBody::from_reader(part))?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Said, ureq::Error> {
        let request = self.agent.post(self.address(path)).header("authorization", self.bearer());
        said(request.content_type("application/json").send(body.to_string())?)
    }

    fn get(&self, path: &str) -> Result<Said, ureq::Error> {
        said(self.agent.get(self.address(path)).header("authorization", self.bearer()).call()?)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Asks until there is an answer; too many questions are an answer to wait for.
    fn again(&self, ask: impl Fn() -> Result<Said, ureq::Error>) -> Result<Said> {
        let mut tries = 1;
        loop {
            match ask() {
                Ok(said) if said.status != 429 || tries == TRIES => return Ok(said),
                Err(error) if tries == TRIES => return Err(self.silent(&error)),
                _ => sleep(PAUSE),
            }
            tries += 1;
        }
    }

    fn silent(&self, error: &ureq::Error) -> Failure {
        Failure::failed(format!("{}: {error}; repeat the command, it goes on from there", self.url))
    }
}

fn said(mut response: Response<Body>) -> Result<Said, ureq::Error> {
    let status = response.status().as_u16();
    let offset = response.headers().get("upload-offset");
    let offset = offset.and_then(|text| text.to_str().ok()?.parse().ok());
    let text = response.body_mut().read_to_string()?;
    Ok(Said { status, offset, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
}

fn refused(said: &Said) -> Failure {
    let word = |key: &str| said.body["error"][key].as_str();
    let status = said.status;
    Failure::failed(match (word("message"), word("remedy")) {
        (Some(message), Some(remedy)) => {
            format!("the server answers {status}: {message}; {remedy}")
        }
        // A proxy, or no toxiclip at all.
        _ => format!("the server answers {status} in a form that is not ours; look at --url"),
    })
}

/// The file's name without its endings, as a name may be.
fn own_name(bundle: &Path) -> Result<String> {
    let name = name_of(bundle)?.to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name: String = words.collect::<Vec<_>>().join("-").chars().take(64).collect();
    let name = name.trim_end_matches('-').to_owned();
    if name.is_empty() {
        return Err(Failure::request(format!("{}: give it a name with --name", bundle.display())));
    }
    Ok(name)
}
