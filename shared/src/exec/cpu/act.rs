//! Activations over slices: the value, and the derivative at the pre-activation.

use super::simd::{exp, fma, simd};
use crate::graph::Act;

/// out = act(pre).
pub(super) fn forward(act: Act, pre: &[f32], out: &mut [f32]) {
    match act {
        Act::Relu => relu(pre, out),
        Act::Gelu => gelu(pre, out),
        Act::QuickGelu => quick_gelu(pre, out),
    }
}

/// out = dy · act′(pre).
pub(super) fn backward(act: Act, dy: &[f32], pre: &[f32], out: &mut [f32]) {
    match act {
        Act::Relu => relu_backward(dy, pre, out),
        Act::Gelu => gelu_backward(dy, pre, out),
        Act::QuickGelu => quick_gelu_backward(dy, pre, out),
    }
}

/// Φ(x) and e^(−x²/2). The tail 1 − Φ is a polynomial in 1/(1 + 0.3275911·z) times e^(−z²), z = |x|/√2, the
/// form of Abramowitz and Stegun 7.1.26 fitted anew to degree 9: absolute error 1e-7 in f32.
#[inline(always)]
fn normal_cdf(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = exp(-z * z);
    let t = 1.0 / fma(0.327_591_1, z, 1.0);
    let mut p = 0.064_503_14;
    p = fma(p, t, -0.502_634_64);
    p = fma(p, t, 1.369_951_4);
    p = fma(p, t, -1.592_92);
    p = fma(p, t, 1.445_905_4);
    p = fma(p, t, -0.497_374_96);
    p = fma(p, t, 0.375_179_37);
    p = fma(p, t, 0.149_927_7);
    p = fma(p, t, 0.187_462_6);
    let tail = 0.5 * p * t * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

const QUICK: f32 = 1.702;
const INV_SQRT_2PI: f32 = 0.398_942_3;

simd! {
    fn relu(pre: &[f32], out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(pre) {
            *o = if *x > 0.0 { *x } else { 0.0 };
        }
    }

    fn relu_backward(dy: &[f32], pre: &[f32], out: &mut [f32]) {
        for ((o, d), x) in out.iter_mut().zip(dy).zip(pre) {
            *o = if *x > 0.0 { *d } else { 0.0 };
        }
    }

    fn gelu(pre: &[f32], out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(pre) {
            *o = *x * normal_cdf(*x).0;
        }
    }

    fn gelu_backward(dy: &[f32], pre: &[f32], out: &mut [f32]) {
        for ((o, d), x) in out.iter_mut().zip(dy).zip(pre) {
            let (cdf, bell) = normal_cdf(*x);
            *o = *d * fma(*x * INV_SQRT_2PI, bell, cdf);
        }
    }

    fn quick_gelu(pre: &[f32], out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(pre) {
            *o = *x * sigmoid(QUICK * *x);
        }
    }

    fn quick_gelu_backward(dy: &[f32], pre: &[f32], out: &mut [f32]) {
        for ((o, d), x) in out.iter_mut().zip(dy).zip(pre) {
            let s = sigmoid(QUICK * *x);
            *o = *d * s * fma(QUICK * *x, 1.0 - s, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_match_finite_differences() {
        let x: Vec<f32> = (-60..60).map(|i| i as f32 * 0.1 + 0.03).collect();
        for act in [Act::Relu, Act::Gelu, Act::QuickGelu] {
            let value = |shift: f32| {
                let moved: Vec<f32> = x.iter().map(|v| v + shift).collect();
                let mut out = vec![0.0; x.len()];
                forward(act, &moved, &mut out);
                out
            };
            let (up, down) = (value(1e-2), value(-1e-2));
            let mut grad = vec![0.0; x.len()];
            backward(act, &vec![1.0; x.len()], &x, &mut grad);
            for i in 0..x.len() {
                let want = (up[i] - down[i]) / 2e-2;
                assert!(
                    (grad[i] - want).abs() < 2e-4,
                    "{act:?} at {}: {} or {want}",
                    x[i],
                    grad[i]
                );
            }
        }
        let mut at_zero = [9.0];
        backward(Act::Relu, &[1.0], &[0.0], &mut at_zero);
        assert_eq!(at_zero, [0.0], "PyTorch's convention");
    }

    #[test]
    fn gelu_is_the_exact_form() {
        // x·Φ(x) from tables of the normal distribution.
        let want = [(1.0, 0.841_344_7), (-1.0, -0.158_655_25), (2.5, 2.484_475_8), (0.0, 0.0)];
        for (x, y) in want {
            let mut out = [0.0];
            forward(Act::Gelu, &[x], &mut out);
            assert!((out[0] - y).abs() < 3e-7, "gelu({x}) = {}", out[0]);
        }
    }
}
