//! Visual Genome's list of regions.

use std::fs;

use super::{captions, open, picture, refused};

const LIST: &str = r#"[
 {"id": 1, "regions": [
  {"region_id": 1382, "width": 82, "height": 139, "image_id": 1, "phrase": "the clock is green in colour ", "y": 57, "x": 421},
  {"region_id": 1383, "width": 182, "height": 136, "image_id": 1, "phrase": "shade is along the street", "y": 372, "x": 194}]},
 {"id": 107899, "regions": [{"region_id": 7, "image_id": 107899, "phrase": " a  dog", "x": 0, "y": 0, "width": 1, "height": 1}]},
 {"id": 5, "regions": [{"region_id": 8, "image_id": 5, "phrase": " ", "x": 0, "y": 0, "width": 1, "height": 1}]}
]"#;

#[test]
fn regions_are_captions_of_their_picture() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("visual-genome");
    picture(&folder.join("VG_100K_2/1.jpg"));
    picture(&folder.join("VG_100K/107899.jpg"));
    fs::write(folder.join("region_descriptions.json"), LIST).unwrap();
    let splits = open("visual-genome", root.path());
    let expected = [
        ("VG_100K_2/1.jpg", vec!["the clock is green in colour", "shade is along the street"]),
        ("VG_100K/107899.jpg", vec!["a  dog"]),
    ];
    let expected = expected
        .map(|(id, all)| (id.to_owned(), all.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    assert_eq!(captions(&*splits.train.unwrap()), expected);
    fs::remove_file(folder.join("VG_100K/107899.jpg")).unwrap();
    refused("visual-genome", root.path(), &["107899.jpg is missing", "images2.zip"]);
    fs::write(folder.join("region_descriptions.json"), "[{\"id\": 1}]").unwrap();
    refused("visual-genome", root.path(), &["is no list of regions"]);
    fs::remove_file(folder.join("region_descriptions.json")).unwrap();
    refused("visual-genome", root.path(), &["cannot be read"]);
}
