//! The loops of a product: panels of the right side, rows of the left, tiles of the result.
//!
//! Everything is inlined into one dispatch: only so do all loops get the vector instructions of the machine. No
//! closures inside, which would not. The sums of a tile stay in registers only if every loop over them is unrolled,
//! so all of them have constant bounds, and a tile at an edge is computed whole in a place of its own.

use pulp::{Arch, Simd, WithSimd};

use super::Start;
use super::operand::Left;
use super::panel::{GROUP, Packed, VECTORS};
use super::side::{Block, DEPTH, Piece, Rows, Side, TURNED_DEPTH, copy_columns};

/// Rows of the largest tile.
const MAX_ROWS: usize = 8;

/// Elements of the largest tile.
const TILE: usize = MAX_ROWS * GROUP;

/// Elements of working space that [`run`] needs.
pub(super) const BLOCK: usize = MAX_ROWS * TURNED_DEPTH + TILE;

/// dst = start + a·b.
pub(super) fn run<'a>(
    dst: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
    a: Left<'a>,
    b: Packed<'a>,
    block: &'a mut [f32],
) {
    let (block, edge) = block.split_at_mut(MAX_ROWS * TURNED_DEPTH);
    Arch::new().dispatch(Run { a, b, block, out: Out { dst, stride, start, edge } });
}

struct Run<'a> {
    a: Left<'a>,
    b: Packed<'a>,
    /// Some rows of a transposed left side, side by side.
    block: &'a mut [f32],
    out: Out<'a>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Thirty-two registers hold 8·3 sums, 3 vectors of b and one of a; sixteen hold half of that, and in WebAssembly,
        // which rounds products on their own, 4·2 sums, 2 of b, one of a and one product.
        if S::F32_LANES >= 16 { self.panels::<S, 8>(simd) } else { self.panels::<S, 4>(simd) }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn panels<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let ((_, k), turned) = (self.a.shape(), self.a.is_transposed());
        let mut p = 0;
        loop {
            let piece = Piece::at(&self.a, p, k, if turned { TURNED_DEPTH } else { DEPTH });
            if turned {
                self.rows_first::<S, ROWS>(simd, piece);
            } else {
                self.panels_first::<S, ROWS>(simd, piece);
            }
            p += piece.depth();
            if p >= k {
                return;
            }
        }
    }

    /// A panel stays in the cache while all rows of the left side pass.
    #[inline(always)]
    fn panels_first<S: Simd, const ROWS: usize>(&mut self, simd: S, piece: Piece) {
        let ((m, _), (_, n)) = (self.a.shape(), self.b.shape());
        let whole = m - m % ROWS;
        for j in (0..n).step_by(VECTORS * S::F32_LANES) {
            for i in (0..whole).step_by(ROWS) {
                self.along::<S, ROWS>(simd, (i, ROWS), j, piece);
            }
            match m - whole {
                0 => {}
                1 => self.along::<S, 1>(simd, (whole, 1), j, piece),
                2 => self.along::<S, 2>(simd, (whole, 2), j, piece),
                left if left <= ROWS / 2 => self.along::<S, 4>(simd, (whole, left), j, piece),
                left => self.along::<S, ROWS>(simd, (whole, left), j, piece),
            }
        }
    }

    #[inline(always)]
    fn along<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        (i, rows): (usize, usize),
        j: usize,
        piece: Piece,
    ) {
        let (data, starts) = self.a.starts::<ROWS>(i, rows);
        let left = Rows { data, starts, piece };
        self.out.tile::<S, ROWS>(simd, left, self.b, ((i, rows), j, piece));
    }

    /// Rows of a transposed left side lie far apart: some are laid side by side once, and all panels pass.
    #[inline(always)]
    fn rows_first<S: Simd, const ROWS: usize>(&mut self, simd: S, piece: Piece) {
        let ((m, _), (_, n)) = (self.a.shape(), self.b.shape());
        for i in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - i);
            copy_columns::<ROWS>(&self.a, (i, rows), piece, self.block);
            for j in (0..n).step_by(VECTORS * S::F32_LANES) {
                let left = Block(self.block.as_chunks::<ROWS>().0);
                self.out.tile::<S, ROWS>(simd, left, self.b, ((i, rows), j, piece));
            }
        }
    }
}

