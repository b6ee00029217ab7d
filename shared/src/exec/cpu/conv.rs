//! Convolution over (H, W, C) pictures as products over windows that are not unfolded: pictures are copied with
//! their border of zeros, k lines of a window are k stretches in that copy, and the product reads them there.

use std::ops::Range;

use super::linear::{Finish, finished};
use super::matmul::{Into, Mat, Packed, Start, Windows, multiply, pack, packed_len, product};
use super::parallel::{for_chunks, scratch_len, sum_parts};
use super::scratch;

/// Output positions of one task, about.
const POSITIONS: usize = 512;

/// Tasks that a convolution has at least, where it has so many lines: late stages have few positions in all.
const TASKS: usize = 8;

/// Geometry of one convolution over a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
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

    /// Windows that lie side by side without a border: the patches of a transformer.
    pub(super) fn is_tiling(&self) -> bool {
        self.kernel == self.stride && self.pad == 0
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

    /// Elements of one line of a picture with its border.
    fn line(&self) -> usize {
        (self.input[1] + 2 * self.pad) * self.input[2]
    }

    /// Output lines of the whole batch; tasks are made of them.
    fn lines(&self) -> usize {
        self.batch * self.output[0]
    }

    /// Output lines of one task: whole pictures where several fit.
    fn task(&self) -> usize {
        let lines = POSITIONS.div_ceil(self.output[1]).min(self.lines().div_ceil(TASKS)).max(1);
        if lines > self.output[0] { lines - lines % self.output[0] } else { lines }
    }

    /// Elements of a copy with borders that is enough for any task.
    fn copy_len(&self) -> usize {
        let pictures = self.task() / self.output[0] + 2;
        (self.task() * self.stride + pictures * self.kernel) * self.line()
    }

    /// Elements of scratch that [`backward`] needs.
    pub(crate) fn parts_len(&self) -> usize {
        scratch_len(self.lines().div_ceil(self.task()), self.output[2] * self.window())
    }

    /// The convolution that takes dY to dX where the stride is 1: input and output change places.
    fn reversed(&self) -> Self {
        let pad = self.kernel - 1 - self.pad;
        Self { input: self.output, output: self.input, pad, ..*self }
    }
}

/// Fills `y` (B, H', W', out) from `x` (B, H, W, C) and `weight` (out, k, k, C).
pub(crate) fn forward(d: Dims, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let (out, window) = (d.output[2], d.window());
    scratch::with(packed_len(window, out), |packed| {
        pack(Mat::new(weight, out, window).t(), packed);
        correlate(d, x, Packed::new(packed, window, out), Start::Zero, y, None);
    });
}

/// y = start + windows of x · `weight` (window × out, packed), with `finish` as in
/// [`multiply_rows`](super::linear::multiply_rows).
pub(super) fn correlate(
    d: Dims,
    x: &[f32],
    weight: Packed<'_>,
    start: Start<'_>,
    y: &mut [f32],
    finish: Option<&Finish<'_>>,
) {
    let out = d.output[2];
    let line = d.output[1] * out;
    for_chunks(y, d.task() * line, |i, y| {
        let first = i * d.task();
        let lines = first..first + y.len() / line;
        finished(y, finish, |y| {
            with_windows(d, x, lines, |windows| multiply(y, out, start, windows, weight));
        });
    });
}

/// Sets or adds dW and dX.
pub(crate) fn backward(
    d: Dims,
    (x, weight): (&[f32], &[f32]),
    dy: &[f32],
    dx: Option<(&mut [f32], Into)>,
    (d_weight, keep): (&mut [f32], Into),
    parts: &mut [f32],
) {
    if let Some((dx, into)) = dx {
        if d.stride == 1 && d.pad < d.kernel {
            backward_input(d, weight, dy, into, dx);
        } else {
            fold_input(d, weight, dy, into, dx);
        }
    }
    // Summed as (window, out): so the windows are read in place and the narrow side is packed.
    let (out, window) = (d.output[2], d.window());
    let line = d.output[1] * out;
    scratch::with(window * out, |turned| {
        turned.fill(0.0);
        let tasks = d.lines().div_ceil(d.task());
        sum_parts(tasks, turned, parts, |range, acc| {
            for task in range.clone() {
                let lines = task * d.task()..d.lines().min((task + 1) * d.task());
                let dy = &dy[lines.start * line..lines.end * line];
                with_windows(d, x, lines, |windows| {
                    let dy = Mat::new(dy, dy.len() / out, out);
                    let keep = if task == range.start { Into::Set } else { Into::Add };
                    product(acc, out, keep, windows.t(), dy);
                });
            }
        });
        for (o, row) in d_weight.chunks_exact_mut(window).enumerate() {
            for (i, w) in row.iter_mut().enumerate() {
                let sum = turned[i * out + o];
                *w = if keep == Into::Add { *w + sum } else { sum };
            }
        }
    });
}

