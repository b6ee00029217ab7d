use std::collections::BTreeSet;

use super::{DATASETS, Role, captions, described, open};
use crate::data::Dataset;
use crate::digest::Digest;

fn all() -> Vec<std::sync::Arc<dyn Dataset>> {
    let splits = open("emoji").unwrap();
    vec![splits.train.unwrap(), splits.val.unwrap(), splits.test]
}

#[test]
fn counts() {
    let sizes: Vec<usize> = all().iter().map(|d| d.examples().len()).collect();
    assert_eq!(sizes, [1954, 120, 550]);
    assert_eq!(all()[0].classes().len(), 550);
}

#[test]
fn no_drawing_is_in_two_splits_and_every_class_trains() {
    let (mut ids, mut pixels) = (BTreeSet::new(), BTreeSet::new());
    for set in all() {
        for (i, example) in set.examples().iter().enumerate() {
            assert!(ids.insert(example.id.clone()), "{} twice", example.id);
            let digest = Digest::of_bytes(set.image(i).unwrap().rgba());
            assert!(pixels.insert(digest), "{} has the pixels of another drawing", example.id);
        }
    }
    let sets = all();
    let classes = |i: usize| -> BTreeSet<usize> {
        sets[i].examples().iter().filter_map(|e| e.class).collect()
    };
    assert_eq!((classes(0).len(), classes(2).len()), (550, 550));
}

#[test]
fn content_is_the_digest_of_pixels_and_captions() {
    for set in all() {
        for (i, example) in set.examples().iter().enumerate() {
            let pixels = Digest::of_bytes(set.image(i).unwrap().rgba());
            assert_eq!(example.content, Digest::of(&(pixels, &example.captions)), "{}", example.id);
        }
    }
}

#[test]
fn every_class_has_captions_that_name_it() {
    for class in described().unwrap() {
        let training = captions::training(&class);
        assert!(training.len() >= 9, "{}: {training:?}", class.id);
        let test = captions::test(&class);
        assert!(test.iter().all(|c| c.contains(&class.name) && !training.contains(c)));
    }
}

#[test]
fn shift_sets_share_classes_and_no_family_with_training() {
    let train = open("emoji").unwrap().train.unwrap();
    let family = |id: &str| id.split('/').next().unwrap_or_default().to_owned();
    let trained: BTreeSet<String> = train.examples().iter().map(|e| family(&e.id.0)).collect();
    for info in DATASETS.iter().filter(|d| d.role == Role::Shift) {
        let share_alike = info.art_sets().any(super::ArtSet::share_alike);
        if share_alike && cfg!(not(feature = "emoji-share-alike")) {
            assert!(open(info.name).is_err());
            continue;
        }
        let set = open(info.name).unwrap().test;
        assert_eq!(set.classes(), train.classes());
        assert!(set.examples().len() >= 550, "{}", info.name);
        assert!(set.examples().iter().all(|e| !trained.contains(&family(&e.id.0))));
        assert!(set.image(set.examples().len() - 1).is_ok() && set.image(9999).is_err());
    }
    assert!(open("emoji-flat").err().unwrap().to_string().contains("did you mean"));
}
