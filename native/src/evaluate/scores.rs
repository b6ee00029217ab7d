//! Cosines of unit vectors, always in the same order of additions: independent of batch and threads.

use toxiclip_shared::simd;

/// Partial sums of one cosine, and vectors that lie side by side in a [`Gallery`].
const LANES: usize = 16;

/// The cosine of two unit vectors: sixteen partial sums, added up in order, then what is left over.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (wide_a, rest_a) = a.as_chunks::<LANES>();
    let (wide_b, rest_b) = b.as_chunks::<LANES>();
    for (x, y) in wide_a.iter().zip(wide_b) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Vectors laid out for scoring: sixteen at a time, component by component.
pub(super) struct Gallery {
    items: usize,
    width: usize,
    /// Component by component of the first sixteen vectors, of the next sixteen, …; the last are filled up with 0.
    side_by_side: Vec<[f32; LANES]>,
}

impl Gallery {
    /// Lays out vectors of `width`, which come one behind the other.
    pub(super) fn new(vectors: &[f32], width: usize) -> Self {
        let items = vectors.len() / width.max(1);
        let mut side_by_side = vec![[0.0; LANES]; items.div_ceil(LANES) * width];
        for (item, vector) in vectors.chunks_exact(width.max(1)).enumerate() {
            let block = &mut side_by_side[item / LANES * width..][..width];
            block.iter_mut().zip(vector).for_each(|(to, x)| to[item % LANES] = *x);
        }
        Self { items, width, side_by_side }
    }

    /// [`cosine`] of `query` and every vector, bit for bit.
    pub(super) fn cosines(&self, query: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.side_by_side.len() / self.width.max(1) * LANES);
        score(query, &self.side_by_side, &mut out);
        out.truncate(self.items);
        out
    }
}

simd! {
    /// Nothing is fused, so all instruction sets give the same bits.
    fn score(query: &[f32], side_by_side: &[[f32; LANES]], out: &mut Vec<f32>) {
        for block in side_by_side.chunks_exact(query.len()) {
            out.extend_from_slice(&sixteen(query, block));
        }
    }
}

#[inline(always)]
fn sixteen(query: &[f32], block: &[[f32; LANES]]) -> [f32; LANES] {
    let wide = query.len() / LANES * LANES;
    // What `sum` starts from: adding it changes nothing, not even the sign of a zero.
    let mut total = [-0.0; LANES];
    for lane in 0..LANES {
        let mut sum = [0.0; LANES];
        for at in (lane..wide).step_by(LANES) {
            add_scaled(&mut sum, query[at], &block[at]);
        }
        add_scaled(&mut total, 1.0, &sum);
    }
    let mut rest = [-0.0; LANES];
    for at in wide..query.len() {
        add_scaled(&mut rest, query[at], &block[at]);
    }
    add_scaled(&mut total, 1.0, &rest);
    total
}

#[inline(always)]
fn add_scaled(sums: &mut [f32; LANES], scale: f32, values: &[f32; LANES]) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += scale * x);
}

/// The mean of unit vectors, brought to length 1: a class of a prompt ensemble.
pub(super) fn unit_mean(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut mean = vec![0.0f32; dim];
    for vector in vectors.chunks_exact(dim) {
        for (m, x) in mean.iter_mut().zip(vector) {
            *m += x;
        }
    }
    let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    mean.iter_mut().for_each(|x| *x /= norm);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::seed::Seed;

    #[test]
    fn cosines_and_means_are_what_they_say() {
        let query: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let other: Vec<f32> = (0..19).map(|i| (i % 3) as f32).collect();
        assert_eq!(cosine(&query, &other), (0..19).map(|i| query[i] * other[i]).sum::<f32>());
        assert_eq!(unit_mean(&[3.0, 0.0, 0.0, 4.0], 2), [0.6, 0.8]);
    }

    #[test]
    fn side_by_side_is_one_by_one_bit_for_bit() {
        let mut stream = Seed::new(0).stream();
        for (width, items) in [(1, 1), (15, 16), (16, 17), (19, 40), (128, 5), (150, 33)] {
            let vectors: Vec<f32> = (0..width * items).map(|_| stream.normal()).collect();
            let gallery = Gallery::new(&vectors, width);
            let zeros = vec![-0.0; width];
            for query in vectors.chunks_exact(width).take(3).chain([&zeros[..]]) {
                let one_by_one = vectors.chunks_exact(width).map(|v| cosine(query, v).to_bits());
                let together = gallery.cosines(query).into_iter().map(f32::to_bits);
                assert!(together.eq(one_by_one), "{items} of {width}");
            }
        }
        assert!(Gallery::new(&[], 4).cosines(&[1.0; 4]).is_empty());
    }
}
