//! PyTorch's checkpoints: the zip archive around the pickle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toxiclip::pytorch;
use toxiclip_fuzz::{put, said};

fuzz_target!(|bytes: &[u8]| {
    said(pytorch::read(&put("a.pt", bytes)));
});
