//! Augmentation of small drawings: one affine view with a background, then colour.
//!
//! Weak: flip, rotation to 10°, scale 0.85–1.1, shift to a tenth, a coloured background with probability 0.2,
//! brightness, contrast and saturation to 25 %, grey with probability 0.2. Strong augmentation makes all
//! concepts come far later.
//!
//! Strong, for objectives that compare two views, has the operations of AutoAugment's ImageNet policy (Cubuk et al. 2019)
//! that a view can say, all at once and each at random strength, instead of two of its 25 pairs: rotation to 30°, shear to
//! 0.3, scale 0.7–1.2, shift to a fifth, a coloured background with probability 0.5, brightness, contrast and saturation to
//! 60 %, inversion around the mean grey with probability 0.1. Posterising, solarising, equalising and sharpness are left out.

use toxiclip_shared::image::{Image, Normalize};
use toxiclip_shared::seed::Stream;
use toxiclip_shared::simd;

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

/// Draws a strong view; streams stay aligned as in [`weak`].
pub(super) fn strong(s: &mut Stream) -> View {
    let flip = if s.chance(0.5) { -1.0 } else { 1.0 };
    let angle = s.range(-30.0, 30.0).to_radians();
    let inverse = 1.0 / s.range(0.7, 1.2);
    let shear = [s.range(-0.3, 0.3), s.range(-0.3, 0.3)];
    let shift = [s.range(-0.2, 0.2), s.range(-0.2, 0.2)];
    let coloured = s.chance(0.5);
    let colour = [s.uniform(), s.uniform(), s.uniform()];
    let (brightness, contrast) = (s.range(0.4, 1.6), s.range(0.4, 1.6));
    let (saturation, grey, inverted) = (s.range(0.4, 1.6), s.chance(0.2), s.chance(0.1));
    let (sin, cos) = (angle.sin() * inverse, angle.cos() * inverse);
    // Rotation after shear.
    let matrix = [
        (cos - sin * shear[1]) * flip,
        cos * shear[0] - sin,
        (sin + cos * shear[1]) * flip,
        sin * shear[0] + cos,
    ];
    View {
        matrix,
        shift,
        background: if coloured { colour } else { [1.0; 3] },
        brightness,
        contrast: if inverted { -contrast } else { contrast },
        saturation: if grey { 0.0 } else { saturation },
    }
}

/// Transparent pixels around a picture, so that no neighbour of a sample has to be checked.
const FRAME: usize = 2;

/// Buffers of one thread, used again for every picture.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The picture in its frame: red, green, blue times alpha, and alpha, in [0, 1].
    framed: Vec<[f32; 4]>,
    /// For each pixel of a row, where its top left neighbour lies in `framed` …
    neighbour: Vec<u32>,
    /// … and how far right of and below it the sample is.
    distance: [Vec<f32>; 2],
    /// Red, green, blue, alpha of a row.
    row: [Vec<f32>; 4],
    /// Red, green, blue of the whole view.
    planes: [Vec<f32>; 3],
}

impl Scratch {
    fn frame(&mut self, picture: &Image) {
        let size = picture.width();
        let stride = size + 2 * FRAME;
        self.framed.clear();
        self.framed.resize(stride * stride, [0.0; 4]);
        let inside = self.framed.chunks_exact_mut(stride).skip(FRAME);
        for (to, from) in inside.zip(picture.rgba().chunks_exact(4 * size)) {
            for (to, from) in to[FRAME..].iter_mut().zip(from.chunks_exact(4)) {
                let alpha = f32::from(from[3]) / 255.0;
                let channel = |c: usize| f32::from(from[c]) / 255.0 * alpha;
                *to = [channel(0), channel(1), channel(2), alpha];
            }
        }
        self.neighbour.resize(size, 0);
        self.distance.iter_mut().chain(&mut self.row).for_each(|v| v.resize(size, 0.0));
        self.planes.iter_mut().for_each(|v| v.resize(size * size, 0.0));
    }
}

impl View {
    /// Writes the normalised view, `[size][size][3]`, of a square picture of the same size.
    pub(super) fn render(
        &self,
        picture: &Image,
        normalize: &Normalize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        scratch.frame(picture);
        draw(self, picture.width(), normalize, scratch, out);
    }

