//! Cosines of unit vectors, one row of the score matrix at a time and always in the same order of additions.

/// Scores of `query` against all rows of `gallery`, each `query.len()` wide. Compiled for several instruction sets;
/// nothing is fused, so all give the same bits.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
))]
pub(super) fn cosines(query: &[f32], gallery: &[f32]) -> Vec<f32> {
    gallery.chunks_exact(query.len()).map(|item| dot(query, item)).collect()
}

/// Sixteen partial sums: independent of batch and threads, and wide enough for the vector units.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
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

    #[test]
    fn cosines_and_means_are_what_they_say() {
        let query: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let gallery: Vec<f32> = (0..38).map(|i| (i % 3) as f32).collect();
        let slow = |row: usize| (0..19).map(|i| query[i] * gallery[row * 19 + i]).sum::<f32>();
        assert_eq!(cosines(&query, &gallery), [slow(0), slow(1)]);
        assert_eq!(unit_mean(&[3.0, 0.0, 0.0, 4.0], 2), [0.6, 0.8]);
    }
}
