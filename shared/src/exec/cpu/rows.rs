//! Operations that move, add or average rows of each example.

use super::parallel::{CHUNK, for_chunks};
use super::simd::{add, add_assign, add_relu, pass_positive};

/// Elements of one task in purely element-wise work.
const BLOCK: usize = 32 * 1024;

/// y = a + b, ReLU behind it if asked.
pub(super) fn sum(a: &[f32], b: &[f32], relu: bool, y: &mut [f32]) {
    for_chunks(y, BLOCK, |i, y| {
        let span = i * BLOCK..i * BLOCK + y.len();
        if relu {
            add_relu(y, &a[span.clone()], &b[span]);
        } else {
            add(y, &a[span.clone()], &b[span]);
        }
    });
}

/// dst += src.
pub(super) fn accumulate(dst: &mut [f32], src: &[f32]) {
    for_chunks(dst, BLOCK, |i, dst| add_assign(dst, &src[i * BLOCK..i * BLOCK + dst.len()]));
}

/// out = dy where y > 0, else 0.
pub(super) fn gate(dy: &[f32], y: &[f32], out: &mut [f32]) {
    for_chunks(out, BLOCK, |i, out| {
        let span = i * BLOCK..i * BLOCK + out.len();
        pass_positive(out, &dy[span.clone()], &y[span]);
    });
}

/// total += every example of `len` elements, in their order.
pub(super) fn add_examples(x: &[f32], len: usize, total: &mut [f32]) {
    const PIECE: usize = 2048;
    for_chunks(total, PIECE, |i, total| {
        for example in x.chunks_exact(len) {
            add_assign(total, &example[i * PIECE..][..total.len()]);
        }
    });
}

/// y = x + param for every example of `len` elements.
pub(super) fn add_param(x: &[f32], param: &[f32], len: usize, y: &mut [f32]) {
    for_chunks(y, len, |b, y| add(y, &x[b * len..(b + 1) * len], &param[..len]));
}

/// Token ids to rows of the table.
pub(super) fn embed(table: &[f32], width: usize, ids: &[u32], y: &mut [f32]) {
    for_chunks(y, CHUNK * width, |i, y| {
        for (row, &id) in y.chunks_exact_mut(width).zip(&ids[i * CHUNK..]) {
            row.copy_from_slice(&table[id as usize * width..(id as usize + 1) * width]);
        }
    });
}

/// Adds each row of `dy` to the row of its token; one thread, in order, touching only rows of the batch.
pub(super) fn embed_backward(dy: &[f32], width: usize, ids: &[u32], d_table: &mut [f32]) {
    for (row, &id) in dy.chunks_exact(width).zip(ids) {
        add_assign(&mut d_table[id as usize * width..(id as usize + 1) * width], row);
    }
}

/// Puts a row in front of each example's `rows` rows: `first` writes it.
pub(super) fn prepend(
    x: &[f32],
    rows: usize,
    width: usize,
    y: &mut [f32],
    first: impl Fn(&[f32], &mut [f32]) + Sync,
) {
    let len = rows * width;
    for_chunks(y, len + width, |b, y| {
        let x = &x[b * len..(b + 1) * len];
        let (row, rest) = y.split_at_mut(width);
        rest.copy_from_slice(x);
        first(x, row);
    });
}

/// Puts the rows `last` behind each example's `len` elements.
pub(super) fn append(x: &[f32], len: usize, last: &[f32], y: &mut [f32]) {
    for_chunks(y, len + last.len(), |b, y| {
        let (own, rest) = y.split_at_mut(len);
        own.copy_from_slice(&x[b * len..(b + 1) * len]);
        rest.copy_from_slice(last);
    });
}

/// The first elements of each example's `len`, as many as there is place for in `y` for each of `size` examples.
pub(super) fn head(x: &[f32], len: usize, size: usize, y: &mut [f32]) {
    let kept = y.len() / size.max(1);
    for_chunks(y, kept, |b, y| y.copy_from_slice(&x[b * len..b * len + kept]));
}

/// Mean over rows, in row order.
pub(super) fn mean_row(x: &[f32], row: &mut [f32]) {
    row.fill(0.0);
    for r in x.chunks_exact(row.len()) {
        add_assign(row, r);
    }
    let n = (x.len() / row.len()) as f32;
    row.iter_mut().for_each(|v| *v /= n);
}

/// Mean over size×size windows of (height, width, channels) pictures.
pub(super) fn avg_pool(
    x: &[f32],
    [height, width, channels]: [usize; 3],
    size: usize,
    y: &mut [f32],
) {
    let (out_h, out_w) = (height / size, width / size);
    let inverse = 1.0 / (size * size) as f32;
    for_chunks(y, out_h * out_w * channels, |b, y| {
        let x = &x[b * height * width * channels..];
        for (p, y) in y.chunks_exact_mut(channels).enumerate() {
            let (oy, ox) = (p / out_w, p % out_w);
            y.fill(0.0);
            for dy in 0..size {
                for dx in 0..size {
                    let at = ((oy * size + dy) * width + ox * size + dx) * channels;
                    add_assign(y, &x[at..at + channels]);
                }
            }
            y.iter_mut().for_each(|v| *v *= inverse);
        }
    });
}

/// Spreads each gradient over its window: sets or adds.
pub(super) fn avg_pool_backward(
    dy: &[f32],
    [height, width, channels]: [usize; 3],
    size: usize,
    add: bool,
    dx: &mut [f32],
) {
    let (out_h, out_w) = (height / size, width / size);
    let inverse = 1.0 / (size * size) as f32;
    for_chunks(dx, height * width * channels, |b, dx| {
        let dy = &dy[b * out_h * out_w * channels..];
        for (p, dx) in dx.chunks_exact_mut(channels).enumerate() {
            let at = ((p / width / size) * out_w + p % width / size) * channels;
            for (d, g) in dx.iter_mut().zip(&dy[at..at + channels]) {
                *d = if add { *d + g * inverse } else { g * inverse };
            }
        }
    });
}
