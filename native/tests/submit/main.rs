//! `submit pack` and `submit verify`: an honest bundle passes, and each way to forge one fails with its reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod forgeries;

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use bundle::{honest, place, toxiclip, verify};
use forgeries::forgeries;

#[test]
fn an_honest_bundle_passes() {
    let done = verify(honest());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for part in
        ["follow from their evidence", "mini as it is here", "exactly the samples", "is drawn here"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn every_forgery_fails_with_its_reason() {
    let mut wrong = Vec::new();
    for (what, bytes, part) in forgeries() {
        let done = verify(&bytes);
        let text = String::from_utf8(done.stderr).unwrap();
        let one_line = (done.status.code(), text.lines().count()) == (Some(1), 1);
        if !one_line || !text.contains(part) {
            wrong.push(format!("{what}: expected `{part}`: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_bundle_of_zeros_is_bounded() {
    // Claims more than a bundle may hold, and is small on the wire.
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 30);
    header.set_mode(0o644);
    header.set_path("bundle.json").unwrap();
    header.set_cksum();
    tar.append(&header, std::io::repeat(0).take(64 << 20)).unwrap();
    let done = verify(&tar.into_inner().unwrap().finish().unwrap());
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("holds more than"));
}

#[test]
fn what_is_not_fit_is_not_packed() {
    let place = place();
    let refused = |arguments: &[&str]| {
        let done = toxiclip(place, &[&["submit", "pack"], arguments].concat());
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        text
    };
    assert!(refused(&["nowhere"]).contains("nowhere"));
    let copy = |name: &str| -> PathBuf {
        let to = place.join(name);
        fs::create_dir_all(to.join("evidence")).unwrap();
        fs::copy(place.join("run/rows.jsonl"), to.join("rows.jsonl")).unwrap();
        to
    };
    copy("bare");
    assert!(refused(&["bare", "--allow-dirty"]).contains("evidence"));
    let empty = copy("empty");
    fs::write(empty.join("rows.jsonl"), "").unwrap();
    assert!(refused(&["empty", "--allow-dirty"]).contains("no rows"));
    let other = copy("other");
    let text = fs::read_to_string(other.join("rows.jsonl")).unwrap();
    let (clean, dirty) = ("\"dirty\":false", "\"dirty\":true");
    for (mark, rows) in [
        ("changed sources", text.replace(clean, dirty)),
        ("several programs", text.replace(clean, dirty).replacen(dirty, clean, 1)),
    ] {
        fs::write(other.join("rows.jsonl"), rows).unwrap();
        assert!(refused(&["other"]).contains(mark));
    }
    assert!(!place.join("other.tar.zst").exists());
}
