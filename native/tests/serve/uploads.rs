//! Uploads: cut, slow, wrong, too large, all at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Server, bearer, parsed, upload, within};

fn offset(server: &Server, token: &str, id: &str) -> usize {
    let reply =
        server.send("HEAD", &format!("/api/v1/submissions/{id}/content"), &bearer(token), &[]);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("upload-offset").unwrap().parse().unwrap()
}

fn announced(server: &Server, token: &str, bytes: &[u8]) -> String {
    server.announce(token, "some-run", bytes).json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    let mut server = Server::start(&[]);
    let token = server.submitter("ada");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let id = announced(&server, &token, &bytes);
    assert_eq!(offset(&server, &token, &id), 0);
    assert_eq!(server.append(&token, &id, 0, &bytes[..300_000]).status, 204);
    // A connection that breaks within a body.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let lines = [bearer(&token), upload(300_000)].concat().join("\r\n");
    let head = format!(
        "PATCH /api/v1/submissions/{id}/content HTTP/1.1\r\nhost: x\r\n{lines}\r\ncontent-length: 500000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[300_000..400_000]).unwrap();
    drop(stream);
    within(20, "what came is kept", || offset(&server, &token, &id) == 400_000);
    // The server is killed, and started again.
    server.kill();
    server.restart();
    assert_eq!(offset(&server, &token, &id), 400_000);
    let gap = server.append(&token, &id, 500_000, &bytes[500_000..]);
    assert_eq!(
        (gap.status, gap.code(), gap.header("upload-offset").unwrap()),
        (409, "offset".into(), "400000".into())
    );
    assert_eq!(server.append(&token, &id, 400_000, &bytes[400_000..]).status, 204);
    let after = server.append(&token, &id, 1_000_000, b"");
    assert_eq!((after.status, after.code()), (409, "state".to_owned()));
    let seen = server.settled(&id);
    assert_eq!(seen["state"], "refused", "whole, and no bundle: {seen}");
    assert!(seen["reason"].as_str().unwrap().contains("is no bundle"), "{seen}");
}

#[test]
fn what_is_not_as_announced_is_not_kept() {
    let server = Server::start(&["--max-bundle", "1", "--max-pending", "2"]);
    let token = server.submitter("ada");
    let large = json!({"name": "large", "bytes": (1 << 20) + 1, "sha256": "0".repeat(64)});
    assert_eq!(server.post("/api/v1/submissions", &token, &large).status, 422);
    let id = announced(&server, &token, b"right bytes");
    assert_eq!(server.append(&token, &id, 0, b"right bytes and more").status, 413);
    assert_eq!(offset(&server, &token, &id), 0);
    // Without a length in front it is the count that stops it.
    let chunked = [
        bearer(&token),
        upload(0),
        vec!["transfer-encoding: chunked".into(), "content-length-left-out: 1".into()],
    ]
    .concat();
    let path = format!("/api/v1/submissions/{id}/content");
    let body = b"14\r\nright bytes and more\r\n0\r\n\r\n";
    assert_eq!(server.send("PATCH", &path, &chunked, body).status, 413);
    let wrong = server.append(&token, &id, offset(&server, &token, &id), b"wrong bytes");
    assert_eq!((wrong.status, wrong.code()), (422, "invalid".to_owned()), "{wrong:?}");
    assert_eq!(
        (offset(&server, &token, &id), &server.look(&id)["state"]),
        (0, &json!("uploading"))
    );
    let plain = server.send(
        "PATCH",
        &path,
        &[bearer(&token), vec!["upload-offset: 0".into()]].concat(),
        b"x",
    );
    assert_eq!(plain.status, 415);
    for odd in ["-1", "1e3", "18446744073709551616", "", "0, 0"] {
        let lines =
            [bearer(&token), vec![format!("upload-offset: {odd}"), upload(0)[0].clone()]].concat();
        assert_eq!(server.send("PATCH", &path, &lines, b"x").status, 400, "{odd}");
    }
    assert_eq!(server.append(&token, &id, 0, b"right bytes").status, 204);
    server.settled(&id);
    // What waits has a bound as well.
    let full = |i: u8| json!({"name": "full", "bytes": 1 << 20, "sha256": format!("{i:064x}")});
    let codes: Vec<u16> =
        (0..3).map(|i| server.post("/api/v1/submissions", &token, &full(i)).status).collect();
    assert_eq!(codes.iter().filter(|c| **c == 409).count(), 1, "{codes:?}");
}

#[test]
fn a_slow_sender_is_cut_and_may_go_on() {
    let server = Server::start(&["--idle-seconds", "1"]);
    let token = server.submitter("ada");
    let id = announced(&server, &token, b"0123456789");
    let start = Instant::now();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let lines = [bearer(&token), upload(0)].concat().join("\r\n");
    let head = format!(
        "PATCH /api/v1/submissions/{id}/content HTTP/1.1\r\nhost: x\r\n{lines}\r\ncontent-length: 10\r\n\r\n01234"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let reply = parsed(&answer).unwrap();
    assert_eq!(
        (reply.status, reply.header("upload-offset").unwrap()),
        (408, "5".to_owned()),
        "{reply:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(server.append(&token, &id, 5, b"56789").status, 204);
    // Headers that do not come end the connection.
    let start = Instant::now();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nhost:").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    drop(stream.read_to_end(&mut answer));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Who reads nothing does not keep others out.
#[test]
fn a_slow_reader_is_hung_up_on() {
    let www = tempfile::tempdir().unwrap();
    // More than all buffers between the two take; no byte of it is on the disk.
    let page = std::fs::File::create(www.path().join("page.html")).unwrap();
    page.set_len(256 << 20).unwrap();
    let place = www.path().to_str().unwrap();
    let server = Server::start(&["--connections", "1", "--idle-seconds", "1", "--www", place]);
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.write_all(b"GET /page.html HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    slow.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let start = Instant::now();
    assert_eq!(server.get("/api/v1/health", "").status, 200);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    // And whoever reads on gets all of it, however long that takes.
    let whole = server.get("/page.html", "");
    assert_eq!((whole.status, whole.body.len()), (200, 256 << 20));
}

#[test]
fn two_hundred_uploads_at_once_are_all_taken() {
    let server =
        Server::start(&["--workers", "2", "--address-rate", "100000", "--token-rate", "100000"]);
    let tokens: Vec<String> = (0..4).map(|i| server.submitter(&format!("team-{i}"))).collect();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let (server, tokens) = (&server, &tokens);
        let send = |i: usize| {
            move || {
                server.submit(
                    &tokens[i % 4],
                    &format!("run-{i}"),
                    format!("bytes {i}").repeat(100).as_bytes(),
                )
            }
        };
        let all: Vec<_> = (0..200).map(|i| scope.spawn(send(i))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let states: Vec<String> =
        ids.iter().map(|id| server.look(id)["state"].as_str().unwrap().to_owned()).collect();
    assert!(states.iter().all(|s| s != "uploading"), "{states:?}");
    for entry in std::fs::read_dir(server.data.join("bundles")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.starts_with("bytes ") && text.len() >= 700);
    }
    assert_eq!(server.settled(&ids[199])["state"], "refused");
}

#[test]
fn two_senders_of_one_upload_do_not_mix() {
    let server = Server::start(&["--idle-seconds", "3"]);
    let token = server.submitter("ada");
    let id = announced(&server, &token, b"0123456789");
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let lines = [bearer(&token), upload(0)].concat().join("\r\n");
    let head = format!(
        "PATCH /api/v1/submissions/{id}/content HTTP/1.1\r\nhost: x\r\n{lines}\r\ncontent-length: 10\r\n\r\n012"
    );
    stream.write_all(head.as_bytes()).unwrap();
    within(20, "the first three bytes come", || offset(&server, &token, &id) == 3);
    let second = server.append(&token, &id, 3, b"3456789");
    assert_eq!((second.status, second.code()), (409, "busy".to_owned()));
    stream.write_all(b"3456789").unwrap();
    within(20, "the upload ends", || server.look(&id)["state"] != "uploading");
}
