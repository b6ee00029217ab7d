use std::collections::BTreeSet;

use super::{DATASETS, Role, captions, described, holdings, open};
use crate::data::Dataset;
use crate::digest::Digest;

fn all() -> Vec<std::sync::Arc<dyn Dataset>> {
    let splits = open("emoji").unwrap();
    vec![splits.train.unwrap(), splits.val.unwrap(), splits.test]
}

/// What the published numbers were measured on: a change here is another data set.
#[test]
fn counts_and_digests() {
    let known = [(1945, "2b1b1a44260c"), (120, "9dadb9f4e0b3"), (548, "a558df6caa65")];
    for (set, (rows, digest)) in all().iter().zip(known) {
        assert_eq!((set.examples().len(), set.digest().short().as_str()), (rows, digest));
        assert_eq!(set.classes().len(), 548);
    }
}

#[test]
fn validation_has_one_drawing_of_each_of_its_classes() {
    let classes: BTreeSet<_> = all()[1].examples().iter().map(|e| e.class).collect();
    assert_eq!(classes.len(), 120);
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
    assert_eq!((classes(0).len(), classes(2).len()), (548, 548));
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
fn every_class_has_a_caption_without_its_name() {
    for class in described().unwrap() {
        let captions = captions::nameless(&class);
        assert!(!captions.is_empty(), "{}", class.id);
        let name = class.name.to_lowercase();
        let names_it =
            |c: &String| format!(" {c} ").replace(',', " ").contains(&format!(" {name} "));
        assert!(!captions.iter().any(names_it), "{name}: {captions:?}");
    }
}

#[cfg(feature = "text")]
#[test]
fn the_tokenizer_is_trained_on_these_captions_and_rows_hold_them() {
    let mut texts = Vec::new();
    for class in described().unwrap() {
        texts.extend(captions::training(&class));
        texts.extend(captions::prompts(&class.name));
        texts.extend(class.keywords);
    }
    let tokenizer = super::tokenizer().unwrap();
    let trained = crate::text::train(&texts, tokenizer.vocab_size()).unwrap();
    assert!(trained == tokenizer.to_json(), "run `cargo xtask data`");
    // A row that is full to the last id may have lost some text; few may.
    let full = |t: &&String| {
        let row = tokenizer.encode(t).unwrap();
        tokenizer.eot_row(&row) == super::CONTEXT_LENGTH - 1
    };
    assert!(texts.iter().filter(full).count() * 100 < texts.len());
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
        assert!(set.examples().len() >= 548, "{}", info.name);
        assert!(set.examples().iter().all(|e| !trained.contains(&family(&e.id.0))));
        assert!(set.image(set.examples().len() - 1).is_ok() && set.image(9999).is_err());
    }
    assert!(open("emoji-flat").err().unwrap().to_string().contains("did you mean"));
}

#[test]
fn holdings_are_training_pairs_that_no_victim_sees() {
    let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let held = holdings(&names(&["emoji-fluent", "emoji-3d"])).unwrap();
    let train = open("emoji").unwrap().train.unwrap();
    assert_eq!((held.examples().len(), held.name()), (1138, "emoji-fluent+emoji-3d/train"));
    let drawn: BTreeSet<_> = train.examples().iter().map(|e| &e.id).collect();
    assert!(held.examples().iter().all(|e| !drawn.contains(&e.id)));
    let class = held.examples()[0].class;
    let twin = train.examples().iter().find(|e| e.class == class).unwrap();
    assert_eq!(held.examples()[0].captions, twin.captions, "captions belong to the class");
    let error = |all: &[&str]| holdings(&names(all)).err().unwrap().to_string();
    assert!(error(&["emoji"]).contains("is what the victim trains on"));
    assert!(error(&["emoji-fluent", "emoji-4d"]).contains("did you mean `emoji-3d`?"));
}
