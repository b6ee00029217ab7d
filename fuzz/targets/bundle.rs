//! Bundles of results: the archive, packed here so that what is damaged lies inside of the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toxiclip::bundle;
use toxiclip_fuzz::said;

fuzz_target!(|bytes: &[u8]| {
    let packed = zstd::encode_all(bytes, 1).expect("what zstd packs");
    said(bundle::verify(&packed, None, None));
});
