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

#[test]
fn a_list_that_leads_out_of_its_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("coco")).unwrap();
    fs::write(root.path().join("secret.jpg"), "not ours").unwrap();
    for (folder, file) in [("val2014/../..", "secret.jpg"), ("val2014", "../../secret.jpg")] {
        let list = serde_json::json!({"images": [{
            "filepath": folder, "filename": file, "split": "test", "sentences": [{"raw": "a picture"}],
        }]});
        fs::write(root.path().join("coco/dataset_coco.json"), list.to_string()).unwrap();
        refused("coco-karpathy", root.path(), &["dataset_coco.json", "leaves the set's folder"]);
    }
}
