//! Stops of the server: what waits goes on waiting, what was half done is done again.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::bundle::honest;
use crate::server::{Server, bearer, within};

/// Processes that verify for a server, by its data folder.
fn verifications(server: &Server) -> usize {
    let all = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let text = String::from_utf8_lossy(&all.stdout).into_owned();
    let data = fs::canonicalize(&server.data).unwrap();
    text.lines()
        .filter(|line| line.contains("serve check") && line.contains(data.to_str().unwrap()))
        .count()
}

#[test]
fn the_queue_outlives_a_kill_and_so_does_no_verification() {
    let mut server = Server::start(&[]);
    let token = server.submitter("ada");
    let first = server.submit(&token, "first", honest());
    let second = server.submit(&token, "second", b"no bundle");
    within(60, "a verification begins", || verifications(&server) == 1);
    let seen = server.look(&first);
    assert_eq!(seen["state"], "verifying", "{seen}");
    server.kill();
    within(10, "it ends with its server", || verifications(&server) == 0);
    server.restart();
    assert_eq!(server.settled(&first)["state"], "verified");
    assert_eq!(server.settled(&second)["state"], "refused");
    let log = server.get("/api/v1/audit", &server.admin).text();
    assert!(log.contains("the server was stopped"), "{log}");
    assert_eq!(fs::read_dir(server.data.join("work")).unwrap().count(), 0);
}

#[test]
fn what_is_withdrawn_while_it_is_verified_stays_withdrawn() {
    let server = Server::start(&[]);
    let token = server.submitter("ada");
    let id = server.submit(&token, "first", honest());
    within(60, "a verification begins", || server.look(&id)["state"] == "verifying");
    let path = format!("/api/v1/submissions/{id}/withdraw");
    assert_eq!(server.send("POST", &path, &bearer(&token), &[]).status, 200);
    within(120, "the verification ends", || verifications(&server) == 0);
    sleep(Duration::from_millis(500));
    assert_eq!(server.look(&id)["state"], "withdrawn");
}

#[test]
fn rows_and_files_are_brought_together_at_the_start() {
    let mut server = Server::start(&[]);
    let token = server.submitter("ada");
    let id = server.submit(&token, "shown", honest());
    assert_eq!(server.settled(&id)["state"], "verified");
    assert_eq!(server.accept(&id).status, 200);
    let lost = server.submit(&token, "lost", b"some bytes");
    server.settled(&lost);
    server.kill();
    let data = server.data.clone();
    // As if it had been killed between a folder and its row, and as if strangers had put something there.
    fs::rename(data.join("accepted/ada/shown"), data.join("checked").join(&id)).unwrap();
    fs::create_dir_all(data.join("accepted/eve/unasked")).unwrap();
    fs::write(data.join("accepted/eve/unasked/rows.jsonl"), "{}").unwrap();
    fs::create_dir_all(data.join("work/left")).unwrap();
    fs::write(data.join("incoming/ffffffffffffffffffffffffffffffff.part"), "x").unwrap();
    fs::write(data.join("bundles/ffffffffffffffffffffffffffffffff.tar.zst"), "x").unwrap();
    server.restart();
    assert_eq!(server.look(&id)["state"], "accepted");
    assert!(data.join("accepted/ada/shown/rows.jsonl").is_file() && !server.entries().is_empty());
    for gone in [
        "accepted/eve/unasked",
        "work/left",
        "incoming/ffffffffffffffffffffffffffffffff.part",
        "bundles/ffffffffffffffffffffffffffffffff.tar.zst",
    ] {
        assert!(!data.join(gone).exists(), "{gone}");
    }
    // A bundle that is gone is said to be.
    server.kill();
    fs::remove_file(data.join("bundles").join(format!("{id}.tar.zst"))).unwrap();
    server.restart();
    let seen = server.look(&id);
    assert!(
        seen["state"] == "refused" && seen["reason"].as_str().unwrap().contains("was lost"),
        "{seen}"
    );
    assert!(server.entries().is_empty());
}
