//! Backup beside a running server, and restoring into another place.

use std::fs;

use crate::bundle::honest;
use crate::server::{Server, at_machine};

#[test]
fn a_backup_is_all_that_is_needed() {
    let server = Server::start(&[]);
    let place = tempfile::tempdir().unwrap();
    round(&server, None, place.path());
}

/// From a server into a new folder, and a database if one is given.
pub(crate) fn round(server: &Server, db: Option<String>, place: &std::path::Path) {
    let token = server.submitter("ada");
    let id = server.submit(&token, "kept", honest());
    assert_eq!(server.settled(&id)["state"], "verified");
    assert_eq!(server.accept(&id).status, 200);
    let half =
        server.announce(&token, "half", b"0123456789").json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.append(&token, &half, 0, b"01234").status, 204);
    let file = place.join("backup.tar.zst");
    let source = server.source();
    let done = at_machine(&server.data, source.as_deref(), &["backup", file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let data = place.join("restored");
    let restore = |db: Option<&str>| at_machine(&data, db, &["restore", file.to_str().unwrap()]);
    let done = restore(db.as_deref());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let again = restore(db.as_deref());
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(2) && said.contains("not empty"), "{said}");
    let restored = Server::on(data, db, &[]);
    let before = server.entries();
    assert!(!before.is_empty() && before == restored.entries());
    let bundle = restored.get(&format!("/api/v1/submissions/{id}/bundle"), "");
    assert!(bundle.status == 200 && bundle.body == honest());
    // Tokens are the same; what had not come whole comes again.
    assert_eq!(restored.append(&token, &half, 0, b"0123456789").status, 204);
    let log = restored.get("/api/v1/audit", &restored.admin).text();
    assert!(log.contains("submission.accept"), "{log}");
}

#[test]
fn what_is_no_backup_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("odd.tar.zst");
    for (bytes, part) in
        [(&b"no archive"[..], "backup"), (honest(), "does not begin with backup.json")]
    {
        fs::write(&file, bytes).unwrap();
        let done =
            at_machine(&place.path().join("data"), None, &["restore", file.to_str().unwrap()]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(part), "{said}");
    }
}
