//! Flickr30k's own list, against torchvision.

use std::fs;

use super::{captions, copy, fixture, json, open, refused};

#[test]
fn flickr30ks_list_is_what_torchvision_reads() {
    let expected: Vec<(String, Vec<String>)> = json("token/expected.json");
    let splits = open("flickr30k-all", &fixture("token"));
    assert_eq!(captions(&*splits.test), expected);
    let train = splits.train.unwrap();
    assert_eq!(captions(&*train), expected);
    assert_eq!(train.image(2).unwrap().width(), 4);
    // The other set at that place keeps its meaning: a split that is not there is not made up.
    refused("flickr30k", &fixture("token"), &["dataset_flickr30k.json", "cannot be read"]);
}

#[test]
fn lists_that_are_none_name_their_line() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("token"), root.path());
    let list = |name: &str| root.path().join("flickr30k").join(name);
    let whole = fs::read_to_string(list("results_20130124.token")).unwrap();
    // The older name is read too, and Windows' line ends.
    fs::remove_file(list("results_20130124.token")).unwrap();
    fs::write(list("results.token"), whole.replace('\n', "\r\n")).unwrap();
    let expected: Vec<(String, Vec<String>)> = json("token/expected.json");
    assert_eq!(captions(&*open("flickr30k-all", root.path()).test), expected);
    for (line, said) in [
        ("3000.jpg#5 no tab", "has no tab"),
        ("3000.jpg\tno number", "names no IMAGE.jpg#N"),
        ("../3000.jpg#5\toutside", "names no IMAGE.jpg#N"),
        ("3000.jpg#4\tagain", "comes twice"),
        ("3000.jpg#5\t ", "empty"),
    ] {
        fs::write(list("results.token"), format!("{whole}{line}\n")).unwrap();
        refused("flickr30k-all", root.path(), &["results.token:16: ", said]);
    }
    fs::write(list("results.token"), format!("{whole}4.jpg#0\tgone\n")).unwrap();
    refused("flickr30k-all", root.path(), &["4.jpg"]);
    fs::remove_file(list("results.token")).unwrap();
    refused(
        "flickr30k-all",
        root.path(),
        &["results_20130124.token is missing", "DenotationGraph"],
    );
}