    /// Samples of row `y`: bilinear and premultiplied, transparent outside.
    #[inline(always)]
    fn sample(&self, y: usize, size: usize, s: &mut Scratch) {
        let middle = (size as f32 - 1.0) / 2.0;
        let stride = size + 2 * FRAME;
        let [a, b, c, d] = self.matrix;
        let y = y as f32 - middle;
        let [right, below] = &mut s.distance;
        // Whatever lies further out than the frame sees the frame's transparent pixels all the same.
        let low = -(FRAME as f32);
        let within = |v: f32| v.floor().clamp(low, size as f32);
        for (i, ((at, fx), fy)) in s.neighbour.iter_mut().zip(right).zip(below).enumerate() {
            let x = i as f32 - middle;
            let from_x = a * x + b * y + middle + self.shift[0] * size as f32;
            let from_y = c * x + d * y + middle + self.shift[1] * size as f32;
            let (left, top) = (within(from_x), within(from_y));
            (*fx, *fy) = (from_x - left, from_y - top);
            *at = ((top - low) * stride as f32 + (left - low)) as u32;
        }
        let [right, below] = &s.distance;
        for (i, ((&at, &fx), &fy)) in s.neighbour.iter().zip(right).zip(below).enumerate() {
            let at = at as usize;
            let (upper, lower) = (&s.framed[at..at + 2], &s.framed[at + stride..at + stride + 2]);
            for (channel, row) in s.row.iter_mut().enumerate() {
                let [a, b] = [upper[0][channel], upper[1][channel]];
                let [c, d] = [lower[0][channel], lower[1][channel]];
                row[i] = (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy;
            }
        }
    }

    /// Composites the samples of row `y` on the background, then brightness and saturation.
    #[inline(always)]
    fn colour(&self, y: usize, size: usize, s: &mut Scratch) {
        let [red, green, blue, alpha] = &s.row;
        let [to_red, to_green, to_blue] = &mut s.planes;
        let at = y * size..(y + 1) * size;
        let to = to_red[at.clone()].iter_mut().zip(&mut to_green[at.clone()]);
        let to = to.zip(&mut to_blue[at]);
        let from = red.iter().zip(green).zip(blue).zip(alpha);
        for (((to_red, to_green), to_blue), (((red, green), blue), alpha)) in to.zip(from) {
            let lit = |c: f32, background: f32| (c + background * (1.0 - alpha)) * self.brightness;
            let rgb = [
                lit(*red, self.background[0]),
                lit(*green, self.background[1]),
                lit(*blue, self.background[2]),
            ];
            let grey = luma(rgb);
            let saturated = rgb.map(|v| (grey + (v - grey) * self.saturation).clamp(0.0, 1.0));
            [*to_red, *to_green, *to_blue] = saturated;
        }
    }

    /// Contrast around the mean grey, then the encoder's normalisation, channels side by side.
    #[inline(always)]
    fn finish(&self, normalize: &Normalize, [red, green, blue]: &[Vec<f32>; 3], out: &mut [f32]) {
        let mean = mean_grey(red, green, blue);
        let last = |v: f32, channel: usize| {
            let contrasted = ((v - mean) * self.contrast + mean).clamp(0.0, 1.0);
            (contrasted - normalize.mean[channel]) / normalize.std[channel]
        };
        for (px, ((r, g), b)) in out.chunks_exact_mut(3).zip(red.iter().zip(green).zip(blue)) {
            px.copy_from_slice(&[last(*r, 0), last(*g, 1), last(*b, 2)]);
        }
    }
}

simd! {
    /// No operation is fused, so all instruction sets give the same bits.
    fn draw(view: &View, size: usize, normalize: &Normalize, s: &mut Scratch, out: &mut [f32]) {
        for y in 0..size {
            view.sample(y, size, s);
            view.colour(y, size, s);
        }
        view.finish(normalize, &s.planes, out);
    }
}

#[inline(always)]
fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// In sixteen sums whatever the machine has, so that their order is fixed.
#[inline(always)]
fn mean_grey(red: &[f32], green: &[f32], blue: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let chunks = red.chunks(LANES).zip(green.chunks(LANES)).zip(blue.chunks(LANES));
    for ((red, green), blue) in chunks {
        for (sum, ((r, g), b)) in sums.iter_mut().zip(red.iter().zip(green).zip(blue)) {
            *sum += luma([*r, *g, *b]);
        }
    }
    sums.iter().sum::<f32>() / red.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::image::OPENAI;
    use toxiclip_shared::seed::Seed;

    fn picture(size: u8) -> Image {
        let pixels = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
        let rgba = pixels.flat_map(|(x, y)| {
            let alpha = if (x / 3 + y / 2) % 4 == 0 { 0 } else { 155 + (x ^ y) % 100 };
            [x * 7, 255 - y * 6, (x * y) ^ 40, alpha]
        });
        Image::new(size.into(), size.into(), rgba.collect()).unwrap()
    }

    fn rendered(view: &View, picture: &Image) -> Vec<f32> {
        let mut out = vec![0.0; picture.rgba().len() / 4 * 3];
        view.render(picture, &OPENAI, &mut Scratch::default(), &mut out);
        out
    }

    /// The definition, pixel by pixel in f64, with every neighbour checked.
    fn reference(view: &View, picture: &Image) -> Vec<f64> {
        let size = picture.width() as i64;
        let middle = (size as f64 - 1.0) / 2.0;
        let [a, b, c, d] = view.matrix.map(f64::from);
        let luma = |p: &[f64]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        let mut out = Vec::new();
        for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
            let (x, y) = (x as f64 - middle, y as f64 - middle);
            let from_x = a * x + b * y + middle + f64::from(view.shift[0]) * size as f64;
            let from_y = c * x + d * y + middle + f64::from(view.shift[1]) * size as f64;
            let mut sum = [0.0; 4];
            for (px, py) in (0..size).flat_map(|py| (0..size).map(move |px| (px, py))) {
                let near = |v: f64, p: i64| (1.0 - (v - p as f64).abs()).max(0.0);
                let weight = near(from_x, px) * near(from_y, py);
                let rgba = &picture.rgba()[(py * size + px) as usize * 4..][..4];
                let alpha = f64::from(rgba[3]) / 255.0;
                (0..3).for_each(|i| sum[i] += weight * alpha * f64::from(rgba[i]) / 255.0);
                sum[3] += weight * alpha;
            }
            let lit: [f64; 3] = std::array::from_fn(|i| {
                (sum[i] + f64::from(view.background[i]) * (1.0 - sum[3]))
                    * f64::from(view.brightness)
            });
            let grey = luma(&lit);
            out.extend(
                lit.map(|v| (grey + (v - grey) * f64::from(view.saturation)).clamp(0.0, 1.0)),
            );
        }
        let mean = out.chunks_exact(3).map(luma).sum::<f64>() / (size * size) as f64;
        let last = |(i, v): (usize, f64)| {
            let contrasted = ((v - mean) * f64::from(view.contrast) + mean).clamp(0.0, 1.0);
            (contrasted - f64::from(OPENAI.mean[i % 3])) / f64::from(OPENAI.std[i % 3])
        };
        out.into_iter().enumerate().map(last).collect()
    }

