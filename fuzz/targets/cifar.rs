//! CIFAR's pickles: the names of its classes, beside two whole files of pictures.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use toxiclip::data;
use toxiclip_fuzz::{fixture, folder, place, put, said};

static FILES: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    FILES.call_once(|| {
        for name in ["cifar-100-python/train", "cifar-100-python/test"] {
            let from = fixture("datasets/cifar/python").join(name);
            std::fs::copy(from, place(name)).expect("a file of the tests");
        }
    });
    put("cifar-100-python/meta", bytes);
    said(data::named("cifar-100", Some(folder())).map(drop));
    put("cifar-100-python/meta", bytes);
});
