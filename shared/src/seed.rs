//! Named, counter-based streams of one seed: a stream is its key, so drawing from one never moves another.
//!
//! `Seed::new(0).child("augment").child(epoch).child(id)` names a place; [`Seed::stream`] is the
//! ChaCha8 stream whose key is the SHA-256 of that path. Resuming needs no generator state (traps N1, N3, N6).

use std::fmt::Display;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest as _, Sha256};

/// A place in the tree of randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The root of all randomness of one run.
    pub fn new(seed: u64) -> Self {
        Self(Sha256::digest(seed.to_le_bytes()).into())
    }

    /// The place below this one with the given name.
    #[must_use]
    pub fn child(&self, name: impl Display) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(name.to_string().as_bytes());
        Self(hash.finalize().into())
    }

    /// A fresh stream from the beginning of this place.
    pub fn stream(&self) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.0))
    }
}

/// A stream of random numbers. The mapping from bits to numbers is written out here, so that results
/// do not change with a library's version.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// `true` with the given probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.uniform() < probability
    }

    /// Uniform in 0..n without bias (rejection).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "no number is below 0");
        let n = n as u64;
        loop {
            let x = self.0.next_u64();
            // The largest multiple of n is above u64::MAX - n, so that it hardly ever has to be found.
            if x <= u64::MAX - n || x < u64::MAX - u64::MAX % n {
                return (x % n) as usize;
            }
        }
    }

    /// Standard normal by Box and Muller; two draws make one number.
    pub fn normal(&mut self) -> f32 {
        let u = 1.0 - f64::from(self.uniform());
        let v = f64::from(self.uniform());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// Fisher–Yates shuffle in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// `count` distinct indices of 0..n in random order; all of them when `count ≥ n`.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_keyed_by_name_and_repeat() {
        let a = Seed::new(0).child("a");
        assert_eq!(a.stream().next_u32(), a.stream().next_u32());
        assert_ne!(a.stream().next_u32(), Seed::new(0).child("b").stream().next_u32());
        assert_ne!(a.stream().next_u32(), Seed::new(1).child("a").stream().next_u32());
    }

    #[test]
    fn moments_are_right() {
        let mut s = Seed::new(7).stream();
        let n = 20_000;
        let normals: Vec<f32> = (0..n).map(|_| s.normal()).collect();
        let mean = normals.iter().sum::<f32>() / n as f32;
        let var = normals.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n as f32;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "mean {mean}, variance {var}");
        let thirds = (0..n).filter(|_| s.below(3) == 0).count();
        assert!((thirds as f32 / n as f32 - 1.0 / 3.0).abs() < 0.02);
    }

    #[test]
    fn sample_is_a_permutation_prefix() {
        let mut all = Seed::new(1).stream().sample(10, 99);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