    fn difference(got: &[f32], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn views_are_their_definition() {
        for (i, size) in [(0, 1), (1, 5), (2, 16), (3, 33)] {
            let picture = picture(size);
            for draw in [weak, strong] {
                let view = draw(&mut Seed::new(i).stream());
                let worst = difference(&rendered(&view, &picture), &reference(&view, &picture));
                assert!(worst < 5e-5, "{size} px: {worst}");
            }
        }
        let far = View { shift: [40.0, -3.0], background: [0.2; 3], ..View::PLAIN };
        let got = rendered(&far, &picture(9));
        assert!(difference(&got, &reference(&far, &picture(9))) < 5e-5);
        // The comparison can fail.
        let other = View { brightness: 1.01, ..View::PLAIN };
        assert!(
            difference(&rendered(&View::PLAIN, &picture(9)), &reference(&other, &picture(9)))
                > 1e-3
        );
    }

    #[test]
    fn the_plain_view_is_the_evaluation_view() {
        let mut want = Vec::new();
        picture(12).over([255; 3]).write_pixels(&OPENAI, &mut want);
        let got = rendered(&View::PLAIN, &picture(12));
        for (g, w) in got.iter().zip(&want) {
            // Evaluation rounds the composite to 8 bits.
            assert!((g - w).abs() < 0.51 / 255.0 / 0.26, "{g} or {w}");
        }
    }

    #[test]
    fn views_repeat_and_differ_and_scratch_leaves_no_trace() {
        let draw = |name: &str| weak(&mut Seed::new(1).child(name).stream());
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        let mut scratch = Scratch::default();
        let mut out = vec![0.0; 20 * 20 * 3];
        draw("b").render(&picture(20), &OPENAI, &mut scratch, &mut out);
        let mut again = vec![0.0; 6 * 6 * 3];
        draw("a").render(&picture(6), &OPENAI, &mut scratch, &mut again);
        assert_eq!(again, rendered(&draw("a"), &picture(6)));
    }
}
