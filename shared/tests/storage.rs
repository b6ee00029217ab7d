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

/// Pillow's cases in colour, and in grey.
fn cases() -> (usize, Vec<Case>, Vec<Case>) {
    let Golden { edge, cases } = golden();
    let grey = |case: &Case| {
        picture(edge, &case.before).rgba().chunks(4).all(|p| p[0] == p[1] && p[1] == p[2])
    };
    let (grey, colour): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(grey);
    assert_eq!((colour.len(), grey.len()), (4, 4));
    (edge, colour, grey)
}

/// How far our file of a quality is from Pillow's, relative to what Pillow's lost.
fn deviation(edge: usize, case: &Case, quality: u8) -> f64 {
    let (before, theirs) = (picture(edge, &case.before), picture(edge, &case.after));
    let ours = Storage::Jpeg(quality).round_trip(&before).unwrap();
    distance(&ours, &theirs) / distance(&before, &theirs)
}

/// What our file loses, relative to what Pillow's of the same quality lost.
fn relative_loss(edge: usize, case: &Case) -> f64 {
    let (before, theirs) = (picture(edge, &case.before), picture(edge, &case.after));
    let ours = Storage::Jpeg(case.quality).round_trip(&before).unwrap();
    distance(&before, &ours) / distance(&before, &theirs)
}

#[test]
fn brightness_is_stored_as_pillow_stores_it() {
    let (edge, _, grey) = cases();
    for case in &grey {
        let deviation = deviation(edge, case, case.quality);
        assert!(deviation < 0.2, "quality {}: {deviation:.3} of the loss", case.quality);
    }
}

#[test]
fn the_comparison_can_fail() {
    let (edge, _, grey) = cases();
    for case in &grey {
        let deviation = deviation(edge, case, case.quality - 1);
        assert!(deviation > 0.4, "quality {} less 1: {deviation:.3} of the loss", case.quality);
    }
}

/// Pillow's decoder smooths the halved colours, ours does not: 1.38 and 1.51 times the loss on slow waves, 1.13 and 1.15
/// on noise.
#[test]
fn colours_lose_somewhat_more_than_pillows() {
    let (edge, colour, _) = cases();
    for (case, expected) in colour.iter().zip([1.38, 1.51, 1.13, 1.15]) {
        let loss = relative_loss(edge, case);
        assert!((loss - expected).abs() < 0.01, "quality {}: {loss:.3} of the loss", case.quality);
    }
}
