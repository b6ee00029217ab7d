//! softmax(q·kᵀ/√d)·v per head, one task per example; and the same for one query row.

use super::matmul::{Into, Mat, product};
use super::parallel::for_chunks2;
use super::simd::{dot, exp, max, simd, sum};

/// Sizes of one attention over a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dims {
    /// Rows (tokens) of one example.
    pub tokens: usize,
    /// Columns of all heads together.
    pub width: usize,
    pub heads: usize,
    pub causal: bool,
}

impl Dims {
    fn head(&self) -> usize {
        self.width / self.heads
    }

    /// Probabilities of one example.
    pub(super) fn probabilities(&self) -> usize {
        self.heads * self.tokens * self.tokens
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head() as f32).sqrt()
    }
}

/// `packed` (B, T, 3·D) to `y` (B, T, D) and the probabilities `p` (B, heads, T, T).
pub(super) fn forward(d: Dims, packed: &[f32], y: &mut [f32], p: &mut [f32]) {
    let (t, w, hd) = (d.tokens, d.width, d.head());
    for_chunks2((y, t * w), (p, d.probabilities()), |b, y, p| {
        let packed = &packed[b * t * 3 * w..(b + 1) * t * 3 * w];
        for (h, p) in p.chunks_exact_mut(t * t).enumerate() {
            let part = |which: usize| Mat::strided(&packed[which * w + h * hd..], t, hd, 3 * w);
            product(p, t, Into::Set, part(0), part(1).t());
            softmax_rows(p, t, d.scale(), d.causal);
            product(&mut y[h * hd..], w, Into::Set, Mat::new(p, t, t), part(2));
        }
    });
}

/// d packed from dY and the probabilities.
pub(super) fn backward(d: Dims, packed: &[f32], p: &[f32], dy: &[f32], d_packed: &mut [f32]) {
    let (t, w, hd) = (d.tokens, d.width, d.head());
    super::parallel::for_chunks(d_packed, t * 3 * w, |b, d_packed| {
        let packed = &packed[b * t * 3 * w..(b + 1) * t * 3 * w];
        let dy = &dy[b * t * w..(b + 1) * t * w];
        let p = &p[b * d.probabilities()..(b + 1) * d.probabilities()];
        let mut ds = vec![0.0; t * t];
        for (h, p) in p.chunks_exact(t * t).enumerate() {
            let part = |which: usize| Mat::strided(&packed[which * w + h * hd..], t, hd, 3 * w);
            let dy = Mat::strided(&dy[h * hd..], t, hd, w);
            let probabilities = Mat::new(p, t, t);
            product(&mut d_packed[2 * w + h * hd..], 3 * w, Into::Set, probabilities.t(), dy);
            product(&mut ds, t, Into::Set, dy, part(2).t());
            softmax_backward(p, &mut ds, t, d.scale());
            let ds = Mat::new(&ds, t, t);
            product(&mut d_packed[h * hd..], 3 * w, Into::Set, ds, part(1));
            product(&mut d_packed[w + h * hd..], 3 * w, Into::Set, ds.t(), part(0));
        }
    });
}

/// One query row: `q` (B, D) over `packed` k, v (B, T, 2·D), seeing the first `visible[b]` rows.
/// Fills `y` (B, D) and `p` (B, heads, T).
pub(super) fn pool_forward(
    d: Dims,
    q: &[f32],
    packed: &[f32],
    visible: impl Fn(usize) -> usize + Sync,
    y: &mut [f32],
    p: &mut [f32],
) {
    let (t, w) = (d.tokens, d.width);
    for_chunks2((y, w), (p, d.heads * t), |b, y, p| {
        let packed = &packed[b * t * 2 * w..(b + 1) * t * 2 * w];
        pool_example(d, &q[b * w..(b + 1) * w], packed, visible(b), y, p);
    });
}

