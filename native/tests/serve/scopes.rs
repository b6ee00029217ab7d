//! Who may do what, and how often.

use std::fs;

use serde_json::json;

use crate::server::{Server, at_machine, bearer};

const ID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn every_door_asks_for_its_token() {
    let server = Server::start(&[]);
    let (ada, revoked) = (server.submitter("ada"), server.submitter("old"));
    let tokens = server.get("/api/v1/tokens", &server.admin).json();
    let old =
        tokens["tokens"].as_array().unwrap().iter().find(|t| t["submitter"] == "old").unwrap();
    let path = format!("/api/v1/tokens/{}", old["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &path, &bearer(&server.admin), &[]).status, 204);
    assert_eq!(server.send("DELETE", &path, &bearer(&server.admin), &[]).status, 404);
    let one = format!("/api/v1/submissions/{ID}");
    let guess = format!("txc_{}", "0".repeat(64));
    // Method and path, and what nobody, a submitter and an admin get.
    for (method, path, nobody, submitter, admin) in [
        ("GET", "/api/v1/tokens", 401, 403, 200),
        ("POST", "/api/v1/tokens", 401, 403, 415),
        ("DELETE", "/api/v1/tokens/0123456789abcdef", 401, 403, 404),
        ("GET", "/api/v1/audit", 401, 403, 200),
        ("POST", "/api/v1/submissions", 401, 415, 403),
        ("GET", "/api/v1/submissions", 200, 200, 200),
        ("GET", &one, 404, 404, 404),
        ("HEAD", &format!("{one}/content"), 401, 404, 403),
        ("PATCH", &format!("{one}/content"), 401, 404, 403),
        ("POST", &format!("{one}/withdraw"), 401, 404, 403),
        ("POST", &format!("{one}/accept"), 401, 403, 415),
        ("POST", &format!("{one}/reject"), 401, 403, 415),
        ("GET", "/api/v1/health", 200, 200, 200),
        ("GET", "/api/v1/openapi.json", 200, 200, 200),
        ("GET", "/api/v1/none", 404, 404, 404),
        ("DELETE", "/api/v1/health", 405, 405, 405),
    ] {
        for (token, expected) in [("", nobody), (&ada, submitter), (&server.admin, admin)] {
            let reply = server.send(method, path, &bearer(token), &[]);
            assert_eq!(reply.status, expected, "{method} {path} {token}: {reply:?}");
            for (name, part) in [
                ("content-security-policy", "frame-ancestors 'none'"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
            ] {
                assert!(reply.header(name).is_some_and(|v| v.contains(part)), "{name}: {reply:?}");
            }
            assert!(reply.header("access-control-allow-origin").is_none());
        }
    }
    for wrong in [&revoked[..], &guess, "txc_", "' OR 1=1 --", "Basic"] {
        assert_eq!(server.get("/api/v1/audit", wrong).status, 401, "{wrong}");
    }
    let odd = server.send("GET", "/api/v1/audit", &["authorization: Basic YTpi".to_owned()], &[]);
    assert_eq!(odd.status, 401);
}

#[test]
fn a_submitter_sees_and_moves_only_what_is_theirs() {
    let server = Server::start(&[]);
    let (ada, bob) = (server.submitter("ada"), server.submitter("bob"));
    let id = server.announce(&ada, "mine", b"bytes").json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/submissions/{id}");
    assert_eq!((server.get(&path, &ada).status, server.get(&path, &bob).status), (200, 404));
    assert_eq!((server.get(&path, "").status, server.get(&path, &server.admin).status), (404, 200));
    assert_eq!(server.append(&bob, &id, 0, b"bytes").status, 404);
    assert_eq!(server.post(&format!("{path}/withdraw"), &bob, &json!({})).status, 404);
    let count = |token: &str| {
        server.get("/api/v1/submissions", token).json()["submissions"].as_array().unwrap().len()
    };
    assert_eq!((count(&ada), count(&bob), count(""), count(&server.admin)), (1, 0, 0, 1));
    // Lists go on where they ended.
    for i in 0..4 {
        server.announce(&ada, &format!("more-{i}"), format!("{i}").as_bytes());
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/submissions?limit=2{after}"), &ada).json();
        seen.extend(page["submissions"].as_array().unwrap().iter().map(|s| s["id"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
}

#[test]
fn secrets_are_nowhere_on_the_disk() {
    let server = Server::start(&[]);
    let ada = server.submitter("ada");
    assert_eq!(server.get("/api/v1/submissions", &ada).status, 200);
    let made = server.post(
        "/api/v1/tokens",
        &server.admin,
        &json!({"scope": "submit", "submitter": "eve"}),
    );
    let eve = made.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/api/v1/submissions", &eve).status, 200);
    for file in fs::read_dir(&server.data).unwrap().flatten().filter(|e| e.path().is_file()) {
        let bytes = fs::read(file.path()).unwrap();
        for secret in [&ada, &eve, &server.admin] {
            let digits = secret.strip_prefix("txc_").unwrap().as_bytes();
            assert!(!bytes.windows(64).any(|w| w == digits), "{}", file.path().display());
        }
    }
    let list = at_machine(&server.data, None, &["token", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("eve") && !list.contains(&eve), "{list}");
}

#[test]
fn whoever_guesses_or_hurries_waits() {
    let server = Server::start(&["--address-rate", "100"]);
    let guess = |i: usize| server.get("/api/v1/audit", &format!("txc_{i:064x}"));
    let statuses: Vec<u16> = (0..25).map(|i| guess(i).status).collect();
    assert!(statuses[..20].iter().all(|s| *s == 401), "{statuses:?}");
    assert!(statuses[20..].iter().all(|s| *s == 429), "{statuses:?}");
    // Even the right one gets no answer now; readers without a token do.
    let right = server.get("/api/v1/audit", &server.admin);
    assert!(right.status == 429 && right.header("retry-after").is_some(), "{right:?}");
    assert_eq!(server.get("/api/v1/leaderboard", "").status, 200);
    let refused =
        (0..150).map(|_| server.get("/api/v1/health", "").status).filter(|s| *s == 429).count();
    assert!(refused >= 30, "{refused}");
}

#[test]
fn tokens_at_the_machine_are_made_for_names() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for wrong in [
        &["token", "create", "--scope", "submit"][..],
        &["token", "create", "--scope", "submit", "--submitter", "Ada"],
        &["token", "create", "--scope", "submit", "--submitter", "../ada"],
        &["token", "create", "--scope", "root"],
        &["token", "revoke", "0123456789abcdef"],
    ] {
        let done = at_machine(&data, None, wrong);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.lines().count()), (Some(2), 1), "{wrong:?}: {said}");
    }
}
