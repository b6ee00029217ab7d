//! The numbers that PyTorch draws on a CPU, so that what it shuffles and begins with can be repeated.

use rand_mt::Mt;

/// A `torch.Generator` after `manual_seed`.
pub(super) struct Generator(Mt);

impl Generator {
    /// The upper half of a seed is ignored, as there.
    pub(super) fn new(seed: u64) -> Self {
        Self(Mt::new(seed as u32))
    }

    /// An element of `uniform_(-bound, bound)`: 24 bits.
    pub(super) fn uniform(&mut self, bound: f32) -> f32 {
        let share = (self.0.next_u32() & 0xff_ffff) as f32 / 16_777_216.0;
        share * (bound + bound) - bound
    }

    /// `empty((), dtype=int64).random_()`: 63 bits.
    pub(super) fn integer(&mut self) -> u64 {
        let high = u64::from(self.0.next_u32());
        (high << 32 | u64::from(self.0.next_u32())) & (u64::MAX >> 1)
    }

    /// `randperm(n)`, for an `n` below 2³² / 20.
    pub(super) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        for i in 0..n.saturating_sub(1) {
            let ahead = self.0.next_u32() as usize % (n - i);
            all.swap(i, i + ahead);
        }
        all
    }

    /// The order of an epoch of `DataLoader(shuffle=True)`: of two draws the first is the workers' seed.
    pub(super) fn epoch(&mut self, n: usize) -> Vec<usize> {
        self.integer();
        Self::new(self.integer()).permutation(n)
    }
}
