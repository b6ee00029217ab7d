//! Single-precision matrix products in vector registers.
//!
//! A tile of 8 rows × 3 vectors of the result stays in registers while the summed axis passes; 48 columns
//! of b are copied together first, so that the inner loop reads one stream. Every element is one chain of
//! fused multiply-adds in the order of the summed axis: its bits depend on its own row and column alone,
//! not on the other rows, the batch or the threads (trap N4).
//!
//! The kernels of faer 0.24 were the first choice and are faster still where they work; on a virtual machine
//! that reports 480 MB of L3 cache they wrote outside their buffers, so a safe kernel stands here.

use pulp::{Arch, Simd, WithSimd};

use super::scratch;

/// A row-major matrix inside a slice, or its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
    transposed: bool,
}

impl<'a> Mat<'a> {
    /// `rows`×`columns`, rows following each other.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// `rows`×`columns` with `stride` elements from row to row.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self { data, rows, columns, stride, transposed: false }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as seen by a product.
    fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// Whether a product overwrites or adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// dst = a·b.
    Set,
    /// dst += a·b.
    Add,
}

/// dst (m×n, row-major, `stride` from row to row) = or += a (m×k) · b (k×n), on this thread.
///
/// Fastest where b is not transposed: a weight that many calls use is better transposed once.
///
/// # Panics
/// If the shapes do not fit each other or their slices.
pub fn product(dst: &mut [f32], stride: usize, into: Into, a: Mat<'_>, b: Mat<'_>) {
    let ((m, k), (inner, n)) = (a.shape(), b.shape());
    assert_eq!(k, inner, "{m}×{k} · {inner}×{n}");
    if m == 0 || n == 0 {
        return;
    }
    let depth = k.min(DEPTH);
    // Made out here: a closure inside the dispatch would be compiled without its vector instructions.
    scratch::with(VECTORS * MAX_LANES * depth, |panel| {
        scratch::with(MAX_ROWS * depth, |block| {
            Arch::new().dispatch(Product { dst, stride, into, a, b, panel, block });
        });
    });
}

/// Vectors of a tile's row, fewer at the right edge.
const VECTORS: usize = 3;

/// Rows of the summed axis that are copied together: a panel of 48 columns then fills a fifth of a 2 MB cache.
const DEPTH: usize = 2048;

/// Lanes and rows of the largest tile.
const MAX_LANES: usize = 16;
const MAX_ROWS: usize = 8;

struct Product<'a> {
    dst: &'a mut [f32],
    stride: usize,
    into: Into,
    a: Mat<'a>,
    b: Mat<'a>,
    /// Some columns of b side by side.
    panel: &'a mut [f32],
    /// The last rows of a, filled up with zeros.
    block: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Thirty-two registers hold 8·3 sums, 3 vectors of b and one of a; sixteen hold half of that.
        if S::F32_LANES >= 16 { self.run::<S, 8>(simd) } else { self.run::<S, 4>(simd) }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let (_, n) = self.b.shape();
        let mut j = 0;
        while j < n {
            let left = (n - j).div_ceil(S::F32_LANES);
            match left {
                1 => self.columns::<S, ROWS, 1>(simd, j),
                2 => self.columns::<S, ROWS, 2>(simd, j),
                _ => self.columns::<S, ROWS, 3>(simd, j),
            }
            j += left.min(VECTORS) * S::F32_LANES;
        }
    }

    /// All rows of `V` vectors of columns from `j` on.
    #[inline(always)]
    fn columns<S: Simd, const ROWS: usize, const V: usize>(&mut self, simd: S, j: usize) {
        let ((m, k), (_, n)) = (self.a.shape(), self.b.shape());
        let width = V * S::F32_LANES;
        let columns = width.min(n - j);
        for p in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - p);
            copy_panel(&self.b, (p, depth), (j, columns), width, self.panel);
            let panel = S::as_simd_f32s(&self.panel[..depth * width]).0;
            let fresh = p == 0 && self.into == Into::Set;
            for i in (0..m).step_by(ROWS) {
                let rows = ROWS.min(m - i);
                let a = block_of::<ROWS>(&self.a, (i, rows), (p, depth), self.block);
                let tile = &mut self.dst[i * self.stride + j..];
                let inside = Inside { rows, columns, stride: self.stride };
                let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
                if !fresh {
                    load::<S, ROWS, V>(simd, tile, inside, &mut sums);
                }
                let sums = multiply::<S, ROWS, V>(simd, a, panel, sums);
                store::<S, ROWS, V>(simd, tile, inside, &sums);
            }
        }
    }
}

