//! From a bundle to the leaderboard and back.

use std::fs;

use serde_json::json;

use crate::bundle::{honest, members, packed, place, with_rows};
use crate::server::{Server, at_machine, program};

#[test]
fn a_bundle_is_pushed_verified_accepted_shown_and_withdrawn() {
    let server = Server::start(&[]);
    accepted_and_withdrawn(&server);
}

/// On any database.
pub(crate) fn accepted_and_withdrawn(server: &Server) {
    let token = server.submitter("ada");
    let file = place().join("one.tar.zst");
    honest();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), format!("{token}\n")).unwrap();
    let words = [
        "submit",
        "push",
        file.to_str().unwrap(),
        "--url",
        &server.url(),
        "--name",
        "mini-run",
        "--wait",
    ];
    let push = || program(&words).arg("--token-file").arg(secret.path()).output().unwrap();
    let done = push();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (address, state) = said.trim().split_once('\n').unwrap();
    assert_eq!(state, "verified");
    let path = address.strip_prefix(&server.url()).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let seen = server.look(id);
    assert_eq!((&seen["submitter"], &seen["name"]), (&json!("ada"), &json!("mini-run")));
    let passed = seen["record"]["passed"].to_string();
    assert!(passed.contains("follow from their evidence"), "{passed}");
    // What was verified only is nobody's business.
    for hidden in [path.to_owned(), format!("{path}/bundle")] {
        assert_eq!(server.get(&hidden, "").status, 404, "{hidden}");
        assert!(
            hidden.ends_with("bundle") || server.get(&hidden, &token).status == 200,
            "{hidden}"
        );
    }
    assert!(server.entries().is_empty());
    shown(server, id, path);
    // The same again is the same; it is not sent twice.
    let again = String::from_utf8(push().stdout).unwrap();
    assert_eq!(again.trim(), format!("{address}\naccepted"));
    withdrawn(server, &token, id, path);
}

fn shown(server: &Server, id: &str, path: &str) {
    let accepted = server.accept(id);
    assert_eq!(accepted.status, 200, "{accepted:?}");
    assert_eq!(server.accept(id).code(), "state");
    let entries = server.entries();
    let one = entries.iter().find(|e| e["attack"] == "badnets" && e["metric"] == "asr").unwrap();
    assert_eq!(
        (&one["submitter"], &one["seeds"], &one["submission"]),
        (&json!("ada"), &json!([0]), &json!(id))
    );
    let number = |key: &str| one[key].as_f64().unwrap();
    assert!(
        number("lo") <= number("value") && number("value") <= number("hi") && number("n") > 100.0
    );
    let folder = server.data.join("accepted/ada/mini-run");
    assert!(folder.join("rows.jsonl").is_file() && folder.join("evidence").is_dir());
    let bundle = server.get(&format!("{path}/bundle"), "");
    assert!(bundle.status == 200 && bundle.body == honest());
    let part =
        server.send("GET", &format!("{path}/bundle"), &["range: bytes=10-19".to_owned()], &[]);
    assert_eq!((part.status, &part.body[..]), (206, &honest()[10..20]));
    let feed = server.get("/api/v1/feed", "").text();
    assert!(feed.contains("<title>ada: mini-run</title>") && feed.contains(id), "{feed}");
    assert!(server.get("/", "").text().contains("mini-run"));
    let tag = server.get("/api/v1/leaderboard", "").header("etag").unwrap();
    let again = server.send("GET", "/api/v1/leaderboard", &[format!("if-none-match: {tag}")], &[]);
    assert_eq!((again.status, again.body.len()), (304, 0));
}

fn withdrawn(server: &Server, token: &str, id: &str, path: &str) {
    assert_eq!(server.post(&format!("{path}/withdraw"), &server.admin, &json!({})).status, 403);
    let done = server.post(&format!("{path}/withdraw"), token, &json!({}));
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("withdrawn")));
    assert!(server.entries().is_empty());
    assert_eq!(server.get(&format!("{path}/bundle"), "").status, 404);
    assert!(!server.data.join("accepted/ada/mini-run").exists());
    let log = server.get("/api/v1/audit", &server.admin).json();
    let log: Vec<String> = log["audit"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .filter(|row| row["subject"] == id)
        .map(|row| {
            format!("{} {}", row["action"].as_str().unwrap(), row["after"].as_str().unwrap())
        })
        .collect();
    let expected = [
        "submission.create uploading",
        "submission.queue queued",
        "submission.verify verifying",
        "submission.verified verified",
        "submission.accept accepted",
        "submission.withdraw withdrawn",
    ];
    assert_eq!(log, expected);
}

