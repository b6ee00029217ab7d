//! Batch normalisation over rows, with ReLU behind it where the graph says so (Ioffe & Szegedy 2015).
//!
//! In training mean and variance are of the batch: each chunk's are found in one pass through the cache
//! and merged in f64 in chunk order (Chan et al. 1979).

use super::matmul::Into;
use super::parallel::{CHUNK, for_chunks, scratch_len, sum_parts};
use super::simd::{fma, simd};

/// Mean and unbiased variance per column of one batch, for the running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// (C).
    pub mean: Vec<f32>,
    /// (C), divided by n − 1 as PyTorch does for the running variance.
    pub var: Vec<f32>,
}

/// Mean and 1/√(var + eps) per column, as used in forward.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub mean: Vec<f32>,
    pub rstd: Vec<f32>,
}

/// Moments of this batch.
pub(super) fn batch_moments(x: &[f32], columns: usize, eps: f32) -> (Moments, BatchStatistics) {
    let chunk = 4 * CHUNK * columns;
    let mut parts = vec![0.0f32; x.len().div_ceil(chunk) * 2 * columns];
    for_chunks(&mut parts, 2 * columns, |i, part| {
        let end = x.len().min((i + 1) * chunk);
        chunk_moments(&x[i * chunk..end], columns, part);
    });
    let mut mean = vec![0.0f64; columns];
    let mut squares = vec![0.0f64; columns];
    let mut seen = 0.0f64;
    for (i, part) in parts.chunks_exact(2 * columns).enumerate() {
        let n = ((x.len() - i * chunk).min(chunk) / columns) as f64;
        for c in 0..columns {
            let delta = f64::from(part[c]) - mean[c];
            mean[c] += delta * n / (seen + n);
            squares[c] += f64::from(part[columns + c]) + delta * delta * seen * n / (seen + n);
        }
        seen += n;
    }
    let rstd = |s: &f64| (1.0 / (s / seen + f64::from(eps)).sqrt()) as f32;
    let narrow = |m: &f64| *m as f32;
    let unbiased = |s: &f64| (s / (seen - 1.0).max(1.0)) as f32;
    let moments = Moments {
        mean: mean.iter().map(narrow).collect(),
        rstd: squares.iter().map(rstd).collect(),
    };
    let statistics =
        BatchStatistics { mean: moments.mean.clone(), var: squares.iter().map(unbiased).collect() };
    (moments, statistics)
}

/// Moments from running statistics.
pub(super) fn running_moments(mean: &[f32], var: &[f32], eps: f32) -> Moments {
    let rstd = |v: &f32| 1.0 / (v + eps).sqrt();
    Moments { mean: mean.to_vec(), rstd: var.iter().map(rstd).collect() }
}

/// What forward and backward compute with, repeated for [`rows_as_one`]: (x − mean)·scale + bias.
#[derive(Debug)]
pub(super) struct Affine {
    mean: Vec<f32>,
    /// gain·rstd.
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Affine {
    pub(super) fn new(m: &Moments, gain: &[f32], bias: &[f32]) -> Self {
        let scale: Vec<f32> = gain.iter().zip(&m.rstd).map(|(g, r)| g * r).collect();
        Self { mean: repeated(&m.mean), scale: repeated(&scale), bias: repeated(bias) }
    }

    /// Fills whole rows `y`, or adds to them; ReLU comes last.
    pub(super) fn apply(&self, x: &[f32], into: Into, relu: bool, y: &mut [f32]) {
        match into {
            Into::Set => normalise(x, self, relu, y),
            Into::Add => normalise_onto(x, self, relu, y),
        }
    }
}

/// How dX depends on x and on nothing.
struct Slopes {
    slope: Vec<f32>,
    shift: Vec<f32>,
}

/// Fills `y`.
pub(super) fn forward(
    x: &[f32],
    m: &Moments,
    gain: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let size = CHUNK * gain.len() * rows_as_one(gain.len());
    let c = Affine::new(m, gain, bias);
    for_chunks(y, size, |i, y| normalise(&x[i * size..i * size + y.len()], &c, relu, y));
}

/// What backward reads besides dY. The output is not among it: where ReLU follows, it is positive exactly where
/// the same sum of x is.
pub(super) struct Saved<'a> {
    pub x: &'a [f32],
    pub relu: bool,
    pub moments: &'a Moments,
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    /// Whether the moments came from this batch and so depend on x.
    pub of_batch: bool,
}

/// Sets or adds dX and adds dgain and dbias, lying behind each other, to `d_params`.
pub(super) fn backward(
    s: &Saved<'_>,
    dy: &[f32],
    dx: Option<(&mut [f32], Into)>,
    d_params: &mut [f32],
    scratch: &mut [f32],
) {
    let columns = s.gain.len();
    let c = Affine::new(s.moments, s.gain, s.bias);
    let n = s.x.len() / columns;
    let mut sums = vec![0.0; 2 * columns];
    sum_parts(n.div_ceil(CHUNK), &mut sums, scratch, |units, acc| {
        let span = units.start * CHUNK * columns..s.x.len().min(units.end * CHUNK * columns);
        let (mut gain, mut bias) = (vec![0.0; c.mean.len()], vec![0.0; c.mean.len()]);
        add_sums(&s.x[span.clone()], &dy[span], &c, s.relu, &mut gain, &mut bias);
        acc.fill(0.0);
        fold_rows(&gain, &mut acc[..columns]);
        fold_rows(&bias, &mut acc[columns..]);
    });
    let rstd = &s.moments.rstd;
    sums[..columns].iter_mut().zip(rstd).for_each(|(g, r)| *g *= r);
    if let Some((dx, into)) = dx {
        // Without dependence on x the two correction terms vanish.
        let share = if s.of_batch { 1.0 / n as f32 } else { 0.0 };
        let per_column =
            |f: &dyn Fn(usize) -> f32| repeated(&(0..columns).map(f).collect::<Vec<_>>());
        let scale = &c.scale;
        let slopes = Slopes {
            slope: per_column(&|i| -scale[i] * rstd[i] * sums[i] * share),
            shift: per_column(&|i| -scale[i] * sums[columns + i] * share),
        };
        let size = CHUNK * c.mean.len();
        for_chunks(dx, size, |i, dx| {
            let span = i * size..i * size + dx.len();
            let saved = (&s.x[span.clone()], &dy[span]);
            chunk_backward(saved, &c, &slopes, s.relu, into == Into::Add, dx);
        });
    }
    d_params.iter_mut().zip(&sums).for_each(|(d, s)| *d += s);
}

