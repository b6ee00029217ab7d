//! How much a change shows: peak signal-to-noise ratio and structural similarity of two pictures.

use crate::image::Image;
use crate::{Error, Result};

/// Edge of the windows in which structure is compared, as in scikit-image.
const WINDOW: usize = 7;

/// Peak signal-to-noise ratio of the colours in decibels; infinite for equal pictures.
///
/// # Errors
/// If the pictures differ in size.
pub fn psnr(a: &Image, b: &Image) -> Result<f64> {
    same_size(a, b)?;
    let squares: f64 = colours(a).zip(colours(b)).map(|(a, b)| (a - b).powi(2)).sum();
    let mean = squares / (a.width() * a.height() * 3) as f64;
    Ok(10.0 * (255.0f64.powi(2) / mean).log10())
}

/// Structural similarity (Wang et al. 2004) in uniform windows of 7×7 that lie inside the picture, with sample
/// covariances, as a mean over windows and channels; 1 for equal pictures.
///
/// # Errors
/// If the pictures differ in size, or are smaller than a window.
pub fn ssim(a: &Image, b: &Image) -> Result<f64> {
    same_size(a, b)?;
    if a.width().min(a.height()) < WINDOW {
        return Err(Error::request(format!(
            "SSIM needs pictures of at least {WINDOW} pixels a side"
        )));
    }
    let (across, down) = (a.width() - WINDOW + 1, a.height() - WINDOW + 1);
    let (a, b): (Vec<f64>, Vec<f64>) = (colours(a).collect(), colours(b).collect());
    let width = across + WINDOW - 1;
    let mut sum = 0.0;
    for i in 0..across * down * 3 {
        let (channel, left, top) = (i % 3, i / 3 % across, i / 3 / across);
        let places = (0..WINDOW * WINDOW)
            .map(|j| ((top + j / WINDOW) * width + left + j % WINDOW) * 3 + channel);
        sum += similarity(places.map(|at| (a[at], b[at])));
    }
    Ok(sum / (across * down * 3) as f64)
}

/// Of one window and channel.
fn similarity(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (c1, c2) = ((0.01 * 255.0f64).powi(2), (0.03 * 255.0f64).powi(2));
    let n = (WINDOW * WINDOW) as f64;
    let [a, b, aa, bb, ab] = pairs
        .fold([0.0; 5], |s, (a, b)| [s[0] + a, s[1] + b, s[2] + a * a, s[3] + b * b, s[4] + a * b]);
    let (mean_a, mean_b) = (a / n, b / n);
    let cov = |sum: f64, x: f64, y: f64| (sum / n - x * y) * n / (n - 1.0);
    let variances = cov(aa, mean_a, mean_a) + cov(bb, mean_b, mean_b);
    let luminance = (2.0 * mean_a * mean_b + c1) / (mean_a.powi(2) + mean_b.powi(2) + c1);
    luminance * (2.0 * cov(ab, mean_a, mean_b) + c2) / (variances + c2)
}

/// R, G, B pixel by pixel, in 8-bit steps.
fn colours(image: &Image) -> impl Iterator<Item = f64> + '_ {
    image.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]].map(f64::from))
}

fn same_size(a: &Image, b: &Image) -> Result<()> {
    if (a.width(), a.height()) == (b.width(), b.height()) {
        return Ok(());
    }
    Err(Error::request(format!(
        "pictures of {}×{} and {}×{} cannot be compared; bring them to one size",
        a.width(),
        a.height(),
        b.width(),
        b.height()
    )))
}
