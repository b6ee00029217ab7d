//! Tar shards, whole and cut, with the pictures in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip_fuzz::{put, said};

fuzz_target!(|bytes: &[u8]| {
    let path = put("0.tar", bytes);
    let pattern = |suffix: &str| Source::Shards(format!("{}{suffix}", path.display()));
    let whole = said(data::training(&pattern(""), None)).map(|all| all.digest());
    let Some(all) = said(data::training(&pattern("?truncated"), None)) else {
        assert!(whole.is_none(), "what is read whole is not read where a cut is allowed");
        return;
    };
    assert!(
        whole.is_none_or(|digest| digest == all.digest()),
        "allowing a cut changes a whole shard"
    );
    // The decoders are a library's; one picture shows that places are right.
    said(all.image(0));
});
