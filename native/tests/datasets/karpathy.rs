//! Lists of captions in Karpathy's form.

use std::fs;

use super::{captions, fixture, json, open, refused};

#[test]
fn karpathys_test_split_has_all_captions() {
    for (name, place) in [("coco-karpathy", "coco"), ("flickr30k", "flickr30k")] {
        let expected: Vec<(String, Vec<String>)> = json(&format!("karpathy/{place}.json"));
        let splits = open(name, &fixture("karpathy"));
        assert_eq!(captions(&*splits.test), expected);
        assert!(splits.train.is_none() && splits.test.image(1).unwrap().width() == 4);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(place)).unwrap();
        refused(name, root.path(), &["cannot be read", "caption_datasets.zip"]);
    }
}