/// Elements of scratch that [`backward`] needs.
pub(super) fn scratch(rows: usize, columns: usize) -> usize {
    scratch_len(rows.div_ceil(CHUNK), 2 * columns)
}

/// Rows that are read as one: columns are few, and only together do they fill whole vectors.
fn rows_as_one(columns: usize) -> usize {
    const ENOUGH: usize = 64;
    (1..=ENOUGH).find(|r| r * columns >= ENOUGH && (r * columns).is_multiple_of(16)).unwrap_or(1)
}

/// `x` repeated for [`rows_as_one`].
fn repeated(x: &[f32]) -> Vec<f32> {
    x.repeat(rows_as_one(x.len()))
}

/// Sums over rows read as one, added up to the columns of a single row, in row order.
fn fold_rows(wide: &[f32], out: &mut [f32]) {
    for row in wide.chunks_exact(out.len()) {
        out.iter_mut().zip(row).for_each(|(o, w)| *o += w);
    }
}

/// Mean and sum of squared deviations per column of one chunk, behind each other in `out`.
fn chunk_moments(x: &[f32], columns: usize, out: &mut [f32]) {
    let (mean, squares) = out.split_at_mut(columns);
    let mut wide = repeated(mean);
    wide.fill(0.0);
    add_wide(x, &mut wide);
    mean.fill(0.0);
    fold_rows(&wide, mean);
    let n = (x.len() / columns) as f32;
    mean.iter_mut().for_each(|m| *m /= n);
    wide.fill(0.0);
    add_squares(x, &repeated(mean), &mut wide);
    squares.fill(0.0);
    fold_rows(&wide, squares);
}

simd! {
    fn add_wide(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks(sums.len()) {
            for (s, v) in sums.iter_mut().zip(row) {
                *s += v;
            }
        }
    }

    fn add_squares(x: &[f32], mean: &[f32], sums: &mut [f32]) {
        for row in x.chunks(sums.len()) {
            for ((s, v), m) in sums.iter_mut().zip(row).zip(mean) {
                *s = fma(*v - *m, *v - *m, *s);
            }
        }
    }

    /// Affine are repeated for rows read as one.
    fn normalise(x: &[f32], c: &Affine, relu: bool, y: &mut [f32]) {
        let width = c.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
            for ((((y, x), mean), scale), bias) in y.iter_mut().zip(x).zip(&c.mean).zip(&c.scale).zip(&c.bias) {
                let v = fma(*x - *mean, *scale, *bias);
                *y = if v > floor { v } else { floor };
            }
        }
    }

    fn normalise_onto(x: &[f32], c: &Affine, relu: bool, y: &mut [f32]) {
        let width = c.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
            for ((((y, x), mean), scale), bias) in y.iter_mut().zip(x).zip(&c.mean).zip(&c.scale).zip(&c.bias) {
                let v = fma(*x - *mean, *scale, *bias) + *y;
                *y = if v > floor { v } else { floor };
            }
        }
    }

    /// Adds Σ dpre·(x − mean) and Σ dpre; dpre is dy where the output is above the floor.
    fn add_sums(x: &[f32], dy: &[f32], c: &Affine, relu: bool, d_gain: &mut [f32], d_bias: &mut [f32]) {
        let width = c.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (x, dy) in x.chunks(width).zip(dy.chunks(width)) {
            let sums = d_gain.iter_mut().zip(d_bias.iter_mut());
            let of_x = x.iter().zip(dy).zip(c.mean.iter().zip(&c.scale).zip(&c.bias));
            for ((g, b), ((x, dy), ((mean, scale), bias))) in sums.zip(of_x) {
                let centred = *x - *mean;
                let d = if fma(centred, *scale, *bias) > floor { *dy } else { 0.0 };
                *g = fma(d, centred, *g);
                *b += d;
            }
        }
    }

    /// dx = scale·(dpre − mean(dpre)) + slope·(x − mean), slope = −scale·rstd·mean(dpre·x̂).
    fn chunk_backward(saved: (&[f32], &[f32]), c: &Affine, s: &Slopes, relu: bool, add: bool, dx: &mut [f32]) {
        let (x, dy) = saved;
        let width = c.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let keep = if add { 1.0 } else { 0.0 };
        for ((x, dy), dx) in x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
            let n = dx.len();
            let (mean, scale, bias) = (&c.mean[..n], &c.scale[..n], &c.bias[..n]);
            let (slope, shift) = (&s.slope[..n], &s.shift[..n]);
            let (x, dy) = (&x[..n], &dy[..n]);
            for i in 0..n {
                let centred = x[i] - mean[i];
                let d = if fma(centred, scale[i], bias[i]) > floor { dy[i] } else { 0.0 };
                let new = fma(scale[i], d, fma(slope[i], centred, shift[i]));
                // A fresh buffer may hold anything, even what is not a number.
                dx[i] = if keep > 0.0 { dx[i] + new } else { new };
            }
        }
    }
}
