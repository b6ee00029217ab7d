//! How the left side of a product reaches the registers: as rows, or as columns laid side by side.

use pulp::Simd;

use super::operand::{Left, Mat, Windows};

/// Rows of the summed axis in one visit of a tile: a panel of 48 columns then fills a fifth of a 2 MB cache.
pub(super) const DEPTH: usize = 2048;

/// The same where rows of the left side are laid side by side: they stay in the smallest cache.
pub(super) const TURNED_DEPTH: usize = 256;

/// A part of the summed axis: `segments` stretches of `len` elements, `line` apart, the first `offset` behind the
/// start of a row; all together the rows `p..p + segments·len` of the right side.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) p: usize,
    pub(super) offset: usize,
    pub(super) segments: usize,
    pub(super) len: usize,
    pub(super) line: usize,
}

impl Piece {
    /// The piece that begins at `p` of a summed axis of `k`, of at most `depth` where a segment is not longer.
    #[inline(always)]
    pub(super) fn at(a: &Left<'_>, p: usize, k: usize, depth: usize) -> Self {
        match a {
            Left::Windows(w) if !w.transposed => {
                let first = p / w.segment;
                let segments = (depth / w.segment).clamp(1, w.segments - first);
                Self { p, offset: first * w.line, segments, len: w.segment, line: w.line }
            }
            _ => Self { p, offset: p, segments: 1, len: depth.min(k - p), line: 0 },
        }
    }

    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.segments * self.len
    }
}

/// Some rows of the left side over a piece of the summed axis.
pub(super) trait Side<const ROWS: usize>: Copy {
    /// sums + these rows · panel.
    fn add<S: Simd, const V: usize>(
        self,
        simd: S,
        panel: &[S::f32s],
        sums: [[S::f32s; V]; ROWS],
    ) -> [[S::f32s; V]; ROWS];
}

/// Each row is contiguous, stretch by stretch.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, const ROWS: usize> {
    pub(super) data: &'a [f32],
    pub(super) starts: [usize; ROWS],
    pub(super) piece: Piece,
}

impl<const ROWS: usize> Side<ROWS> for Rows<'_, ROWS> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
    fn add<S: Simd, const V: usize>(
        self,
        simd: S,
        panel: &[S::f32s],
        mut sums: [[S::f32s; V]; ROWS],
    ) -> [[S::f32s; V]; ROWS] {
        let Piece { offset, segments, len, line, .. } = self.piece;
        for s in 0..segments {
            let panel = &panel.as_chunks::<V>().0[s * len..][..len];
            // Two steps in a turn: the counters of the loop take ports of the multiplier. Arrays of two, so that the
            // second step reads at a fixed distance: WebAssembly would compute an address for each element.
            let pairs = len / 2;
            let mut rows = [&[[0.0; 2]; 0][..]; ROWS];
            for r in 0..ROWS {
                let row = &self.data[self.starts[r] + offset + s * line..][..len];
                // With one length for all, the loop needs no checks.
                rows[r] = &row.as_chunks().0[..pairs];
            }
            let twos = &panel.as_chunks::<2>().0[..pairs];
            for q in 0..pairs {
                step::<S, ROWS, V>(simd, &column(&rows, q, 0), &twos[q][0], &mut sums);
                step::<S, ROWS, V>(simd, &column(&rows, q, 1), &twos[q][1], &mut sums);
            }
            if len % 2 == 1 {
                let mut last = [0.0; ROWS];
                for r in 0..ROWS {
                    last[r] = self.data[self.starts[r] + offset + s * line + len - 1];
                }
                step::<S, ROWS, V>(simd, &last, &panel[len - 1], &mut sums);
            }
        }
        sums
    }
}

/// What rows have at one place: the element `i` of their pair `q`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "a closure would not be inlined")]
fn column<const ROWS: usize>(rows: &[&[[f32; 2]]; ROWS], q: usize, i: usize) -> [f32; ROWS] {
    let mut column = [0.0; ROWS];
    for r in 0..ROWS {
        column[r] = rows[r][q][i];
    }
    column
}

/// What all rows have at one place of the summed axis is contiguous, place behind place.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, const ROWS: usize>(pub(super) &'a [[f32; ROWS]]);

impl<const ROWS: usize> Side<ROWS> for Block<'_, ROWS> {
    #[inline(always)]
    fn add<S: Simd, const V: usize>(
        self,
        simd: S,
        panel: &[S::f32s],
        mut sums: [[S::f32s; V]; ROWS],
    ) -> [[S::f32s; V]; ROWS] {
        let panel = panel.as_chunks::<V>().0;
        let (columns, last) = self.0[..panel.len()].as_chunks::<2>();
        let (rows, last_row) = panel.as_chunks::<2>();
        for (columns, rows) in columns.iter().zip(rows) {
            step::<S, ROWS, V>(simd, &columns[0], &rows[0], &mut sums);
            step::<S, ROWS, V>(simd, &columns[1], &rows[1], &mut sums);
        }
        for (column, row) in last.iter().zip(last_row) {
            step::<S, ROWS, V>(simd, column, row, &mut sums);
        }
        sums
    }
}

/// sums += what rows have at one place · the panel's row there.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn step<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    column: &[f32; ROWS],
    b: &[S::f32s; V],
    sums: &mut [[S::f32s; V]; ROWS],
) {
    for r in 0..ROWS {
        // Spread from memory: from a register it would take a port of the multiplier.
        let x = simd.splat_f32s(column[r]);
        for v in 0..V {
            sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
        }
    }
}

/// Copies `rows` rows of a transposed left side into columns of `ROWS`, zeros behind them.
#[inline(always)]
pub(super) fn copy_columns<const ROWS: usize>(
    a: &Left<'_>,
    (i, rows): (usize, usize),
    piece: Piece,
    block: &mut [f32],
) {
    let block = &mut block.as_chunks_mut::<ROWS>().0[..piece.depth()];
    match *a {
        Left::Mat(Mat { data, stride, .. }) => {
            for (q, column) in block.iter_mut().enumerate() {
                copy_column(column, &data[(piece.p + q) * stride + i..], rows);
            }
        }
        Left::Windows(Windows { data, starts, segment, line, .. }) => {
            let (shift, inside) = (i / segment * line + i % segment, i % segment);
            for (start, column) in starts[piece.p..].iter().zip(block) {
                let start = *start as usize;
                if inside + rows <= segment {
                    copy_column(column, &data[start + shift..], rows);
                    continue;
                }
                for (r, x) in column[..rows].iter_mut().enumerate() {
                    *x = data[start + (i + r) / segment * line + (i + r) % segment];
                }
                column[rows..].fill(0.0);
            }
        }
    }
}

#[inline(always)]
fn copy_column<const ROWS: usize>(column: &mut [f32; ROWS], from: &[f32], rows: usize) {
    // A copy of known length needs no call.
    if let (true, Some(from)) = (rows == ROWS, from.first_chunk()) {
        *column = *from;
    } else {
        column[..rows].copy_from_slice(&from[..rows]);
        column[rows..].fill(0.0);
    }
}