#[test]
fn what_was_skipped_must_be_acknowledged() {
    let server = Server::start(&[]);
    let token = server.submitter("ada");
    let dirty =
        with_rows(|rows| rows.iter_mut().for_each(|row| row["code"]["dirty"] = json!(true)));
    // Its contents name the program too.
    let mut all = members(&dirty);
    let mut contents: serde_json::Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    contents["code"]["dirty"] = json!(true);
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    let id = server.submit(&token, "dirty", &packed(&all, false));
    let seen = server.settled(&id);
    assert_eq!(seen["state"], "verified", "{seen}");
    assert!(seen["record"]["skipped"].to_string().contains("changed sources"), "{seen}");
    let path = format!("/api/v1/submissions/{id}/accept");
    let refused = server.post(&path, &server.admin, &json!({"acknowledge_skipped": false}));
    assert_eq!((refused.status, refused.code()), (409, "skipped".to_owned()));
    assert_eq!(server.accept(&id).status, 200);
    assert!(server.entries()[0]["skipped"].to_string().contains("changed sources"));
}

#[test]
fn a_bundle_of_somebody_else_is_refused_however_it_is_packed() {
    let server = Server::start(&[]);
    replays(&server);
}

/// On any database.
pub(crate) fn replays(server: &Server) {
    let (ada, bob) = (server.submitter("ada"), server.submitter("bob"));
    let first = server.submit(&ada, "first", honest());
    assert_eq!(server.settled(&first)["state"], "verified");
    let same = server.announce(&bob, "mine", honest());
    assert_eq!((same.status, same.code()), (409, "replay".to_owned()));
    let own = server.announce(&ada, "other-name", honest());
    assert_eq!((own.status, &own.json()["id"]), (200, &json!(first)));
    // Packed anew it has another digest, and the same rows.
    let repacked = packed(&members(honest()), false);
    let copied = server.submit(&bob, "mine", &repacked);
    let seen = server.settled(&copied);
    assert_eq!(seen["state"], "refused", "{seen}");
    assert!(
        seen["reason"].as_str().unwrap().contains("the same rows are in first of ada"),
        "{seen}"
    );
    // An honest repetition took other times.
    let repeated = with_rows(|rows| rows.iter_mut().for_each(|row| row["seconds"] = json!(12.5)));
    let id = server.submit(&bob, "repetition", &repeated);
    assert_eq!(server.settled(&id)["state"], "verified");
    // Whoever announced a digest and had no bytes holds nobody up.
    let late = with_rows(|rows| rows.iter_mut().for_each(|row| row["seconds"] = json!(99.5)));
    let squatted =
        server.announce(&bob, "squatted", &late).json()["id"].as_str().unwrap().to_owned();
    let real = server.submit(&ada, "real", &late);
    let sent = server.append(&bob, &squatted, 0, &late);
    assert_eq!((sent.status, sent.code()), (409, "replay".to_owned()));
    assert_eq!(
        (&server.look(&squatted)["state"], &server.settled(&real)["state"]),
        (&json!("refused"), &json!("verified"))
    );
    // Two of one name are not both shown.
    assert_eq!(server.accept(&first).status, 200);
    let twin = with_rows(|rows| rows.iter_mut().for_each(|row| row["seconds"] = json!(7.5)));
    let twin = server.submit(&ada, "first", &twin);
    assert_eq!(server.settled(&twin)["state"], "verified");
    assert_eq!(server.accept(&twin).code(), "name");
    assert_eq!(server.look(&twin)["state"], "verified", "nothing half done");
    assert!(server.data.join("checked").join(&twin).is_dir());
}

#[test]
fn a_second_server_on_one_folder_is_refused() {
    let server = Server::start(&[]);
    let done = at_machine(&server.data, None, &["--addr", "127.0.0.1:0"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("another server uses this folder"), "{said}");
}
