//! Manifests of poisons. The attack beside one is read only where the manifest is whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toxiclip::manifest::Manifest;
use toxiclip_fuzz::{put, said};

fuzz_target!(|bytes: &[u8]| {
    said(Manifest::read(&put("manifest.json", bytes)));
});
