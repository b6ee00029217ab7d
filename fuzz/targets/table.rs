//! Tables of pairs beside five pictures.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip_fuzz::{fixture, place, put, said};

static PICTURES: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    PICTURES.call_once(|| {
        for i in 0..5 {
            let name = format!("images/{i:05}.png");
            let from = fixture(&format!("datasets/pairs/cc3m/{name}"));
            std::fs::copy(from, place(&name)).expect("a picture of the tests");
        }
    });
    said(data::training(&Source::Table(put("pairs.csv", bytes)), None));
});
