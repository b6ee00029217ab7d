//! Flickr30k's list of captions beside three pictures.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use toxiclip::data;
use toxiclip_fuzz::{fixture, folder, place, put, said};

static PICTURES: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    PICTURES.call_once(|| {
        for i in ["3000", "1000092795", "1000268201"] {
            let name = format!("flickr30k/flickr30k-images/{i}.jpg");
            let from = fixture("datasets/token").join(&name);
            std::fs::copy(from, place(&name)).expect("a picture of the tests");
        }
    });
    put("flickr30k/results_20130124.token", bytes);
    said(data::named("flickr30k-all", Some(folder())).map(drop));
});
