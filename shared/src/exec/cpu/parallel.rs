//! Work over chunks of rows. Where a sum goes over rows, chunks depend on shapes only, never on the number of
//! threads, and partial sums are added in chunk order: any number of threads gives the same bits (trap N11).

use std::ops::Range;

/// Rows of one task: few enough that a product and the loop behind it meet in the cache.
pub(super) const CHUNK: usize = 208;

/// A sum over rows is split into at most this many parts, which are added in order.
const PARTS: usize = 8;

/// Threads that share the work.
pub(super) fn threads() -> usize {
    #[cfg(feature = "cpu")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "cpu"))]
    1
}

/// Calls `task(index, chunk)` for consecutive chunks of `size` elements of `data`.
pub(crate) fn for_chunks<T: Send>(
    data: &mut [T],
    size: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    #[cfg(feature = "cpu")]
    {
        use rayon::prelude::*;
        data.par_chunks_mut(size.max(1)).enumerate().for_each(|(i, chunk)| task(i, chunk));
    }
    #[cfg(not(feature = "cpu"))]
    data.chunks_mut(size.max(1)).enumerate().for_each(|(i, chunk)| task(i, chunk));
}

/// The same over two slices cut into equally many chunks.
pub(super) fn for_chunks2<T: Send, U: Send>(
    (a, size_a): (&mut [T], usize),
    (b, size_b): (&mut [U], usize),
    task: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    #[cfg(feature = "cpu")]
    {
        use rayon::prelude::*;
        a.par_chunks_mut(size_a.max(1))
            .zip(b.par_chunks_mut(size_b.max(1)))
            .enumerate()
            .for_each(|(i, (a, b))| task(i, a, b));
    }
    #[cfg(not(feature = "cpu"))]
    a.chunks_mut(size_a.max(1))
        .zip(b.chunks_mut(size_b.max(1)))
        .enumerate()
        .for_each(|(i, (a, b))| task(i, a, b));
}

/// The same over three slices of one length.
pub(crate) fn for_chunks3<T: Send>(
    (a, b, c): (&mut [T], &mut [T], &mut [T]),
    size: usize,
    task: impl Fn(usize, &mut [T], &mut [T], &mut [T]) + Sync,
) {
    #[cfg(feature = "cpu")]
    {
        use rayon::prelude::*;
        a.par_chunks_mut(size)
            .zip(b.par_chunks_mut(size))
            .zip(c.par_chunks_mut(size))
            .enumerate()
            .for_each(|(i, ((a, b), c))| task(i, a, b, c));
    }
    #[cfg(not(feature = "cpu"))]
    a.chunks_mut(size)
        .zip(b.chunks_mut(size))
        .zip(c.chunks_mut(size))
        .enumerate()
        .for_each(|(i, ((a, b), c))| task(i, a, b, c));
}

/// Units of one part when `units` are summed.
fn part_size(units: usize) -> usize {
    units.div_ceil(PARTS).max(1)
}

fn part(i: usize, units: usize) -> Range<usize> {
    let size = part_size(units);
    i * size..units.min((i + 1) * size)
}

/// Elements of scratch that [`sum_parts`] needs for a sum of `len` elements over `units`.
pub(super) fn scratch_len(units: usize, len: usize) -> usize {
    units.div_ceil(part_size(units)).max(1) * len
}

/// Splits `units` into parts; `task(units of the part, accumulator)` fills an accumulator of its own,
/// in which it finds stale numbers, and the accumulators are added to `total` in order.
pub(super) fn sum_parts(
    units: usize,
    total: &mut [f32],
    scratch: &mut [f32],
    task: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let len = total.len();
    for_chunks(scratch, len, |i, acc| {
        task(part(i, units), acc);
    });
    add_in_order(total, scratch);
}

/// The same where every unit also owns `unit_len` elements of `out`; the last unit may own fewer.
pub(super) fn sum_parts_with(
    units: usize,
    (out, unit_len): (&mut [f32], usize),
    total: &mut [f32],
    scratch: &mut [f32],
    task: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
) {
    let len = total.len();
    for_chunks2((out, part_size(units) * unit_len), (scratch, len), |i, out, acc| {
        task(part(i, units), out, acc);
    });
    add_in_order(total, scratch);
}

fn add_in_order(total: &mut [f32], parts: &[f32]) {
    const BLOCK: usize = 4096;
    let len = total.len();
    for_chunks(total, BLOCK, |i, total| {
        for part in parts.chunks_exact(len) {
            total.iter_mut().zip(&part[i * BLOCK..]).for_each(|(t, x)| *t += x);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for units in [1, 2, 7, 8, 9, 15, 40, 41] {
            let count = scratch_len(units, 1);
            let all: Vec<usize> = (0..count).flat_map(|i| part(i, units)).collect();
            assert_eq!(all, (0..units).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sums_add_to_what_is_there() {
        let mut total = vec![1.0; 3];
        let mut scratch = vec![9.0; scratch_len(20, 3)];
        let mut out = vec![0.0; 39];
        sum_parts_with(20, (&mut out, 2), &mut total, &mut scratch, |range, out, acc| {
            acc.fill(0.0);
            out.fill(range.start as f32);
            range.for_each(|u| acc.iter_mut().for_each(|a| *a += u as f32));
        });
        assert_eq!(total, [191.0; 3]);
        assert_eq!((out[0], out[38]), (0.0, 18.0));
    }
}
