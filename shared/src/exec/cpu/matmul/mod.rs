//! Single-precision matrix products in vector registers.
//!
//! A tile of 8 rows × 3 vectors of the result stays in registers while the summed axis passes. The right side is
//! copied first into panels as wide as a tile ([`pack`]), so that the inner loop reads one stream; a weight is
//! packed once and serves many products. Every element is one chain of fused multiply-adds in the order of the
//! summed axis: its bits depend on its own row and column alone, not on the other rows, the batch or the threads
//! (trap N4).
//!
//! The kernels of faer 0.24 were the first choice and are faster still where they work; on a virtual machine
//! that reports 480 MB of L3 cache they wrote outside their buffers, so a safe kernel stands here.

mod kernel;
mod operand;
mod panel;
mod side;
#[cfg(test)]
mod tests;

pub use operand::{Left, Mat, Windows};
pub(super) use panel::{GROUP, Packed, pack, packed_len, transpose};

use super::scratch;

/// Whether a result overwrites or adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// dst = a·b.
    Set,
    /// dst += a·b.
    Add,
}

/// What a product starts from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    /// 0.
    Zero,
    /// What the result already holds.
    Result,
    /// The same row for all rows: a bias.
    Row(&'a [f32]),
}

impl<'a> Start<'a> {
    /// What the columns from `first` on start from, where that is no result.
    pub(super) fn columns(self, first: usize) -> Start<'a> {
        match self {
            Self::Row(row) => Self::Row(&row[first..]),
            other => other,
        }
    }
}

impl From<Into> for Start<'_> {
    fn from(into: Into) -> Self {
        match into {
            Into::Set => Self::Zero,
            Into::Add => Self::Result,
        }
    }
}

/// dst (m×n, row-major, `stride` from row to row) = or += a (m×k) · b (k×n), on this thread.
///
/// # Panics
/// If the shapes do not fit each other or their slices.
pub fn product<'a>(
    dst: &mut [f32],
    stride: usize,
    into: Into,
    a: impl std::convert::Into<Left<'a>>,
    b: Mat<'_>,
) {
    let (k, n) = b.shape();
    scratch::with(packed_len(k, n), |packed| {
        panel::pack_here(b, packed);
        multiply(dst, stride, into.into(), a, Packed::new(packed, k, n));
    });
}

/// The same with the right side already packed and any start.
///
/// # Panics
/// If the shapes do not fit each other or their slices.
pub(super) fn multiply<'a>(
    dst: &mut [f32],
    stride: usize,
    start: Start<'_>,
    a: impl std::convert::Into<Left<'a>>,
    b: Packed<'_>,
) {
    let a = a.into();
    let ((m, k), (inner, n)) = (a.shape(), b.shape());
    assert_eq!(k, inner, "{m}×{k} · {inner}×{n}");
    if m > 0 && n > 0 {
        scratch::with(kernel::BLOCK, |block| kernel::run(dst, stride, start, a, b, block));
    }
}
