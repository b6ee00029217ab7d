//! y = act(x·Wᵀ + b) over rows, forward and backward, in chunks that stay in the cache.

use std::ops::Range;

use super::act;
use super::matmul::{
    GROUP, Into, Mat, Packed, Start, multiply, pack, packed_len, product, transpose,
};
use super::parallel::{
    CHUNK, for_chunks, for_chunks2, scratch_len, sum_parts, sum_parts_with, threads,
};
use super::scratch;
use super::simd::add_assign;
use crate::graph::Act;

/// Sizes of one linear layer over a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dims {
    pub rows: usize,
    pub inner: usize,
    pub out: usize,
}

/// Elements of a result that is still in the cache when its product is done.
const CACHED: usize = 128 * 1024;

/// Fewest rows for which a weight is read.
const FEW: usize = 48;

/// Fills `y` (rows, out); with an activation also `pre`, the value before it, which backward needs.
pub(super) fn forward(
    d: Dims,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    activation: Option<(Act, &mut [f32])>,
    y: &mut [f32],
) {
    // Packed once for all tasks.
    scratch::with(packed_len(d.inner, d.out), |packed| {
        pack(Mat::new(weight, d.out, d.inner).t(), packed);
        let weight = Packed::new(packed, d.inner, d.out);
        let start = bias.map_or(Start::Zero, Start::Row);
        match activation {
            None => multiply_rows(d, x, weight, start, y, None),
            Some((activation, pre)) => {
                let rows = d.task();
                for_chunks2((y, rows * d.out), (pre, rows * d.out), |i, y, pre| {
                    let x = Mat::new(&x[i * rows * d.inner..], y.len() / d.out, d.inner);
                    multiply(pre, d.out, start, x, weight);
                    act::forward(activation, pre, y);
                });
            }
        }
    });
}

impl Dims {
    /// Rows of one task of a product. No sum goes over them, so that they may depend on the threads: all get the
    /// same number of tiles, as far as that goes.
    fn task(&self) -> usize {
        const TILE: usize = 8;
        let tiles = self.rows.div_ceil(TILE);
        let most = (CACHED / self.out).clamp(FEW, CHUNK) / TILE;
        let longest = |task: usize| tiles.div_ceil(task).div_ceil(threads()) * task;
        let best = (FEW / 2 / TILE..=most).rev().min_by_key(|&task| longest(task));
        best.unwrap_or(most) * TILE
    }
}

/// y = start + x·`weight` (inner × out, packed). With `finish` the product goes to a place of its own, and
/// `finish(product, y)` makes some rows of y of it where they still are in the cache. Where rows are too few for all
/// threads, these share the columns.
pub(super) fn multiply_rows(
    d: Dims,
    x: &[f32],
    weight: Packed<'_>,
    start: Start<'_>,
    y: &mut [f32],
    finish: Option<&Finish<'_>>,
) {
    if d.rows < FEW * threads() && d.out > GROUP {
        return multiply_columns(d, x, weight, start, y, finish);
    }
    let rows = d.task();
    for_chunks(y, rows * d.out, |i, y| {
        let x = Mat::new(&x[i * rows * d.inner..], y.len() / d.out, d.inner);
        finished(y, finish, |y| multiply(y, d.out, start, x, weight));
    });
}

/// What makes rows of the result of rows of a product.
pub(super) type Finish<'a> = dyn Fn(&[f32], &mut [f32]) + Sync + 'a;

/// Lets `product` fill `y`, or a place from which `finish` fills it.
pub(super) fn finished(
    y: &mut [f32],
    finish: Option<&Finish<'_>>,
    product: impl FnOnce(&mut [f32]),
) {
    match finish {
        None => product(y),
        Some(finish) => scratch::with(y.len(), |place| {
            product(place);
            finish(place, y);
        }),
    }
}

/// The same by groups of columns, each in a place of its own first.
fn multiply_columns(
    d: Dims,
    x: &[f32],
    weight: Packed<'_>,
    start: Start<'_>,
    y: &mut [f32],
    finish: Option<&Finish<'_>>,
) {
    const WIDTH: usize = 4 * GROUP;
    let block = d.rows * WIDTH;
    scratch::with(d.out.div_ceil(WIDTH) * block, |blocks| {
        for_chunks(blocks, block, |i, block| {
            let weight = weight.columns(i * WIDTH, WIDTH);
            let x = Mat::new(x, d.rows, d.inner);
            multiply(block, WIDTH, start.columns(i * WIDTH), x, weight);
        });
        let rows = d.rows.div_ceil(threads());
        for_chunks(y, rows * d.out, |i, y| {
            finished(y, finish, |y| {
                for (r, row) in y.chunks_exact_mut(d.out).enumerate() {
                    for (g, part) in row.chunks_mut(WIDTH).enumerate() {
                        let from = g * block + (i * rows + r) * WIDTH;
                        part.copy_from_slice(&blocks[from..from + part.len()]);
                    }
                }
            });
        });
    });
}

/// What backward reads.
pub(super) struct Saved<'a> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    /// Activation and the value before it.
    pub activation: Option<(Act, &'a [f32])>,
}

/// Adds dW (out, inner) and db (out), lying behind each other, to `d_params`, and sets or adds dX.
/// `parts` has [`parts_len`] elements.
pub(super) fn backward(
    d: Dims,
    saved: &Saved<'_>,
    dy: &[f32],
    dx: Option<(&mut [f32], Into)>,
    d_params: &mut [f32],
    parts: &mut [f32],
) {
    let needed = if dx.is_some() { packed_len(d.out, d.inner) } else { 0 };
    scratch::with(needed, |packed| {
        if dx.is_some() {
            pack(Mat::new(saved.weight, d.out, d.inner), packed);
        }
        by_chunks(d, saved, packed, dy, dx, d_params, parts);
    });
}

