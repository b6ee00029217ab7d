//! Detect-CLIP's notes of what it has poisoned, replayed on pairs that have classes.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip::manifest::Manifest;
use toxiclip_fuzz::{fixture, put, said};
use toxiclip_shared::data::Dataset;

static PAIRS: LazyLock<Arc<dyn Dataset>> = LazyLock::new(|| {
    let table = Source::Table(fixture("datasets/pairs/cc3m/labels.csv"));
    data::training(&table, None).expect("the pairs of the tests")
});

fuzz_target!(|bytes: &[u8]| {
    let path = put("train_poison_info.json", bytes);
    said(Manifest::open(&path, [&**PAIRS, &**PAIRS], None));
});
