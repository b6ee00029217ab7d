//! The right side of a product in panels: some columns side by side, row after row, zeros behind the last column.

use pulp::{Arch, Simd, WithSimd};

use super::Mat;
use crate::exec::cpu::parallel::for_chunks;

/// Vectors of a panel's row, fewer at the right edge. See the tiles in [`kernel`](super::kernel).
pub(super) const VECTORS: usize = if cfg!(target_arch = "wasm32") { 2 } else { 3 };

/// Lanes of the widest vector.
const MAX_LANES: usize = 16;

/// A number of columns that is whole panels on every machine.
pub(in super::super) const GROUP: usize = VECTORS * MAX_LANES;

/// A packed k×n matrix.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Packed<'a> {
    data: &'a [f32],
    k: usize,
    n: usize,
}

impl<'a> Packed<'a> {
    /// What [`pack`] filled.
    pub(in super::super) fn new(data: &'a [f32], k: usize, n: usize) -> Self {
        Self { data: &data[..packed_len(k, n)], k, n }
    }

    /// The columns from `first` on, a multiple of [`GROUP`], at most `count`.
    pub(in super::super) fn columns(self, first: usize, count: usize) -> Self {
        assert!(first.is_multiple_of(GROUP), "panels begin at other columns");
        Self { data: &self.data[first * self.k..], k: self.k, n: count.min(self.n - first) }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.k, self.n)
    }

    /// Rows `p..p + depth` of the panel of `width` columns that begins at column `j`.
    #[inline(always)]
    pub(super) fn rows(&self, j: usize, width: usize, p: usize, depth: usize) -> &'a [f32] {
        &self.data[j * self.k + p * width..][..depth * width]
    }
}

/// Elements that a packed k×n matrix takes.
pub(in super::super) fn packed_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(MAX_LANES)
}

fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// Fills `out` with the panels of `b`, sharing them among the threads.
pub(in super::super) fn pack(b: Mat<'_>, out: &mut [f32]) {
    let ((k, n), lanes) = (b.shape(), lanes());
    let panel = VECTORS * lanes;
    for_chunks(&mut out[..packed_len(k, n)], k * panel, |i, out| {
        pack_panel(&b, i * panel, lanes, out);
    });
}

/// The same on this thread alone.
pub(super) fn pack_here(b: Mat<'_>, out: &mut [f32]) {
    let ((k, n), lanes) = (b.shape(), lanes());
    let panel = VECTORS * lanes;
    for (i, out) in out[..packed_len(k, n)].chunks_mut((k * panel).max(1)).enumerate() {
        pack_panel(&b, i * panel, lanes, out);
    }
}

fn pack_panel(b: &Mat<'_>, j: usize, lanes: usize, out: &mut [f32]) {
    let (k, n) = b.shape();
    if j >= n {
        return;
    }
    let columns = (n - j).min(VECTORS * lanes);
    let width = columns.next_multiple_of(lanes);
    let out = &mut out[..k * width];
    if b.transposed {
        turn(&b.data[j * b.stride..], b.stride, columns, width, out);
        return;
    }
    for (p, row) in out.chunks_exact_mut(width).enumerate() {
        let at = p * b.stride + j;
        row[..columns].copy_from_slice(&b.data[at..at + columns]);
        row[columns..].fill(0.0);
    }
}

/// Fills `out` (columns, rows) from the first columns of `source`, `rows` rows that are `stride` apart.
pub(in super::super) fn transpose(source: &[f32], stride: usize, rows: usize, out: &mut [f32]) {
    turn(source, stride, rows, rows, out);
}

/// Rows of `source` become columns of `out`, 8×8 elements at a time.
fn turn(source: &[f32], stride: usize, columns: usize, width: usize, out: &mut [f32]) {
    const EDGE: usize = 8;
    let k = out.len() / width;
    for c in (0..width).step_by(EDGE.min(width)) {
        let edge = EDGE.min(width - c);
        let inside = edge.min(columns.saturating_sub(c));
        let mut p = 0;
        while inside == EDGE && p + EDGE <= k {
            let mut rows = [[0.0f32; EDGE]; EDGE];
            for (i, row) in rows.iter_mut().enumerate() {
                row.copy_from_slice(&source[(c + i) * stride + p..][..EDGE]);
            }
            for i in 0..EDGE {
                let column: [f32; EDGE] = std::array::from_fn(|r| rows[r][i]);
                out[(p + i) * width + c..][..EDGE].copy_from_slice(&column);
            }
            p += EDGE;
        }
        for p in p..k {
            for i in 0..edge {
                out[p * width + c + i] =
                    if i < inside { source[(c + i) * stride + p] } else { 0.0 };
            }
        }
    }
}
