//! What is sent by people who mean no good: every answer says what was wrong, and none is a fault of the server.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::{bomb, honest, large, members, packed, with_rows};
use crate::forgeries::FORGERIES;
use crate::server::{Reply, Server, bearer};

/// A refusal of the client's making, in our form.
fn refused(reply: &Reply, what: &str) {
    assert!((400..500).contains(&reply.status), "{what}: {reply:?}");
    let error = &reply.json()["error"];
    assert!(
        ["code", "message", "remedy"].iter().all(|key| error[key].is_string()),
        "{what}: {reply:?}"
    );
}

#[test]
fn bodies_that_are_not_what_they_should_be_are_refused() {
    let server = Server::start(&[]);
    let ada = server.submitter("ada");
    let digest = "a".repeat(64);
    let send = |body: &str| {
        let lines = [bearer(&ada), vec!["content-type: application/json".to_owned()]].concat();
        server.send("POST", "/api/v1/submissions", &lines, body.as_bytes())
    };
    let with = |name: &str, bytes: &str, more: &str| {
        format!("{{\"name\":{name},\"bytes\":{bytes},\"sha256\":\"{digest}\"{more}}}")
    };
    let deep = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    let (deeper, huge) =
        (with(&deep, "1", ""), with(&format!("\"{}\"", "a".repeat(100_000)), "1", ""));
    for (what, body) in [
        ("nothing", String::new()),
        ("no JSON", "{".to_owned()),
        ("a list", format!("[\"a\",1,\"{digest}\"]")),
        ("a text", "\"a\"".to_owned()),
        ("NaN", with("\"a\"", "NaN", "")),
        ("Infinity", with("\"a\"", "Infinity", "")),
        ("too large a number", with("\"a\"", "1e400", "")),
        ("a fraction", with("\"a\"", "1.5", "")),
        ("less than nothing", with("\"a\"", "-1", "")),
        ("nothing to send", with("\"a\"", "0", "")),
        ("a key twice", with("\"a\"", "1", ",\"name\":\"b\"")),
        ("an unknown key", with("\"a\"", "1", ",\"state\":\"accepted\"")),
        ("deep", deeper),
        ("huge", huge),
        ("HTML", with("\"<script>alert(1)</script>\"", "1", "")),
        ("SQL", with("\"a'; DROP TABLE tokens; --\"", "1", "")),
        ("a way out", with("\"../../etc\"", "1", "")),
        ("another alphabet", with("\"tіny\"", "1", "")),
        ("written backwards", with("\"a\\u202eb\"", "1", "")),
        ("nothing in between", with("\"a\\u0000b\"", "1", "")),
        ("half a character", with("\"\\ud800\"", "1", "")),
        ("an odd digest", "{\"name\":\"a\",\"bytes\":1,\"sha256\":\"../x\"}".to_owned()),
    ] {
        refused(&send(&body), what);
    }
    let lines = [bearer(&ada), vec!["content-type: application/json".to_owned()]].concat();
    refused(
        &server.send("POST", "/api/v1/submissions", &lines, b"{\"name\": \"\xff\xfe\"}"),
        "no UTF-8",
    );
    assert_eq!(server.get("/api/v1/submissions", &server.admin).json()["submissions"], json!([]));
}

#[test]
fn addresses_lead_nowhere_else() {
    let www = tempfile::tempdir().unwrap();
    fs::write(www.path().join("index.html"), "<p>the site</p>").unwrap();
    fs::write(www.path().parent().unwrap().join("toxiclip-outside.txt"), "secret").unwrap();
    let server = Server::start(&["--www", www.path().to_str().unwrap()]);
    assert!(server.get("/", "").text().contains("the site"));
    for path in [
        "/../toxiclip-outside.txt",
        "/%2e%2e/toxiclip-outside.txt",
        "/..%2ftoxiclip-outside.txt",
        "/%2e%2e%2ftoxiclip-outside.txt",
        "/..%5ctoxiclip-outside.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/index.html/../../toxiclip-outside.txt",
        "/%00",
        "/a%00b",
    ] {
        let reply = server.get(path, "");
        assert!(
            (400..500).contains(&reply.status) && !reply.text().contains("secret"),
            "{path}: {reply:?}"
        );
    }
    for path in [
        "/api/v1/submissions/..",
        "/api/v1/submissions/../tokens",
        "/api/v1/submissions/%2e%2e%2f%2e%2e%2ftoxiclip.sqlite/bundle",
        "/api/v1/submissions/%00/bundle",
        "/api/v1/submissions/%ff",
        "/api/v1/submissions/0%27%20OR%201=1--",
        "/api/v1/submissions/ABCDEFABCDEFABCDEFABCDEFABCDEFAB",
        "/api/v1/submissions?state=%27",
        "/api/v1/submissions?submitter=%00",
        "/api/v1/submissions?limit=99999999999999999999",
        "/api/v1/submissions?limit=0",
        "/api/v1/submissions?after=x",
        "/api/v1/submissions?state=queued&state=accepted",
        "/api/v1/submissions?unknown=1",
        "/api/v1/submissions?submitter=",
        "/api/v1/submissions?state=",
    ] {
        refused(&server.get(path, ""), path);
    }
    fs::remove_file(www.path().parent().unwrap().join("toxiclip-outside.txt")).unwrap();
}

