//! A full disk: it is said, nothing is lost, and things go on when there is room.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::server::{Server, bearer};

/// A small file system of its own, gone when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(dir.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).output());
    }
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let Some(small) = Small::mount("size=16m") else {
        println!("SKIPPED: no small file system can be mounted here; run this as root");
        return;
    };
    let server = Server::on(small.path().join("data"), None, &[]);
    let token = server.submitter("ada");
    let first = server.submit(&token, "first", b"no bundle, and small");
    server.settled(&first);
    let bytes = vec![7; 2_500_000];
    let id = server.announce(&token, "large", &bytes).json()["id"].as_str().unwrap().to_owned();
    let ballast = small.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 65_536]).is_ok() {}
    file.set_len(file.metadata().unwrap().len() - 1_000_000).unwrap();
    let full = server.append(&token, &id, 0, &bytes);
    assert_eq!((full.status, full.code()), (507, "full".to_owned()), "{full:?}");
    let here: usize = full.header("upload-offset").unwrap().parse().unwrap();
    assert!(here > 0 && here < bytes.len(), "{here}");
    // Readers are answered as ever; what was there is there.
    assert_eq!(server.get("/api/v1/leaderboard", "").status, 200);
    assert_eq!(server.look(&first)["state"], "refused");
    let refused = server.announce(&token, "another", b"bytes");
    assert!([201, 507].contains(&refused.status), "{refused:?}");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let head =
        server.send("HEAD", &format!("/api/v1/submissions/{id}/content"), &bearer(&token), &[]);
    let here: usize = head.header("upload-offset").unwrap().parse().unwrap();
    let rest = server.append(&token, &id, here, &bytes[here..]);
    assert_eq!(rest.status, 204, "{rest:?}");
    assert_eq!(server.settled(&id)["state"], "refused", "whole, and no bundle");
}