/// dq and d packed from dY.
pub(super) fn pool_backward(
    d: Dims,
    (q, packed, p): (&[f32], &[f32], &[f32]),
    dy: &[f32],
    dq: &mut [f32],
    d_packed: &mut [f32],
) {
    let (t, w) = (d.tokens, d.width);
    for_chunks2((dq, w), (d_packed, t * 2 * w), |b, dq, d_packed| {
        let packed = &packed[b * t * 2 * w..(b + 1) * t * 2 * w];
        let row = b * w..(b + 1) * w;
        let p = &p[b * d.heads * t..(b + 1) * d.heads * t];
        pool_example_backward(d, (&q[row.clone()], packed, p), &dy[row], dq, d_packed);
    });
}

simd! {
    /// Scale, mask and softmax of each row of `p` (T, T).
    fn softmax_rows(p: &mut [f32], t: usize, scale: f32, causal: bool) {
        for (i, row) in p.chunks_exact_mut(t).enumerate() {
            let (seen, hidden) = row.split_at_mut(if causal { i + 1 } else { t });
            softmax(seen, scale);
            hidden.fill(0.0);
        }
    }

    /// ds = p ∘ (dp − Σ dp∘p) · scale, in place in `ds`, which holds dp.
    fn softmax_backward(p: &[f32], ds: &mut [f32], t: usize, scale: f32) {
        for (p, ds) in p.chunks_exact(t).zip(ds.chunks_exact_mut(t)) {
            let mean = dot(p, ds);
            for (s, p) in ds.iter_mut().zip(p) {
                *s = p * (*s - mean) * scale;
            }
        }
    }

    fn pool_example(d: Dims, q: &[f32], packed: &[f32], visible: usize, y: &mut [f32], p: &mut [f32]) {
        let (t, w, hd) = (d.tokens, d.width, d.width / d.heads);
        for (h, p) in p.chunks_exact_mut(t).enumerate() {
            let columns = h * hd..(h + 1) * hd;
            let (seen, hidden) = p.split_at_mut(visible);
            for (s, row) in seen.iter_mut().zip(packed.chunks_exact(2 * w)) {
                *s = dot(&q[columns.clone()], &row[columns.clone()]);
            }
            softmax(seen, d.scale());
            hidden.fill(0.0);
            let y = &mut y[columns.clone()];
            y.fill(0.0);
            for (s, row) in seen.iter().zip(packed.chunks_exact(2 * w)) {
                for (y, v) in y.iter_mut().zip(&row[w..][columns.clone()]) {
                    *y += s * v;
                }
            }
        }
    }

    fn pool_example_backward(d: Dims, saved: (&[f32], &[f32], &[f32]), dy: &[f32], dq: &mut [f32], d_packed: &mut [f32]) {
        let (q, packed, p) = saved;
        let (t, w, hd) = (d.tokens, d.width, d.width / d.heads);
        let mut ds = vec![0.0; t];
        for (h, p) in p.chunks_exact(t).enumerate() {
            let columns = h * hd..(h + 1) * hd;
            let (q, dy) = (&q[columns.clone()], &dy[columns.clone()]);
            for (s, row) in ds.iter_mut().zip(packed.chunks_exact(2 * w)) {
                *s = dot(dy, &row[w..][columns.clone()]);
            }
            let mean = dot(p, &ds);
            let dq = &mut dq[columns.clone()];
            dq.fill(0.0);
            for (i, row) in packed.chunks_exact(2 * w).enumerate() {
                let s = p[i] * (ds[i] - mean) * d.scale();
                let (dk, dv) = d_packed[i * 2 * w..(i + 1) * 2 * w].split_at_mut(w);
                let k = &row[columns.clone()];
                let (dk, dv) = (&mut dk[columns.clone()], &mut dv[columns.clone()]);
                for j in 0..hd {
                    dq[j] += s * k[j];
                    dk[j] = s * q[j];
                    dv[j] = p[i] * dy[j];
                }
            }
        }
    }
}

/// Softmax of scale·x in place.
#[inline(always)]
fn softmax(x: &mut [f32], scale: f32) {
    let top = max(x) * scale;
    for v in x.iter_mut() {
        *v = exp(*v * scale - top);
    }
    let inverse = 1.0 / sum(x);
    for v in x.iter_mut() {
        *v *= inverse;
    }
}
