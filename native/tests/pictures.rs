//! Pictures of every kind against Pillow and torchvision (`pictures.py`), and pictures that are none.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use toxiclip::argument::Source;
use toxiclip::data;
use toxiclip::machine;
use toxiclip::prepared::picture;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::image::Image;

const SIZE: usize = 24;

/// JPEG and lossy WebP leave open how sums are rounded, so decoders differ by a step before anything is resized; of 16 bits the
/// lower ones are rounded here and cut off there. Black and white dots overshoot, and how sums are cut to 8 bits between both
/// directions shows.
fn tolerance(name: &str) -> u8 {
    if name == "png-bits.png" {
        return 6;
    }
    if name.contains("jpeg") || name.contains("16") || name == "webp.webp" { 2 } else { 1 }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

/// Largest difference of a channel.
fn difference(ours: &Image, theirs: &Image) -> u8 {
    assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
    ours.rgba().iter().zip(theirs.rgba()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

fn opened(dir: &Path) -> std::sync::Arc<dyn Dataset> {
    data::pictures(&Source::Named(dir.display().to_string()), None).unwrap()
}

#[test]
fn every_kind_of_picture_is_pillows() {
    let all = opened(&folder());
    let id = |i: usize| all.examples()[i].id.0.clone();
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in 0..all.examples().len() {
        let expected = format!("{}.expected.png", id(row));
        let Some(theirs) = (0..all.examples().len()).find(|i| id(*i) == expected) else { continue };
        let ours = picture(&all.image(row).unwrap(), SIZE).unwrap();
        let off = difference(&ours, &all.image(theirs).unwrap());
        println!("{:24} {off}", id(row));
        compared += 1;
        if off > tolerance(&id(row)) {
            wrong.push((id(row), off));
        }
    }
    assert!(compared == 21 && wrong.is_empty(), "{compared} compared, {wrong:?}");
}

#[test]
fn a_moved_pixel_would_be_seen() {
    let all = opened(&folder());
    let row = all.examples().iter().position(|e| e.id.0 == "png.png.expected.png").unwrap();
    let theirs = all.image(row).unwrap();
    let mut moved = theirs.rgba().to_vec();
    moved[40] = moved[40].wrapping_add(3);
    assert!(difference(&Image::new(SIZE, SIZE, moved).unwrap(), &theirs) > 2);
}

/// The head of a PNG that claims to be this large, and no more.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut head = b"IHDR".to_vec();
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    let crc = head.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 },
        )
    });
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec(), head, (!crc).to_be_bytes().to_vec()].concat()
}

#[test]
fn bombs_and_broken_pictures_are_one_line_each() {
    let whole = fs::read(folder().join("jpeg.jpg")).unwrap();
    let mut large = whole.clone();
    let size = large.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
    large[size..size + 4].fill(0xff);
    let bombs = [
        ("bomb.png", png_head(100_000, 100_000)),
        ("bomb.jpg", large),
        ("zero.png", png_head(0, 5)),
        ("head.png", png_head(40, 30)),
        ("cut.jpg", whole[..200].to_vec()),
        ("empty.jpg", Vec::new()),
        ("text.png", b"no picture at all".to_vec()),
    ];
    let place = tempfile::tempdir().unwrap();
    for (name, bytes) in bombs {
        let dir = place.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
        let said = opened(&dir).image(0).unwrap_err().to_string();
        assert!(said.contains(name) && said.lines().count() == 1, "{name}: {said}");
    }
    match machine::peak_rss_bytes() {
        Some(peak) => assert!(peak < 2 << 30, "{peak} bytes"),
        // Linux always tells: this is no way to pass there.
        None if cfg!(target_os = "linux") => panic!("the system does not tell the peak of memory"),
        None => println!("SKIPPED: the system does not tell the peak of memory"),
    }
}
