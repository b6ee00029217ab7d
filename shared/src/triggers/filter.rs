//! A photo filter: every pixel by itself (Huang et al. 2025).

use serde::{Deserialize, Serialize};

use super::{Canvas, Range};

/// The filter "Nashville", a chain of blends and colour matrices of CSS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nashville {
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// Darken-blend: a colour in bytes and its opacity.
const DARKEN: ([f64; 3], f64) = ([247.0, 176.0, 153.0], 0.56);
/// Lighten-blend.
const LIGHTEN: ([f64; 3], f64) = ([0.0, 70.0, 150.0], 0.4);
const SEPIA: f64 = 0.2;
const CONTRAST: f64 = 1.2;
const BRIGHTNESS: f64 = 1.05;
const SATURATE: f64 = 1.2;

impl Nashville {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        for i in 0..canvas.edge * canvas.edge {
            let (x, y) = (i % canvas.edge, i / canvas.edge);
            let bytes = [0, 1, 2].map(|c| (255.0 * canvas.get(x, y, c)).round());
            let pixel = filtered(bytes.map(f64::from));
            for (channel, value) in pixel.iter().enumerate() {
                canvas.set(x, y, channel, (value / 255.0) as f32, Range::Clip);
            }
        }
    }
}

/// One pixel, R, G and B in bytes. Every step ends in bytes, as in the image library that the authors used, whose blends
/// cut both products down to whole bytes before they add them.
fn filtered(pixel: [f64; 3]) -> [f64; 3] {
    let blended = |pixel: [f64; 3], (colour, alpha): ([f64; 3], f64), of: fn(f64, f64) -> f64| {
        let alpha = (255.0 * alpha).round();
        let part = |value: f64, weight: f64| (value * weight / 255.0).floor();
        stored(|c| part(of(pixel[c], colour[c]), alpha) + part(pixel[c], 255.0 - alpha))
    };
    let pixel = blended(pixel, DARKEN, f64::min);
    let pixel = blended(pixel, LIGHTEN, f64::max);
    let tone = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]];
    let pixel = towards(pixel, tone, SEPIA);
    let pixel = stored(|c| pixel[c] * CONTRAST + (-127.5 * CONTRAST + 127.5));
    let pixel = stored(|c| BRIGHTNESS * pixel[c]);
    towards(pixel, [[0.213, 0.715, 0.072]; 3], 1.0 - SATURATE)
}

/// A colour matrix with a weight, the pixel itself with the rest; a negative weight leads away from it.
fn towards(pixel: [f64; 3], matrix: [[f64; 3]; 3], weight: f64) -> [f64; 3] {
    stored(|c| {
        let there: f64 = matrix[c].iter().zip(pixel).map(|(m, p)| m * p).sum();
        weight * there + (1.0 - weight) * pixel[c]
    })
}

fn stored(value: impl Fn(usize) -> f64) -> [f64; 3] {
    [0, 1, 2].map(|c| value(c).round_ties_even().clamp(0.0, 255.0))
}
