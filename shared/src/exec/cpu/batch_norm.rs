//! Batch normalisation over rows, with ReLU behind it where the graph says so (Ioffe & Szegedy 2015).
//!
//! In training mean and variance are of the batch: each chunk's are found in one pass through the cache
//! and merged in f64 in chunk order (Chan et al. 1979).

use super::matmul::Into;
use super::parallel::{CHUNK, for_chunks, for_chunks2, scratch_len, sum_parts};
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

/// Fills `y`.
pub(super) fn forward(
    x: &[f32],
    m: &Moments,
    gain: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let size = CHUNK * gain.len();
    let scale: Vec<f32> = gain.iter().zip(&m.rstd).map(|(g, r)| g * r).collect();
    for_chunks(y, size, |i, y| {
        normalise(&x[i * size..i * size + y.len()], &m.mean, &scale, bias, relu, y);
    });
}

/// What backward reads besides dY.
pub(super) struct Saved<'a> {
    pub x: &'a [f32],
    /// The output, where ReLU follows: it is positive where the gradient passes.
    pub y: Option<&'a [f32]>,
    pub moments: &'a Moments,
    pub gain: &'a [f32],
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
    let size = CHUNK * columns;
    let n = s.x.len() / columns;
    let units = n.div_ceil(CHUNK);
    let mut sums = vec![0.0; 2 * columns];
    let of = |x: &'_ [f32], i: usize, len: usize| -> std::ops::Range<usize> {
        i * size..(i * size + len).min(x.len())
    };
    sum_parts(units, &mut sums, scratch, |range, acc| {
        for unit in range {
            let span = of(s.x, unit, size);
            let y = s.y.map_or(&[][..], |y| &y[span.clone()]);
            chunk_sums(&s.x[span.clone()], y, &dy[span], s.moments, acc);
        }
    });
    if let Some((dx, into)) = dx {
        // Without dependence on x the two correction terms vanish.
        let share = if s.of_batch { 1.0 / n as f32 } else { 0.0 };
        let means: Vec<f32> = sums.iter().map(|v| v * share).collect();
        for_chunks2((dx, size), (&mut vec![(); units], 1), |i, dx, _| {
            let span = of(s.x, i, dx.len());
            let y = s.y.map_or(&[][..], |y| &y[span.clone()]);
            chunk_backward(
                (&s.x[span.clone()], y, &dy[span]),
                s.moments,
                s.gain,
                &means,
                into == Into::Add,
                dx,
            );
        });
    }
    d_params.iter_mut().zip(&sums).for_each(|(d, s)| *d += s);
}

/// Elements of scratch that [`backward`] needs.
pub(super) fn scratch(rows: usize, columns: usize) -> usize {
    scratch_len(rows.div_ceil(CHUNK), 2 * columns)
}

simd! {
    /// Mean and sum of squared deviations per column of one chunk.
    fn chunk_moments(x: &[f32], columns: usize, out: &mut [f32]) {
        let (mean, squares) = out.split_at_mut(columns);
        mean.fill(0.0);
        squares.fill(0.0);
        for row in x.chunks_exact(columns) {
            for (m, v) in mean.iter_mut().zip(row) {
                *m += v;
            }
        }
        let n = (x.len() / columns) as f32;
        mean.iter_mut().for_each(|m| *m /= n);
        for row in x.chunks_exact(columns) {
            for ((s, v), m) in squares.iter_mut().zip(row).zip(mean.iter()) {
                *s = fma(*v - *m, *v - *m, *s);
            }
        }
    }

    fn normalise(x: &[f32], mean: &[f32], scale: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
        let columns = mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)) {
            for i in 0..columns {
                let v = fma(x[i] - mean[i], scale[i], bias[i]);
                y[i] = if v > floor { v } else { floor };
            }
        }
    }

    /// Adds Σ dpre·x̂ and Σ dpre per column, where dpre is dy gated by y > 0 if y is given.
    fn chunk_sums(x: &[f32], y: &[f32], dy: &[f32], m: &Moments, acc: &mut [f32]) {
        let columns = m.mean.len();
        let (d_gain, d_bias) = acc.split_at_mut(columns);
        let (mean, rstd) = (&m.mean[..columns], &m.rstd[..columns]);
        for (r, (x, dy)) in x.chunks_exact(columns).zip(dy.chunks_exact(columns)).enumerate() {
            if y.is_empty() {
                for i in 0..columns {
                    d_gain[i] = fma(dy[i], (x[i] - mean[i]) * rstd[i], d_gain[i]);
                    d_bias[i] += dy[i];
                }
            } else {
                let y = &y[r * columns..(r + 1) * columns];
                for i in 0..columns {
                    let d = if y[i] > 0.0 { dy[i] } else { 0.0 };
                    d_gain[i] = fma(d, (x[i] - mean[i]) * rstd[i], d_gain[i]);
                    d_bias[i] += d;
                }
            }
        }
    }

    /// dx = gain·rstd·(dpre − mean(dpre) − x̂·mean(dpre·x̂)).
    fn chunk_backward(saved: (&[f32], &[f32], &[f32]), m: &Moments, gain: &[f32], means: &[f32], add: bool, dx: &mut [f32]) {
        let (x, y, dy) = saved;
        let columns = gain.len();
        let (mean_dx, mean_d) = means.split_at(columns);
        let (mean, rstd) = (&m.mean[..columns], &m.rstd[..columns]);
        for (r, (x, dx)) in x.chunks_exact(columns).zip(dx.chunks_exact_mut(columns)).enumerate() {
            let dy = &dy[r * columns..(r + 1) * columns];
            let gate = if y.is_empty() { x } else { &y[r * columns..(r + 1) * columns] };
            let all = y.is_empty();
            for i in 0..columns {
                let d = if all || gate[i] > 0.0 { dy[i] } else { 0.0 };
                let normal = (x[i] - mean[i]) * rstd[i];
                let v = gain[i] * rstd[i] * (d - mean_d[i] - normal * mean_dx[i]);
                dx[i] = if add { dx[i] + v } else { v };
            }
        }
    }
}
