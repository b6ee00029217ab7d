//! y = (x − mean) / √(var + eps) · gain + bias per row. Row statistics are computed again in backward:
//! reading the row is what costs, and it is read anyway.

use super::matmul::Into;
use super::parallel::{CHUNK, for_chunks, scratch_len, sum_parts_with};
use super::simd::{dot, fma, simd, sum};

/// Fills `y`, rows of `gain.len()` columns.
pub(super) fn forward(x: &[f32], gain: &[f32], bias: &[f32], eps: f32, y: &mut [f32]) {
    let size = CHUNK * gain.len();
    for_chunks(y, size, |i, y| rows(&x[i * size..i * size + y.len()], gain, bias, eps, y));
}

/// Sets or adds dX and adds dgain and dbias, lying behind each other, to `d_params`.
pub(super) fn backward(
    (x, gain, eps): (&[f32], &[f32], f32),
    dy: &[f32],
    (dx, into): (&mut [f32], Into),
    d_params: &mut [f32],
    scratch: &mut [f32],
) {
    let width = gain.len();
    let units = (x.len() / width).div_ceil(CHUNK);
    sum_parts_with(units, (dx, CHUNK * width), d_params, scratch, |range, dx, acc| {
        let start = range.start * CHUNK * width;
        let span = start..start + dx.len();
        acc.fill(0.0);
        rows_backward(&x[span.clone()], gain, eps, &dy[span], dx, into == Into::Add, acc);
    });
}

/// Elements of scratch that [`backward`] needs.
pub(super) fn scratch(rows: usize, width: usize) -> usize {
    scratch_len(rows.div_ceil(CHUNK), 2 * width)
}

#[inline(always)]
fn statistics(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row) / n;
    let mut lanes = [0.0f32; super::simd::LANES];
    let mut chunks = row.chunks_exact(super::simd::LANES);
    for chunk in &mut chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = fma(*v - mean, *v - mean, *lane);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = fma(*v - mean, *v - mean, *lane);
    }
    (mean, 1.0 / (sum(&lanes) / n + eps).sqrt())
}

simd! {
    fn rows(x: &[f32], gain: &[f32], bias: &[f32], eps: f32, y: &mut [f32]) {
        let width = gain.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let (mean, rstd) = statistics(x, eps);
            for (((y, x), g), b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                *y = fma((*x - mean) * rstd, *g, *b);
            }
        }
    }

    fn rows_backward(x: &[f32], gain: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], add: bool, acc: &mut [f32]) {
        let width = gain.len();
        let (d_gain, d_bias) = acc.split_at_mut(width);
        let mut scaled = vec![0.0; width];
        let mut normal = vec![0.0; width];
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let (mean, rstd) = statistics(x, eps);
            for i in 0..width {
                normal[i] = (x[i] - mean) * rstd;
                scaled[i] = dy[i] * gain[i];
                d_gain[i] = fma(dy[i], normal[i], d_gain[i]);
                d_bias[i] += dy[i];
            }
            let a = sum(&scaled) / width as f32;
            let b = dot(&scaled, &normal) / width as f32;
            if add {
                for i in 0..width {
                    dx[i] = fma(rstd, scaled[i] - fma(normal[i], b, a), dx[i]);
                }
            } else {
                for i in 0..width {
                    dx[i] = rstd * (scaled[i] - fma(normal[i], b, a));
                }
            }
        }
    }
}