/// Where a product goes.
struct Out<'a> {
    dst: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
    /// A tile of which only a part lies inside the result.
    edge: &'a mut [f32],
}

impl Out<'_> {
    /// `rows` of at most `ROWS` rows from `i` on, columns of one panel from `j` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        left: impl Side<ROWS>,
        b: Packed<'_>,
        (rows, j, piece): ((usize, usize), usize, Piece),
    ) {
        match (b.shape().1 - j).div_ceil(S::F32_LANES) {
            1 => self.vectors::<S, ROWS, 1>(simd, left, b, rows, j, piece),
            2 if VECTORS > 2 => self.vectors::<S, ROWS, 2>(simd, left, b, rows, j, piece),
            _ => self.vectors::<S, ROWS, VECTORS>(simd, left, b, rows, j, piece),
        }
    }

    // A browser's quick compiler comes first, and its good one when a function has been busy: the smaller that is, the sooner
    // it is done, and from the next call on. All tiles in one function took it a third of a second and more.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn vectors<S: Simd, const ROWS: usize, const V: usize>(
        &mut self,
        simd: S,
        left: impl Side<ROWS>,
        b: Packed<'_>,
        (i, rows): (usize, usize),
        j: usize,
        piece: Piece,
    ) {
        let width = V * S::F32_LANES;
        let panel = S::as_simd_f32s(b.rows(j, width, piece.p, piece.depth())).0;
        let columns = width.min(b.shape().1 - j);
        let (part, whole) = ((rows, columns), rows == ROWS && columns == width);
        let tile = &mut self.dst[i * self.stride + j..];
        let before = match self.start {
            Start::Zero if piece.p == 0 => None,
            Start::Row(row) if piece.p == 0 => Some((&row[j..], 0)),
            _ => Some((&*tile, self.stride)),
        };
        let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
        if let Some((from, stride)) = before {
            if whole {
                load::<S, ROWS, V>(from, stride, &mut sums);
            } else {
                copy_part(simd, (from, stride), (self.edge, width), part);
                load::<S, ROWS, V>(self.edge, width, &mut sums);
            }
        }
        let sums = left.add::<S, V>(simd, panel, sums);
        if whole {
            store::<S, ROWS, V>(tile, self.stride, &sums);
        } else {
            store::<S, ROWS, V>(self.edge, width, &sums);
            copy_part(simd, (self.edge, width), (tile, self.stride), part);
        }
    }
}

/// Copies rows and columns from one place to another, each with its stride, a vector at a time: a call would take longer.
#[inline(always)]
fn copy_part<S: Simd>(
    simd: S,
    (from, from_stride): (&[f32], usize),
    (to, to_stride): (&mut [f32], usize),
    (rows, columns): (usize, usize),
) {
    for r in 0..rows {
        let from = &from[r * from_stride..][..columns];
        let to = &mut to[r * to_stride..][..columns];
        for v in (0..columns).step_by(S::F32_LANES) {
            let end = columns.min(v + S::F32_LANES);
            simd.partial_store_f32s(&mut to[v..end], simd.partial_load_f32s(&from[v..end]));
        }
    }
}

#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "constant bounds become registers"
)]
fn load<S: Simd, const ROWS: usize, const V: usize>(
    tile: &[f32],
    stride: usize,
    sums: &mut [[S::f32s; V]; ROWS],
) {
    for r in 0..ROWS {
        let row = S::as_simd_f32s(&tile[r * stride..][..V * S::F32_LANES]).0;
        for v in 0..V {
            sums[r][v] = row[v];
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
    tile: &mut [f32],
    stride: usize,
    sums: &[[S::f32s; V]; ROWS],
) {
    for r in 0..ROWS {
        let row = S::as_mut_simd_f32s(&mut tile[r * stride..][..V * S::F32_LANES]).0;
        for v in 0..V {
            row[v] = sums[r][v];
        }
    }
}
