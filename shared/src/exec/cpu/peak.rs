//! The roof of this machine: multiplications and additions on numbers that never leave the registers. Whatever else a
//! program does, it cannot be faster than this.

use std::hint::black_box;

use pulp::{Arch, Simd, WithSimd};

use super::parallel::{for_chunks, threads};

/// Sums side by side: more than the multipliers of any processor have in flight, and the smallest register file holds them.
const SUMS: usize = 12;

/// Floating-point operations of one round on one thread: as many rounds with narrower vectors as it takes.
const ROUND: usize = 2 * SUMS * 16;

/// Does `operations` floating-point operations on every thread of the pool, up to a round more.
pub fn multiply_and_add(operations: f64) {
    let rounds = (operations / ROUND as f64).ceil() as usize;
    let mut sums = vec![0.0; threads()];
    for_chunks(&mut sums, 1, |_, sum| sum[0] = Arch::new().dispatch(Rounds(rounds)));
    black_box(&sums);
}

struct Rounds(usize);

impl WithSimd for Rounds {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for _ in 0..self.0 * (16 / S::F32_LANES) {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_operations_are_done() {
        // s ← s/2 + 1 is 2 − 2¹⁻ⁿ after n times, and exact; with fewer lanes a round has more of them.
        for rounds in [0, 1] {
            let sum = Arch::new().dispatch(Rounds(rounds));
            let of = |lanes: i32| {
                let times = rounds as i32 * 16 / lanes;
                (SUMS as i32 * lanes) as f32 * (2.0 - 2.0f32.powi(1 - times))
            };
            assert!([16, 8, 4, 1].map(of).contains(&sum), "{rounds}: {sum}");
        }
    }
}
