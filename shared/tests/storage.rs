//! JPEG as an attacker's pictures pass through it, against Pillow's (golden/storage.py).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::image::Image;
use toxiclip_shared::storage::Storage;

#[derive(Deserialize)]
struct Golden {
    edge: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    quality: u8,
    before: String,
    after: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/storage.json")).unwrap()
}

fn picture(edge: usize, hex: &str) -> Image {
    let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    let rgba = (0..edge * edge).flat_map(|p| [byte(3 * p), byte(3 * p + 1), byte(3 * p + 2), 255]);
    Image::new(edge, edge, rgba.collect()).unwrap()
}

/// Root mean square in 8-bit steps.
fn distance(a: &Image, b: &Image) -> f64 {
    let squares = a.rgba().iter().zip(b.rgba()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (squares.sum::<f64>() / (a.width() * a.height() * 3) as f64).sqrt()
}

/// How far we are from Pillow with this quality, relative to what Pillow's file lost.
fn deviation(edge: usize, case: &Case, quality: u8) -> f64 {
    let (before, theirs) = (picture(edge, &case.before), picture(edge, &case.after));
    let ours = Storage::Jpeg(quality).round_trip(&before).unwrap();
    distance(&ours, &theirs) / distance(&before, &theirs)
}

#[test]
fn a_jpeg_loses_what_pillows_loses() {
    let Golden { edge, cases } = golden();
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let deviation = deviation(edge, case, case.quality);
        assert!(deviation < 0.1, "quality {}: {deviation:.3} of the loss", case.quality);
    }
}

#[test]
fn the_comparison_can_fail() {
    let Golden { edge, cases } = golden();
    for case in &cases {
        let deviation = deviation(edge, case, case.quality - 5);
        assert!(
            deviation > 0.2,
            "quality {} for {}: {deviation:.3}",
            case.quality - 5,
            case.quality
        );
    }
}
