//! Weak augmentation of small drawings: one affine view with a background, then colour.
//!
//! Flip, rotation to 10°, scale 0.85–1.1, shift to a tenth, a coloured background with probability 0.2,
//! brightness, contrast and saturation to 25 %, grey with probability 0.2. Strong augmentation makes all
//! concepts come far later.

use toxiclip_shared::image::{Image, Normalize};
use toxiclip_shared::seed::Stream;

/// One drawn view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    /// Picture coordinates of a view pixel: (a·x + b·y, c·x + d·y) around the centre, then the shift.
    matrix: [f32; 4],
    /// Shift as a share of the edge.
    shift: [f32; 2],
    background: [f32; 3],
    brightness: f32,
    contrast: f32,
    saturation: f32,
}

impl View {
    /// The picture itself on white.
    pub(super) const PLAIN: Self = Self {
        matrix: [1.0, 0.0, 0.0, 1.0],
        shift: [0.0; 2],
        background: [1.0; 3],
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
    };
}

/// Draws a weak view. Every number is drawn whatever the others are, so that streams stay aligned.
pub(super) fn weak(s: &mut Stream) -> View {
    let flip = if s.chance(0.5) { -1.0 } else { 1.0 };
    let angle = s.range(-10.0, 10.0).to_radians();
    let inverse = 1.0 / s.range(0.85, 1.1);
    let shift = [s.range(-0.1, 0.1), s.range(-0.1, 0.1)];
    let coloured = s.chance(0.2);
    let colour = [s.uniform(), s.uniform(), s.uniform()];
    let (brightness, contrast) = (s.range(0.75, 1.25), s.range(0.75, 1.25));
    let (saturation, grey) = (s.range(0.75, 1.25), s.chance(0.2));
    let (sin, cos) = (angle.sin() * inverse, angle.cos() * inverse);
    View {
        matrix: [cos * flip, -sin * flip, sin, cos],
        shift,
        background: if coloured { colour } else { [1.0; 3] },
        brightness,
        contrast,
        saturation: if grey { 0.0 } else { saturation },
    }
}

impl View {
    /// Writes the normalised view, `[size][size][3]`, of a square picture of the same size.
    pub(super) fn render(&self, picture: &Image, normalize: &Normalize, out: &mut [f32]) {
        let size = picture.width();
        let middle = (size as f32 - 1.0) / 2.0;
        let [a, b, c, d] = self.matrix;
        for (i, px) in out.chunks_exact_mut(3).enumerate() {
            let (x, y) = ((i % size) as f32 - middle, (i / size) as f32 - middle);
            let source_x = a * x + b * y + middle + self.shift[0] * size as f32;
            let source_y = c * x + d * y + middle + self.shift[1] * size as f32;
            px.copy_from_slice(&self.colour(sample(picture, source_x, source_y)));
        }
        let mean = grey_mean(out);
        for px in out.chunks_exact_mut(3) {
            for (channel, v) in px.iter_mut().enumerate() {
                let contrasted = ((*v - mean) * self.contrast + mean).clamp(0.0, 1.0);
                *v = (contrasted - normalize.mean[channel]) / normalize.std[channel];
            }
        }
    }

    /// Composites a premultiplied sample, then brightness and saturation.
    fn colour(&self, [r, g, b, alpha]: [f32; 4]) -> [f32; 3] {
        let rgb: [f32; 3] = std::array::from_fn(|i| {
            ([r, g, b][i] + self.background[i] * (1.0 - alpha)) * self.brightness
        });
        let grey = luma(&rgb);
        rgb.map(|v| (grey + (v - grey) * self.saturation).clamp(0.0, 1.0))
    }
}

fn luma(rgb: &[f32]) -> f32 {
    0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
}

fn grey_mean(pixels: &[f32]) -> f32 {
    pixels.chunks_exact(3).map(luma).sum::<f32>() / (pixels.len() / 3) as f32
}

/// Bilinear premultiplied sample in [0, 1]; transparent outside.
fn sample(picture: &Image, x: f32, y: f32) -> [f32; 4] {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (x - left, y - top);
    let mut sum = [0.0f32; 4];
    for (dx, dy, weight) in [
        (0, 0, (1.0 - fx) * (1.0 - fy)),
        (1, 0, fx * (1.0 - fy)),
        (0, 1, (1.0 - fx) * fy),
        (1, 1, fx * fy),
    ] {
        let (px, py) = (left as i32 + dx, top as i32 + dy);
        let inside = |v: i32, edge: usize| v >= 0 && (v as usize) < edge;
        if weight == 0.0 || !inside(px, picture.width()) || !inside(py, picture.height()) {
            continue;
        }
        let at = (py as usize * picture.width() + px as usize) * 4;
        let rgba = &picture.rgba()[at..at + 4];
        let alpha = f32::from(rgba[3]) / 255.0;
        for channel in 0..3 {
            sum[channel] += weight * alpha * f32::from(rgba[channel]) / 255.0;
        }
        sum[3] += weight * alpha;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::image::OPENAI;
    use toxiclip_shared::seed::Seed;

    fn picture() -> Image {
        let rgba =
            (0..16).flat_map(|i| [i * 16, 255 - i * 10, 40, if i % 3 == 0 { 0 } else { 255 }]);
        Image::new(4, 4, rgba.collect()).unwrap()
    }

    #[test]
    fn the_plain_view_is_the_evaluation_view() {
        let mut want = Vec::new();
        picture().over([255; 3]).write_pixels(&OPENAI, &mut want);
        let mut got = vec![0.0; want.len()];
        View::PLAIN.render(&picture(), &OPENAI, &mut got);
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() < 1e-5, "{g} or {w}");
        }
    }

    #[test]
    fn views_repeat_and_differ() {
        let draw = |name: &str| weak(&mut Seed::new(1).child(name).stream());
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        let mut out = vec![0.0; 48];
        draw("a").render(&picture(), &OPENAI, &mut out);
        assert!(out.iter().all(|v| v.is_finite()));
    }
}
