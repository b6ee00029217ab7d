//! The container of weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toxiclip_fuzz::said;
use toxiclip_shared::checkpoint::container;

fuzz_target!(|bytes: &[u8]| {
    said(container::parse(bytes));
});
