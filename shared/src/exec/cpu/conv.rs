//! Convolution over (H, W, C) pictures as products: windows are unfolded into rows, a few hundred at a
//! time, and multiplied with the weight (out, k·k·C) while they are in the cache.

use super::matmul::{Into, Mat, product, transpose};
use super::parallel::{for_chunks, scratch_len, sum_parts, sum_parts_with};
use super::scratch;

/// Unfolded rows that are multiplied at a time.
const ROWS: usize = 256;

/// Geometry of one convolution over a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dims {
    pub batch: usize,
    /// Height, width, channels of the input.
    pub input: [usize; 3],
    /// Height, width, channels of the output.
    pub output: [usize; 3],
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
}

impl Dims {
    /// 1×1 convolutions are plain products over rows.
    pub(super) fn is_linear(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.pad == 0
    }

    fn window(&self) -> usize {
        self.kernel * self.kernel * self.input[2]
    }

    fn in_len(&self) -> usize {
        self.input.iter().product()
    }

    fn out_len(&self) -> usize {
        self.output.iter().product()
    }

    fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Pictures of one task, so that a task has about [`ROWS`] windows.
    fn group(&self) -> usize {
        (ROWS / self.positions()).max(1)
    }

    /// Elements of scratch that [`backward`] needs.
    pub(super) fn parts_len(&self) -> usize {
        scratch_len(self.batch.div_ceil(self.group()), self.output[2] * self.window())
    }
}

/// Fills `y` (B, H', W', out) from `x` (B, H, W, C) and `weight` (out, k, k, C).
pub(super) fn forward(d: Dims, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let [_, _, out] = d.output;
    let window = d.window();
    // A task covers several groups, so that threads meet less often.
    let pictures = d.group() * 4;
    scratch::with(out * window, |turned| {
        transpose(weight, out, window, turned);
        let turned = Mat::new(turned, window, out);
        for_chunks(y, pictures * d.out_len(), |i, y| {
            let x = &x[i * pictures * d.in_len()..];
            scratch::with(ROWS.min(y.len() / out) * window, |columns| {
                for (r, y) in y.chunks_mut(ROWS * out).enumerate() {
                    let rows = y.len() / out;
                    unfold(d, x, r * ROWS, &mut columns[..rows * window]);
                    product(y, out, Into::Set, Mat::new(columns, rows, window), turned);
                }
            });
        });
    });
}

/// Adds dW to `d_weight`, and sets or adds dX.
pub(super) fn backward(
    d: Dims,
    (x, weight): (&[f32], &[f32]),
    dy: &[f32],
    dx: Option<(&mut [f32], Into)>,
    d_weight: &mut [f32],
    parts: &mut [f32],
) {
    let units = d.batch.div_ceil(d.group());
    let pictures = |range: &std::ops::Range<usize>| {
        range.start * d.group()..(range.end * d.group()).min(d.batch)
    };
    match dx {
        None => sum_parts(units, d_weight, parts, |range, acc| {
            part(d, pictures(&range), (x, weight), dy, None, acc);
        }),
        Some((dx, into)) => {
            let unit_len = d.group() * d.in_len();
            sum_parts_with(units, (dx, unit_len), d_weight, parts, |range, dx, acc| {
                if into == Into::Set {
                    dx.fill(0.0);
                }
                part(d, pictures(&range), (x, weight), dy, Some(dx), acc);
            });
        }
    }
}

/// Backward over some pictures; `dx` starts at the first of them.
fn part(
    d: Dims,
    pictures: std::ops::Range<usize>,
    (x, weight): (&[f32], &[f32]),
    dy: &[f32],
    mut dx: Option<&mut [f32]>,
    d_weight: &mut [f32],
) {
    let (out, window) = (d.output[2], d.window());
    let x = &x[pictures.start * d.in_len()..pictures.end * d.in_len()];
    let dy = &dy[pictures.start * d.out_len()..pictures.end * d.out_len()];
    scratch::with(ROWS.min(dy.len() / out) * window, |columns| {
        for (r, dy) in dy.chunks(ROWS * out).enumerate() {
            let rows = dy.len() / out;
            let columns = &mut columns[..rows * window];
            unfold(d, x, r * ROWS, columns);
            let dy = Mat::new(dy, rows, out);
            product(d_weight, window, Into::Add, dy.t(), Mat::new(columns, rows, window));
            if let Some(dx) = dx.as_deref_mut() {
                product(columns, window, Into::Set, dy, Mat::new(weight, out, window));
                fold(d, columns, r * ROWS, dx);
            }
        }
    });
}

/// For each output position from `first` on: where its window lies, cut at the edges.
#[derive(Clone, Copy)]
struct Window {
    /// First element of the picture.
    picture: usize,
    top: isize,
    left: isize,
}

impl Window {
    fn at(d: &Dims, position: usize) -> Self {
        let (picture, inside) = (position / d.positions(), position % d.positions());
        let corner = |i: usize| (i * d.stride) as isize - d.pad as isize;
        Self {
            picture: picture * d.in_len(),
            top: corner(inside / d.output[1]),
            left: corner(inside % d.output[1]),
        }
    }

    /// For each kernel row: (place in the window, place in the pictures, length) of the part inside.
    fn spans(self, d: &Dims) -> impl Iterator<Item = (usize, Option<(usize, usize, usize)>)> {
        let [height, width, channels] = d.input;
        let kernel = d.kernel;
        let line = kernel * channels;
        let from = self.left.max(0) as usize;
        let to = ((self.left + kernel as isize).max(0) as usize).min(width);
        (0..kernel).map(move |ky| {
            let y = self.top + ky as isize;
            if y < 0 || y as usize >= height || from >= to {
                return (ky * line, None);
            }
            let skip = (from as isize - self.left) as usize * channels;
            let source = self.picture + (y as usize * width + from) * channels;
            (ky * line, Some((skip, source, (to - from) * channels)))
        })
    }
}

/// Copies the windows of consecutive positions into rows of `columns`.
fn unfold(d: Dims, x: &[f32], first: usize, columns: &mut [f32]) {
    let line = d.kernel * d.input[2];
    for (i, row) in columns.chunks_exact_mut(d.window()).enumerate() {
        for (at, span) in Window::at(&d, first + i).spans(&d) {
            let target = &mut row[at..at + line];
            match span {
                Some((0, source, len)) if len == line => {
                    target.copy_from_slice(&x[source..source + len]);
                }
                Some((skip, source, len)) => {
                    target.fill(0.0);
                    target[skip..skip + len].copy_from_slice(&x[source..source + len]);
                }
                None => target.fill(0.0),
            }
        }
    }
}

/// Adds rows of `columns` back to where [`unfold`] took them from.
fn fold(d: Dims, columns: &[f32], first: usize, dx: &mut [f32]) {
    for (i, row) in columns.chunks_exact(d.window()).enumerate() {
        for (at, span) in Window::at(&d, first + i).spans(&d) {
            if let Some((skip, target, len)) = span {
                let source = &row[at + skip..at + skip + len];
                dx[target..target + len].iter_mut().zip(source).for_each(|(d, s)| *d += s);
            }
        }
    }
}