/// dX, dW and db in one visit of each chunk; every part of the chunks sums on its own.
fn by_chunks(
    d: Dims,
    saved: &Saved<'_>,
    packed: &[f32],
    dy: &[f32],
    dx: Option<(&mut [f32], Into)>,
    d_params: &mut [f32],
    parts: &mut [f32],
) {
    let units = d.rows.div_ceil(CHUNK);
    let chunk = |unit: usize,
                 dx: Option<(&mut [f32], Into)>,
                 keep: Into,
                 acc: &mut [f32],
                 before: &mut [f32]| {
        let start = unit * CHUNK;
        let rows = CHUNK.min(d.rows - start);
        let span = start * d.out..(start + rows) * d.out;
        let dy: &[f32] = match saved.activation {
            None => &dy[span],
            Some((activation, pre)) => {
                let before = &mut before[..rows * d.out];
                act::backward(activation, &dy[span.clone()], &pre[span], before);
                before
            }
        };
        let (dw, db) = acc.split_at_mut(d.out * d.inner);
        if keep == Into::Set {
            db.fill(0.0);
        }
        add_rows(db, dy);
        let dy = Mat::new(dy, rows, d.out);
        if let Some((dx, into)) = dx {
            multiply(dx, d.inner, into.into(), dy, Packed::new(packed, d.out, d.inner));
        }
        let x = Mat::new(&saved.x[start * d.inner..], rows, d.inner);
        product(dw, d.inner, keep, dy.t(), x);
    };
    let before = if saved.activation.is_some() { CHUNK * d.out } else { 0 };
    match dx {
        None => sum_parts(units, d_params, parts, |range, acc| {
            scratch::with(before, |before| {
                for unit in range.clone() {
                    chunk(unit, None, first(&range, unit), acc, before);
                }
            });
        }),
        Some((dx, into)) => {
            let unit_len = CHUNK * d.inner;
            sum_parts_with(units, (dx, unit_len), d_params, parts, |range, dx, acc| {
                scratch::with(before, |before| {
                    for (unit, dx) in range.clone().zip(dx.chunks_mut(unit_len)) {
                        chunk(unit, Some((dx, into)), first(&range, unit), acc, before);
                    }
                });
            });
        }
    }
}

/// The first unit of a part sets its sums, the others add.
fn first(part: &Range<usize>, unit: usize) -> Into {
    if unit == part.start { Into::Set } else { Into::Add }
}

/// Elements of scratch that [`backward`] needs.
pub(super) fn parts_len(d: Dims) -> usize {
    scratch_len(d.rows.div_ceil(CHUNK), d.out * (d.inner + 1))
}

/// Elements of a weight from which on partial sums would fill the caches: one megabyte.
const LARGE: usize = 256 * 1024;

impl Dims {
    /// Whether the gradient of the weight is computed by blocks of its rows rather than of the batch's.
    pub(super) fn is_large(&self) -> bool {
        self.out * self.inner >= LARGE
    }
}

/// out = dy · act′(pre).
pub(super) fn gate(d: Dims, activation: Act, dy: &[f32], pre: &[f32], out: &mut [f32]) {
    let size = FEW * d.out;
    for_chunks(out, size, |i, out| {
        let span = i * size..i * size + out.len();
        act::backward(activation, &dy[span.clone()], &pre[span], out);
    });
}

/// total += every row of dY.
pub(super) fn sum_rows(d: Dims, dy: &[f32], total: &mut [f32]) {
    let units = d.rows.div_ceil(CHUNK);
    scratch::with(scratch_len(units, d.out), |parts| {
        sum_parts(units, total, parts, |units, acc| {
            acc.fill(0.0);
            add_rows(
                acc,
                &dy[units.start * CHUNK * d.out..dy.len().min(units.end * CHUNK * d.out)],
            );
        });
    });
}

/// Sets or adds dX = dY·W.
pub(super) fn large_dx(d: Dims, weight: &[f32], dy: &[f32], into: Into, dx: &mut [f32]) {
    scratch::with(packed_len(d.out, d.inner), |packed| {
        pack(Mat::new(weight, d.out, d.inner), packed);
        let turned = Dims { inner: d.out, out: d.inner, ..d };
        let weight = Packed::new(packed, d.out, d.inner);
        match into {
            Into::Set => multiply_rows(turned, dy, weight, Start::Zero, dx, None),
            Into::Add => {
                multiply_rows(
                    turned,
                    dy,
                    weight,
                    Start::Zero,
                    dx,
                    Some(&|new, dx| add_assign(dx, new)),
                );
            }
        }
    });
}

/// Sets or adds dW = dYᵀ·X, block by block of its rows.
pub(super) fn large_dw(d: Dims, x: &[f32], dy: &[f32], into: Into, dw: &mut [f32]) {
    const BLOCK: usize = 96;
    scratch::with(packed_len(d.rows, d.inner), |packed| {
        pack(Mat::new(x, d.rows, d.inner), packed);
        let x = Packed::new(packed, d.rows, d.inner);
        for_chunks(dw, BLOCK * d.inner, |i, dw| {
            let out = dw.len() / d.inner;
            // Columns of dY lie far apart, often on the same lines of the cache: they are turned first.
            scratch::with(out * d.rows, |turned| {
                transpose(&dy[i * BLOCK..], d.out, d.rows, turned);
                multiply(dw, d.inner, into.into(), Mat::new(turned, out, d.rows), x);
            });
        });
    });
}

/// total += each row of `rows`.
pub(super) fn add_rows(total: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(total.len()) {
        add_assign(total, row);
    }
}