/// The part of a tile that lies inside the result.
#[derive(Clone, Copy)]
struct Inside {
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Inside {
    /// Columns of vector `v` of row `r` in the slice of the tile; empty outside. Rows and vectors are asked
    /// for by constants, so that the sums stay in registers.
    #[inline(always)]
    fn span(&self, r: usize, v: usize, lanes: usize) -> std::ops::Range<usize> {
        let (from, to) = (self.columns.min(v * lanes), self.columns.min((v + 1) * lanes));
        if r < self.rows { r * self.stride + from..r * self.stride + to } else { 0..0 }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn load<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    tile: &[f32],
    inside: Inside,
    sums: &mut [[S::f32s; V]; ROWS],
) {
    for r in 0..ROWS {
        for v in 0..V {
            sums[r][v] = simd.partial_load_f32s(&tile[inside.span(r, v, S::F32_LANES)]);
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn store<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    tile: &mut [f32],
    inside: Inside,
    sums: &[[S::f32s; V]; ROWS],
) {
    for r in 0..ROWS {
        for v in 0..V {
            let part = &mut tile[inside.span(r, v, S::F32_LANES)];
            simd.partial_store_f32s(part, sums[r][v]);
        }
    }
}

/// sums += a·panel, one element of the summed axis after the other. No closures: only what is always inlined
/// keeps the vector instructions of its caller.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn multiply<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    a: Block<'_, ROWS>,
    panel: &[S::f32s],
    mut sums: [[S::f32s; V]; ROWS],
) -> [[S::f32s; V]; ROWS] {
    match a {
        Block::Rows(mut rows) => {
            let depth = panel.len() / V;
            for row in &mut rows {
                // The one check that makes those of the inner loop unnecessary.
                *row = &row[..depth];
            }
            for p in 0..depth {
                let b = &panel[p * V..(p + 1) * V];
                for r in 0..ROWS {
                    // Spread from memory: from a register it would take a port of the multiplier.
                    let x = simd.splat_f32s(rows[r][p]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
                    }
                }
            }
        }
        Block::Columns(data, stride) => {
            for (p, b) in panel.chunks_exact(V).enumerate() {
                let column = &data[p * stride..p * stride + ROWS];
                for r in 0..ROWS {
                    let x = simd.splat_f32s(column[r]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
                    }
                }
            }
        }
    }
    sums
}

/// Some rows of a as the inner loop reads them.
#[derive(Clone, Copy)]
enum Block<'a, const ROWS: usize> {
    /// Each row is contiguous.
    Rows([&'a [f32]; ROWS]),
    /// The rows of one column are contiguous, columns are so many elements apart.
    Columns(&'a [f32], usize),
}

/// Rows `i..i + rows` of a, in place if all exist, else copied with zeros into `buffer`.
#[inline(always)]
fn block_of<'b, const ROWS: usize>(
    a: &Mat<'b>,
    (i, rows): (usize, usize),
    (p, depth): (usize, usize),
    buffer: &'b mut [f32],
) -> Block<'b, ROWS> {
    if a.transposed {
        if rows == ROWS {
            return Block::Columns(&a.data[p * a.stride + i..], a.stride);
        }
        for (q, column) in buffer.chunks_exact_mut(ROWS).enumerate().take(depth) {
            let at = (p + q) * a.stride + i;
            column[..rows].copy_from_slice(&a.data[at..at + rows]);
            column[rows..].fill(0.0);
        }
        return Block::Columns(buffer, ROWS);
    }
    // A missing row repeats the last: its sums are never written.
    let mut all = [&a.data[..0]; ROWS];
    for (r, row) in all.iter_mut().enumerate() {
        *row = &a.data[(i + r.min(rows - 1)) * a.stride + p..][..depth];
    }
    Block::Rows(all)
}

/// Copies rows `p..p + depth`, columns `j..j + columns` of b side by side, zeros behind them.
#[inline(always)]
fn copy_panel(
    b: &Mat<'_>,
    (p, depth): (usize, usize),
    (j, columns): (usize, usize),
    width: usize,
    panel: &mut [f32],
) {
    if b.transposed {
        if columns < width {
            panel.fill(0.0);
        }
        for c in 0..columns {
            let source = &b.data[(j + c) * b.stride + p..][..depth];
            for (row, x) in panel.chunks_exact_mut(width).zip(source) {
                row[c] = *x;
            }
        }
        return;
    }
    for (q, row) in panel.chunks_exact_mut(width).enumerate().take(depth) {
        let at = (p + q) * b.stride + j;
        row[..columns].copy_from_slice(&b.data[at..at + columns]);
        row[columns..].fill(0.0);
    }
}

/// The transpose of a rows×columns matrix, 16×16 elements at a time.
pub(super) fn transpose(x: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    const EDGE: usize = 16;
    for r in (0..rows).step_by(EDGE) {
        for c in (0..columns).step_by(EDGE) {
            for i in r..rows.min(r + EDGE) {
                for j in c..columns.min(c + EDGE) {
                    out[j * rows + i] = x[i * columns + j];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn random(n: usize, name: &str) -> Vec<f32> {
        let mut s = Seed::new(3).child(name).stream();
        (0..n).map(|_| s.normal()).collect()
    }

    #[test]
    fn all_layouts_agree_with_the_definition() {
        let (m, k, n) = (33, 77, 19);
        let (a, b) = (random(m * k, "a"), random(k * n, "b"));
        let transpose = |x: &[f32], r: usize, c: usize| -> Vec<f32> {
            (0..r * c).map(|i| x[(i % r) * c + i / r]).collect()
        };
        let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
        let want = |i: usize, j: usize| -> f64 {
            (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum()
        };
        let (ma, mb) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
        let (mat, mbt) = (Mat::new(&at, k, m).t(), Mat::new(&bt, n, k).t());
        for (x, y) in [(ma, mb), (mat, mb), (ma, mbt), (mat, mbt)] {
            let mut out = vec![1.0; m * (n + 2)];
            product(&mut out, n + 2, Into::Add, x, y);
            for i in 0..m {
                for j in 0..n {
                    let got = f64::from(out[i * (n + 2) + j]);
                    assert!((got - 1.0 - want(i, j)).abs() < 1e-4, "({i}, {j})");
                }
                assert_eq!(out[i * (n + 2) + n], 1.0, "beyond the matrix");
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        for (k, n) in [(192, 576), (768, 512), (128, 100), (216, 24)] {
            let (a, b) = (random(208 * k, "a"), random(k * n, "b"));
            let mut all = vec![0.0; 208 * n];
            product(&mut all, n, Into::Set, Mat::new(&a, 208, k), Mat::new(&b, n, k).t());
            for (start, len) in [(0, 1), (207, 1), (3, 2), (5, 7), (100, 100), (1, 33)] {
                let mut part = vec![0.0; len * n];
                let rows = Mat::new(&a[start * k..], len, k);
                product(&mut part, n, Into::Set, rows, Mat::new(&b, n, k).t());
                assert!(part == all[start * n..(start + len) * n], "{k}×{n}, rows {start}+{len}");
            }
        }
    }
}
