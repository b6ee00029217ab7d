//! The loops of a product: panels of the right side, blocks of rows of the left, tiles of the result.
//!
//! Everything is inlined into one dispatch: only so do all loops get the vector instructions of the machine. No
//! closures inside, which would not.

use pulp::{Arch, Simd, WithSimd};

use super::Start;
use super::operand::{Left, Mat, Windows};
use super::panel::{Packed, VECTORS};

/// Rows of the summed axis in one visit of a tile: a panel of 48 columns then fills a fifth of a 2 MB cache.
const DEPTH: usize = 2048;

/// Rows of the largest tile.
const MAX_ROWS: usize = 8;

/// Elements of working space that [`run`] needs.
pub(super) const BLOCK: usize = MAX_ROWS * DEPTH;

/// dst = start + a·b.
pub(super) fn run<'a>(
    dst: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
    a: Left<'a>,
    b: Packed<'a>,
    block: &'a mut [f32],
) {
    Arch::new().dispatch(Run { dst, stride, start, a, b, block });
}

struct Run<'a> {
    dst: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
    a: Left<'a>,
    b: Packed<'a>,
    /// Some rows of a transposed left side, side by side.
    block: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Thirty-two registers hold 8·3 sums, 3 vectors of b and one of a; sixteen hold half of that.
        if S::F32_LANES >= 16 { self.panels::<S, 8>(simd) } else { self.panels::<S, 4>(simd) }
    }
}

/// A part of the summed axis: `segments` stretches of `len` elements, `line` apart, the first `offset` behind the
/// start of a row; all together the rows `p..p + segments·len` of the right side.
#[derive(Clone, Copy)]
struct Piece {
    p: usize,
    offset: usize,
    segments: usize,
    len: usize,
    line: usize,
}

impl Piece {
    /// The piece that begins at `p` of a summed axis of `k`.
    #[inline(always)]
    fn at(a: &Left<'_>, p: usize, k: usize) -> Self {
        match a {
            Left::Windows(w) if !w.transposed => {
                let first = p / w.segment;
                let segments = (DEPTH / w.segment).clamp(1, w.segments - first);
                Self { p, offset: first * w.line, segments, len: w.segment, line: w.line }
            }
            _ => Self { p, offset: p, segments: 1, len: DEPTH.min(k - p), line: 0 },
        }
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.segments * self.len
    }
}

impl Run<'_> {
    #[inline(always)]
    fn panels<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let ((_, k), (_, n)) = (self.a.shape(), self.b.shape());
        let mut p = 0;
        loop {
            let piece = Piece::at(&self.a, p, k);
            let mut j = 0;
            while j < n {
                let left = (n - j).div_ceil(S::F32_LANES);
                match left {
                    1 => self.rows::<S, ROWS, 1>(simd, j, piece),
                    2 => self.rows::<S, ROWS, 2>(simd, j, piece),
                    _ => self.rows::<S, ROWS, 3>(simd, j, piece),
                }
                j += left.min(VECTORS) * S::F32_LANES;
            }
            p += piece.depth();
            if p >= k {
                return;
            }
        }
    }

    /// All rows of `V` vectors of columns from `j` on.
    #[inline(always)]
    fn rows<S: Simd, const ROWS: usize, const V: usize>(
        &mut self,
        simd: S,
        j: usize,
        piece: Piece,
    ) {
        let (m, _) = self.a.shape();
        let whole = m - m % ROWS;
        for i in (0..whole).step_by(ROWS) {
            self.tile::<S, ROWS, V>(simd, (i, ROWS), j, piece);
        }
        match m - whole {
            0 => {}
            1 => self.tile::<S, 1, V>(simd, (whole, 1), j, piece),
            2 => self.tile::<S, 2, V>(simd, (whole, 2), j, piece),
            left if left <= ROWS / 2 => self.tile::<S, 4, V>(simd, (whole, left), j, piece),
            left => self.tile::<S, ROWS, V>(simd, (whole, left), j, piece),
        }
    }

    /// `rows` of at most `ROWS` rows from `i` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const V: usize>(
        &mut self,
        simd: S,
        (i, rows): (usize, usize),
        j: usize,
        piece: Piece,
    ) {
        let width = V * S::F32_LANES;
        let panel = S::as_simd_f32s(self.b.rows(j, width, piece.p, piece.depth())).0;
        let columns = width.min(self.b.shape().1 - j);
        let inside = Inside { rows, columns, stride: self.stride };
        let tile = &mut self.dst[i * self.stride + j..];
        let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
        match self.start {
            _ if piece.p > 0 => load::<S, ROWS, V>(simd, tile, inside, &mut sums),
            Start::Zero => {}
            Start::Result => load::<S, ROWS, V>(simd, tile, inside, &mut sums),
            Start::Row(row) => {
                let inside = Inside { stride: 0, ..inside };
                load::<S, ROWS, V>(simd, &row[j..], inside, &mut sums);
            }
        }
        let sums = match &self.a {
            Left::Mat(a) if !a.transposed => {
                let starts = std::array::from_fn(|r| (i + r.min(rows - 1)) * a.stride);
                along_rows::<S, ROWS, V>(simd, a.data, starts, piece, panel, sums)
            }
            Left::Windows(a) if !a.transposed => {
                let starts = std::array::from_fn(|r| a.starts[i + r.min(rows - 1)] as usize);
                along_rows::<S, ROWS, V>(simd, a.data, starts, piece, panel, sums)
            }
            Left::Mat(a) if rows == ROWS => {
                let from = Strided { first: piece.p * a.stride + i, stride: a.stride };
                along_columns::<S, ROWS, V>(simd, a.data, &from, panel, sums)
            }
            Left::Windows(a) if rows == ROWS && i % a.segment + ROWS <= a.segment => {
                let shift = i / a.segment * a.line + i % a.segment;
                let from = Scattered { starts: &a.starts[piece.p..], shift };
                along_columns::<S, ROWS, V>(simd, a.data, &from, panel, sums)
            }
            a => {
                copy_columns::<ROWS>(a, (i, rows), piece, self.block);
                let from = Strided { first: 0, stride: ROWS };
                along_columns::<S, ROWS, V>(simd, self.block, &from, panel, sums)
            }
        };
        store::<S, ROWS, V>(simd, tile, inside, &sums);
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

    #[inline(always)]
    fn is_whole(&self, rows: usize, width: usize) -> bool {
        self.rows == rows && self.columns == width
    }
}