#[test]
fn hostile_bundles_are_refused_with_their_reason_and_leave_nothing() {
    let server =
        Server::start(&["--workers", "2", "--token-rate", "100000", "--address-rate", "100000"]);
    let ada = server.submitter("ada");
    // Each takes a second or so: those that attack the reader, and some that lie.
    let wanted = [
        "a value",
        "another poison",
        "a number that is none",
        "nesting without end",
        "a script for the page",
        "evidence of another kind",
        "a name that leaves",
        "an absolute name",
        "a link",
        "an unknown key",
        "a flipped bit",
        "a cut",
    ];
    let chosen = FORGERIES.iter().filter(|(what, _, _)| wanted.contains(what));
    let mut bad: Vec<_> = chosen.map(|&(what, forge, part)| (what, forge(), part)).collect();
    assert_eq!(bad.len(), wanted.len());
    bad.push(("zeros without end", bomb(), "holds more than"));
    let mut contents: String = "[".repeat(200_000);
    contents.insert_str(0, "{\"environment\":");
    let mut all = members(honest());
    all.insert("bundle.json".to_owned(), contents.into_bytes());
    bad.push(("deep contents", packed(&all, false), "lists and objects in each other"));
    let sent: Vec<_> = bad
        .iter()
        .enumerate()
        .map(|(i, (what, bytes, part))| {
            (what, server.submit(&ada, &format!("bad-{i}"), bytes), part)
        })
        .collect();
    for (what, id, part) in sent {
        let seen = server.settled(&id);
        assert_eq!(seen["state"], "refused", "{what}: {seen}");
        assert!(seen["reason"].as_str().unwrap().contains(part), "{what}: {seen}");
        assert_eq!(server.accept(&id).code(), "state", "{what}");
    }
    for folder in ["checked", "accepted", "work", "incoming"] {
        assert_eq!(fs::read_dir(server.data.join(folder)).unwrap().count(), 0, "{folder}");
    }
    assert!(server.entries().is_empty());
}

#[test]
fn a_verification_that_takes_too_much_is_ended() {
    let server = Server::start(&["--verify-memory", "64"]);
    let ada = server.submitter("ada");
    let seen = server.settled(&server.submit(&ada, "large", honest()));
    // A library may be told that there is no more, or the process ends at once.
    let memory = seen["reason"].as_str().is_some_and(|reason| reason.contains("memory"));
    assert!(memory && seen["state"] == "refused", "{seen}");
    drop(server);
    let server = Server::start(&["--verify-seconds", "1"]);
    let ada = server.submitter("ada");
    let seen = server.settled(&server.submit(&ada, "slow", &large()));
    let cut = seen["reason"].as_str().is_some_and(|r| r.contains("more than 1 seconds"));
    assert!(cut && seen["state"] == "refused", "{seen}");
    assert!(seen["record"]["seconds"].as_f64().unwrap() < 5.0, "{seen}");
}

#[test]
fn text_of_strangers_is_data_wherever_it_is_shown() {
    let server = Server::start(&[]);
    let ada = server.submitter("ada");
    let script = "<script>alert(1)</script>\"'&";
    // Every text of a row that is free.
    let marked = with_rows(|rows| rows.iter_mut().for_each(|row| row["machine"] = json!(script)));
    let id = server.submit(&ada, "marked", &marked);
    let seen = server.settled(&id);
    let path = format!("/api/v1/submissions/{id}");
    let shown: Value = if seen["state"] == "verified" { server.accept(&id).json() } else { seen };
    assert!(["accepted", "refused"].contains(&shown["state"].as_str().unwrap()), "{shown}");
    let other = server.submit(&ada, "other", honest());
    assert_eq!(server.settled(&other)["state"], "verified");
    let rejected = server.post(
        &format!("/api/v1/submissions/{other}/reject"),
        &server.admin,
        &json!({"reason": script}),
    );
    assert_eq!((rejected.status, &rejected.json()["reason"]), (200, &json!(script)));
    refused(
        &server.post(&format!("{path}/reject"), &server.admin, &json!({"reason": "two\nlines"})),
        "a line break",
    );
    for path in
        ["/", "/api/v1/feed", "/api/v1/leaderboard", "/api/v1/audit", "/api/v1/submissions", &path]
    {
        let reply = server.get(path, &server.admin);
        let kind = reply.header("content-type").unwrap();
        assert!(kind.contains("json") || !reply.text().contains("<script>"), "{path}: {reply:?}");
        assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"));
    }
}
