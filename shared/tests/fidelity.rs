//! PSNR and SSIM against scikit-image (golden/fidelity.py).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::fidelity::{psnr, ssim};
use toxiclip_shared::image::Image;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    height: usize,
    before: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    after: String,
    psnr: f64,
    ssim: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/fidelity.json")).unwrap()
}

impl Golden {
    fn picture(&self, hex: &str) -> Image {
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let pixels = 0..self.width * self.height;
        let rgba = pixels.flat_map(|p| [byte(3 * p), byte(3 * p + 1), byte(3 * p + 2), 255]);
        Image::new(self.width, self.height, rgba.collect()).unwrap()
    }
}

#[test]
fn values_are_those_of_scikit_image() {
    let golden = golden();
    let before = golden.picture(&golden.before);
    for case in &golden.cases {
        let after = golden.picture(&case.after);
        let (ours, theirs) = (psnr(&before, &after).unwrap(), case.psnr);
        assert!((ours - theirs).abs() < 1e-9, "{}: PSNR {ours}, expected {theirs}", case.name);
        let (ours, theirs) = (ssim(&before, &after).unwrap(), case.ssim);
        assert!((ours - theirs).abs() < 1e-9, "{}: SSIM {ours}, expected {theirs}", case.name);
    }
    assert_eq!(
        (psnr(&before, &before).unwrap(), ssim(&before, &before).unwrap()),
        (f64::INFINITY, 1.0)
    );
}

#[test]
fn the_comparison_can_fail() {
    let golden = golden();
    let before = golden.picture(&golden.before);
    // A step in one pixel shows in both.
    let mut bytes = golden.picture(&golden.cases[0].after).rgba().to_vec();
    bytes[4 * (8 * golden.width + 9)] ^= 8;
    let after = Image::new(golden.width, golden.height, bytes).unwrap();
    assert!((psnr(&before, &after).unwrap() - golden.cases[0].psnr).abs() > 1e-6);
    assert!((ssim(&before, &after).unwrap() - golden.cases[0].ssim).abs() > 1e-6);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let [small, large] = [6, 8].map(|n| Image::new(n, n, vec![255; n * n * 4]).unwrap());
    assert!(psnr(&small, &large).unwrap_err().to_string().contains("6×6 and 8×8"));
    assert!(ssim(&small, &small).unwrap_err().to_string().contains("at least 7 pixels"));
}