#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "constant bounds become registers"
)]
fn load<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    tile: &[f32],
    inside: Inside,
    sums: &mut [[S::f32s; V]; ROWS],
) {
    let width = V * S::F32_LANES;
    let whole = inside.is_whole(ROWS, width);
    for r in 0..ROWS {
        if whole {
            let row = S::as_simd_f32s(&tile[r * inside.stride..][..width]).0;
            for v in 0..V {
                sums[r][v] = row[v];
            }
        } else {
            for v in 0..V {
                sums[r][v] = simd.partial_load_f32s(&tile[inside.span(r, v, S::F32_LANES)]);
            }
        }
    }
}

#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "constant bounds become registers"
)]
fn store<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    tile: &mut [f32],
    inside: Inside,
    sums: &[[S::f32s; V]; ROWS],
) {
    let width = V * S::F32_LANES;
    let whole = inside.is_whole(ROWS, width);
    for r in 0..ROWS {
        if whole {
            let row = S::as_mut_simd_f32s(&mut tile[r * inside.stride..][..width]).0;
            for v in 0..V {
                row[v] = sums[r][v];
            }
        } else {
            for v in 0..V {
                let part = &mut tile[inside.span(r, v, S::F32_LANES)];
                simd.partial_store_f32s(part, sums[r][v]);
            }
        }
    }
}

/// sums += a·panel where each row of a is contiguous, stretch by stretch.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn along_rows<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    data: &[f32],
    starts: [usize; ROWS],
    piece: Piece,
    panel: &[S::f32s],
    mut sums: [[S::f32s; V]; ROWS],
) -> [[S::f32s; V]; ROWS] {
    for s in 0..piece.segments {
        let panel = &panel.as_chunks::<V>().0[s * piece.len..][..piece.len];
        let mut rows = [&data[..0]; ROWS];
        for r in 0..ROWS {
            // The one check that makes those of the inner loop unnecessary.
            rows[r] = &data[starts[r] + piece.offset + s * piece.line..][..piece.len];
        }
        for p in 0..piece.len {
            for r in 0..ROWS {
                // Spread from memory: from a register it would take a port of the multiplier.
                let x = simd.splat_f32s(rows[r][p]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(x, panel[p][v], sums[r][v]);
                }
            }
        }
    }
    sums
}

/// Where the elements of some neighbouring columns lie in each row of a transposed left side.
trait Place {
    fn at(&self, p: usize) -> usize;
}

struct Strided {
    first: usize,
    stride: usize,
}

impl Place for Strided {
    #[inline(always)]
    fn at(&self, p: usize) -> usize {
        self.first + p * self.stride
    }
}

struct Scattered<'a> {
    starts: &'a [u32],
    shift: usize,
}

impl Place for Scattered<'_> {
    #[inline(always)]
    fn at(&self, p: usize) -> usize {
        self.starts[p] as usize + self.shift
    }
}

/// sums += a·panel where the rows of one column of a are contiguous.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds become registers")]
fn along_columns<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    data: &[f32],
    place: &impl Place,
    panel: &[S::f32s],
    mut sums: [[S::f32s; V]; ROWS],
) -> [[S::f32s; V]; ROWS] {
    for (p, b) in panel.as_chunks::<V>().0.iter().enumerate() {
        let column = &data[place.at(p)..][..ROWS];
        for r in 0..ROWS {
            let x = simd.splat_f32s(column[r]);
            for v in 0..V {
                sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
            }
        }
    }
    sums
}

/// Copies `rows` rows of a transposed left side into columns of `ROWS`, zeros behind them.
#[inline(always)]
fn copy_columns<const ROWS: usize>(
    a: &Left<'_>,
    (i, rows): (usize, usize),
    piece: Piece,
    block: &mut [f32],
) {
    for (q, column) in block.chunks_exact_mut(ROWS).enumerate().take(piece.depth()) {
        match *a {
            Left::Mat(Mat { data, stride, .. }) => {
                column[..rows].copy_from_slice(&data[(piece.p + q) * stride + i..][..rows]);
            }
            Left::Windows(Windows { data, starts, segment, line, .. }) => {
                let start = starts[piece.p + q] as usize;
                for (r, x) in column[..rows].iter_mut().enumerate() {
                    *x = data[start + (i + r) / segment * line + (i + r) % segment];
                }
            }
        }
        column[rows..].fill(0.0);
    }
}