/// dX where the stride is 1: the windows of dY times the weight turned by half a circle.
fn backward_input(d: Dims, weight: &[f32], dy: &[f32], into: Into, dx: &mut [f32]) {
    let (out, channels, taps) = (d.output[2], d.input[2], d.kernel * d.kernel);
    scratch::with(taps * out * channels, |turned| {
        for (o, taps_of) in weight.chunks_exact(taps * channels).enumerate() {
            for (tap, row) in taps_of.chunks_exact(channels).enumerate() {
                let at = ((taps - 1 - tap) * out + o) * channels;
                turned[at..at + channels].copy_from_slice(row);
            }
        }
        let turned = Mat::new(turned, taps * out, channels);
        scratch::with(packed_len(taps * out, channels), |packed| {
            pack(turned, packed);
            let weight = Packed::new(packed, taps * out, channels);
            correlate(d.reversed(), dy, weight, into.into(), dx, None);
        });
    });
}

/// dX for any stride: the gradient of each window, added where the window was.
fn fold_input(d: Dims, weight: &[f32], dy: &[f32], into: Into, dx: &mut [f32]) {
    let (out, window) = (d.output[2], d.window());
    scratch::with(packed_len(out, window), |packed| {
        pack(Mat::new(weight, out, window), packed);
        let weight = Packed::new(packed, out, window);
        let pictures = POSITIONS / (d.output[0] * d.output[1]);
        let pictures = pictures.min(d.batch.div_ceil(TASKS)).max(1);
        for_chunks(dx, pictures * d.in_len(), |i, dx| {
            if into == Into::Set {
                dx.fill(0.0);
            }
            let first = i * pictures * d.out_len();
            let dy = &dy[first..first + dx.len() / d.in_len() * d.out_len()];
            scratch::with(POSITIONS.min(dy.len() / out) * window, |columns| {
                for (r, dy) in dy.chunks(POSITIONS * out).enumerate() {
                    let rows = dy.len() / out;
                    let columns = &mut columns[..rows * window];
                    multiply(columns, window, Start::Zero, Mat::new(dy, rows, out), weight);
                    fold(d, columns, r * POSITIONS, dx);
                }
            });
        });
    });
}

/// The windows of a tiling convolution as rows, one behind the other.
pub(super) fn tiles(d: Dims, x: &[f32], rows: &mut [f32]) {
    let (channels, width) = (d.input[2], d.input[1]);
    let segment = d.kernel * channels;
    for_chunks(rows, d.output[1] * d.window(), |line, rows| {
        let (picture, top) = (line / d.output[0], line % d.output[0] * d.stride);
        let x = &x[picture * d.in_len() + top * width * channels..];
        for (column, row) in rows.chunks_exact_mut(d.window()).enumerate() {
            for (y, part) in row.chunks_exact_mut(segment).enumerate() {
                let at = y * width * channels + column * segment;
                part.copy_from_slice(&x[at..at + segment]);
            }
        }
    });
}

/// Copies what the output lines `lines` read, with its border, and calls `task` with their windows.
fn with_windows(d: Dims, x: &[f32], lines: Range<usize>, task: impl FnOnce(Windows<'_>)) {
    let channels = d.input[2];
    let mut starts: Vec<u32> = Vec::with_capacity(lines.len() * d.output[1]);
    scratch::with(d.copy_len(), |copy| {
        let (mut at, mut next) = (0, lines.start);
        while next < lines.end {
            let (picture, top) = (next / d.output[0], next % d.output[0]);
            let taken = (d.output[0] - top).min(lines.end - next);
            let x = &x[picture * d.in_len()..(picture + 1) * d.in_len()];
            let count = (taken - 1) * d.stride + d.kernel;
            for (i, line) in copy[at..].chunks_exact_mut(d.line()).take(count).enumerate() {
                copy_line(d, x, (top * d.stride + i).checked_sub(d.pad), line);
            }
            for row in 0..taken {
                let first = at + row * d.stride * d.line();
                let position = |i: usize| (first + i * d.stride * channels) as u32;
                starts.extend((0..d.output[1]).map(position));
            }
            at += count * d.line();
            next += taken;
        }
        let (segment, line) = (d.kernel * channels, d.line());
        let segments = d.kernel;
        task(Windows { data: copy, starts: &starts, segments, segment, line, transposed: false });
    });
}

/// Line `y` of a picture between its borders; zeros where there is none.
fn copy_line(d: Dims, x: &[f32], y: Option<usize>, line: &mut [f32]) {
    let (border, inner) = (d.pad * d.input[2], d.input[1] * d.input[2]);
    match y.filter(|y| *y < d.input[0]) {
        Some(y) => {
            line[..border].fill(0.0);
            line[border..border + inner].copy_from_slice(&x[y * inner..(y + 1) * inner]);
            line[border + inner..].fill(0.0);
        }
        None => line.fill(0.0),
    }
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
        let positions = d.output[0] * d.output[1];
        let (picture, inside) = (position / positions, position % positions);
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

/// Adds rows of `columns` back to where the windows of positions from `first` on were.
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
