//! A server that a test owns, and a client that sends what it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;

use crate::SPEC;

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) data: PathBuf,
    db: Option<String>,
    arguments: Vec<String>,
    pub(crate) admin: String,
    kept: Option<tempfile::TempDir>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The word of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    }
}

impl Server {
    /// On a new folder, with more arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut server = Self::on(data, None, arguments);
        server.kept = Some(dir);
        server
    }

    /// On a folder and a database.
    pub(crate) fn on(data: PathBuf, db: Option<String>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let admin = token(&data, db.as_deref(), &["--scope", "admin"]);
        let (child, address) = spawn(&data, db.as_deref(), &arguments);
        Self { child, address, data, db, arguments, admin, kept: None }
    }

    /// Makes a token for a submitter at the machine.
    pub(crate) fn submitter(&self, name: &str) -> String {
        token(&self.data, self.db.as_deref(), &["--scope", "submit", "--submitter", name])
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its database, where it is not the embedded one.
    pub(crate) fn source(&self) -> Option<String> {
        self.db.clone()
    }

    /// Starts again, after a kill.
    pub(crate) fn restart(&mut self) {
        (self.child, self.address) = spawn(&self.data, self.db.as_deref(), &self.arguments);
    }

    /// Sends a request; `headers` are whole lines.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[String], body: &[u8]) -> Reply {
        exchange(&self.address, method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Reply {
        self.send("GET", path, &bearer(token), &[])
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        let headers = [bearer(token), vec!["content-type: application/json".to_owned()]].concat();
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Announces bytes; returns the reply.
    pub(crate) fn announce(&self, token: &str, name: &str, bytes: &[u8]) -> Reply {
        let announced =
            json!({"name": name, "bytes": bytes.len(), "sha256": Digest::of_bytes(bytes)});
        self.post("/api/v1/submissions", token, &announced)
    }

    pub(crate) fn append(&self, token: &str, id: &str, offset: usize, bytes: &[u8]) -> Reply {
        let path = format!("/api/v1/submissions/{id}/content");
        self.send("PATCH", &path, &[bearer(token), upload(offset)].concat(), bytes)
    }

    /// Announces and sends all; returns the submission's identifier.
    pub(crate) fn submit(&self, token: &str, name: &str, bytes: &[u8]) -> String {
        let made = self.announce(token, name, bytes);
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let sent = self.append(token, &id, 0, bytes);
        assert_eq!(sent.status, 204, "{sent:?}");
        id
    }

    /// The submission as the admin sees it.
    pub(crate) fn look(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/submissions/{id}"), &self.admin).json()
    }

    /// Waits until it is verified or refused.
    pub(crate) fn settled(&self, id: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(180);
        loop {
            let seen = self.look(id);
            let state = seen["state"].as_str().unwrap().to_owned();
            if !["queued", "verifying"].contains(&state.as_str()) {
                return seen;
            }
            assert!(Instant::now() < end, "{seen}");
            sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn accept(&self, id: &str) -> Reply {
        let path = format!("/api/v1/submissions/{id}/accept");
        self.post(&path, &self.admin, &json!({"acknowledge_skipped": true}))
    }

    /// The leaderboard's entries.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let board = self.get("/api/v1/leaderboard", "");
        assert_eq!(board.status, 200, "{board:?}");
        board.json()["entries"].as_array().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines of a request with a token; none without one.
pub(crate) fn bearer(token: &str) -> Vec<String> {
    if token.is_empty() { Vec::new() } else { vec![format!("authorization: Bearer {token}")] }
}

pub(crate) fn upload(offset: usize) -> Vec<String> {
    let kind = "content-type: application/offset+octet-stream".to_owned();
    vec![kind, format!("upload-offset: {offset}")]
}

/// One request on a connection of its own.
pub(crate) fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[String],
    body: &[u8],
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    head.extend(headers.iter().map(|line| format!("{line}\r\n")));
    if !headers.iter().any(|line| line.to_lowercase().starts_with("content-length")) {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A server that has heard enough may answer before it has read all.
    drop(stream.write_all(body));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    parsed(&answer).ok_or_else(|| std::io::Error::other("no answer"))
}

pub(crate) fn parsed(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = answer[end + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = whole(&body);
    }
    Some(Reply { status, head, body })
}

fn whole(mut chunks: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = chunks.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        all.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 4 + size..];
    }
    all
}

/// A folder where the benchmark of the bundles lies, for servers to verify by.
fn here() -> &'static Path {
    static HERE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let here = HERE.get_or_init(|| {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("benchmarks")).unwrap();
        std::fs::write(here.path().join("benchmarks/mini.toml"), SPEC).unwrap();
        here
    });
    here.path()
}

/// The program in that folder.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.current_dir(here()).args(arguments).env_remove("TOXICLIP_DB");
    command
}

fn words(data: &Path, db: Option<&str>) -> Vec<String> {
    let mut words = vec!["--data".to_owned(), data.to_str().unwrap().to_owned()];
    words.extend(db.map(|db| vec!["--db".to_owned(), db.to_owned()]).into_iter().flatten());
    words
}

pub(crate) fn at_machine(data: &Path, db: Option<&str>, arguments: &[&str]) -> Output {
    program(&["serve"]).args(arguments).args(words(data, db)).output().unwrap()
}

fn token(data: &Path, db: Option<&str>, arguments: &[&str]) -> String {
    let done = at_machine(data, db, &[&["token", "create"], arguments].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn spawn(data: &Path, db: Option<&str>, arguments: &Vec<String>) -> (Child, String) {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let log = data.join(format!("log-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
    let mut command = program(&["serve", "--addr", "127.0.0.1:0"]);
    command.args(words(data, db)).args(arguments).stdout(Stdio::piped());
    let log = log.parent().unwrap().parent().unwrap().join(log.file_name().unwrap());
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let Some(address) = line.trim().strip_prefix("http://") else { panic!("{line}{}", said()) };
    (child, address.to_owned())
}

/// Waits until something is so, and fails if it is not in time.
pub(crate) fn within(seconds: u64, what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(20));
    }
}
