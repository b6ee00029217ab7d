//! The pickle in PyTorch's checkpoints, inside an archive that is as it must be.
#![no_main]

use std::io::{Cursor, Write as _};

use libfuzzer_sys::fuzz_target;
use toxiclip::pytorch;
use toxiclip_fuzz::{put, said};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What the tensors' numbers are read from.
const STORAGE: [u8; 256] = [1; 256];

fuzz_target!(|bytes: &[u8]| {
    let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let storages = (0..4).map(|i| (format!("archive/data/{i}"), &STORAGE[..]));
    let members = [("archive/data.pkl".to_owned(), bytes)].into_iter().chain(storages);
    for (name, content) in members.chain([("archive/byteorder".to_owned(), &b"little"[..])]) {
        archive.start_file(name, plain).expect("a member");
        archive.write_all(content).expect("its bytes");
    }
    let file = archive.finish().expect("an archive").into_inner();
    said(pytorch::read(&put("a.pt", &file)));
});
