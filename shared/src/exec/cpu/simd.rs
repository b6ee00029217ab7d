//! Loops that the compiler turns into vector code, compiled for several instruction sets and chosen at
//! run time. Reductions use sixteen lanes whatever the machine has, so their order is fixed (trap R9).

/// Compiles the functions inside for AVX-512, AVX2 and the baseline. The body stands in a method: a closure's shim
/// would not always be inlined, and then its loops have the baseline's instructions.
#[macro_export]
macro_rules! simd {
    (@output) => { () };
    (@output $ret:ty) => { $ret };
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            $vis fn $name($($arg: $ty),*) $(-> $ret)? {
                struct Task<T>(T);
                impl $crate::pulp::WithSimd for Task<($($ty,)*)> {
                    type Output = $crate::simd!(@output $($ret)?);
                    #[inline(always)]
                    fn with_simd<S: $crate::pulp::Simd>(self, _: S) -> Self::Output {
                        let ($($arg,)*) = self.0;
                        $body
                    }
                }
                $crate::pulp::Arch::new().dispatch(Task(($($arg,)*)))
            }
        )*
    };
}
pub(crate) use simd;

/// Lanes of every reduction.
pub(crate) const LANES: usize = 16;

/// a·b + c; fused where the machine can, which is everywhere that matters except wasm.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "wasm32") { a * b + c } else { a.mul_add(b, c) }
}

/// eˣ with a relative error of 1e-7; 0 below −87, finite above 88.
///
/// n = round(x / ln 2), then a polynomial of degree 7 on the rest; n is added to the exponent bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the integer in the low bits
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = fma(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the rest is exact to the last bit.
    let rest = fma(n, -0.693_359_4, clamped);
    let rest = fma(n, 2.121_944_4e-4, rest);
    let mut p = 1.982_65e-4;
    p = fma(p, rest, 1.394_602_1e-3);
    p = fma(p, rest, 8.333_43e-3);
    p = fma(p, rest, 4.166_627e-2);
    p = fma(p, rest, 1.666_666_6e-1);
    p = fma(p, rest, 0.5);
    p = fma(p, rest, 1.0);
    p = fma(p, rest, 1.0);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { p * scale }
}

/// Sum in sixteen lanes, then pairwise.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += v;
    }
    fold(&mut lanes)
}

/// Dot product in sixteen lanes, then pairwise.
#[inline(always)]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (mut cx, mut cy) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (a, b) in (&mut cx).zip(&mut cy) {
        for i in 0..LANES {
            lanes[i] = fma(a[i], b[i], lanes[i]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(cx.remainder().iter().zip(cy.remainder())) {
        *lane = fma(*a, *b, *lane);
    }
    fold(&mut lanes)
}

/// Largest element; −∞ for none.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = if *v > *lane { *v } else { *lane };
        }
    }
    for v in chunks.remainder() {
        lanes[0] = if *v > lanes[0] { *v } else { lanes[0] };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn fold(lanes: &mut [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

simd! {
    /// dst += src.
    pub(super) fn add_assign(dst: &mut [f32], src: &[f32]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d += s;
        }
    }

    /// dst = max(a + b, 0).
    pub(super) fn add_relu(dst: &mut [f32], a: &[f32], b: &[f32]) {
        for ((d, a), b) in dst.iter_mut().zip(a).zip(b) {
            let v = *a + *b;
            *d = if v > 0.0 { v } else { 0.0 };
        }
    }

    /// dst = x where gate > 0, else 0.
    pub(super) fn pass_positive(dst: &mut [f32], x: &[f32], gate: &[f32]) {
        for ((d, x), g) in dst.iter_mut().zip(x).zip(gate) {
            *d = if *g > 0.0 { *x } else { 0.0 };
        }
    }

    /// dst = a + b.
    pub(super) fn add(dst: &mut [f32], a: &[f32], b: &[f32]) {
        for ((d, a), b) in dst.iter_mut().zip(a).zip(b) {
            *d = a + b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    simd! {
        fn exp_all(x: &[f32], out: &mut [f32]) {
            for (o, x) in out.iter_mut().zip(x) {
                *o = exp(*x);
            }
        }
    }

    #[test]
    fn exp_is_exact_to_a_few_units() {
        let x: Vec<f32> = (-8700..8800).map(|i| i as f32 * 0.01).collect();
        let mut y = vec![0.0; x.len()];
        exp_all(&x, &mut y);
        let worst = x
            .iter()
            .zip(&y)
            .map(|(x, y)| (f64::from(*y) / f64::from(*x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "relative error {worst:e}");
        exp_all(&[-1e9, f32::NEG_INFINITY, 1e9], &mut y[..3]);
        assert_eq!(&y[..2], [0.0, 0.0]);
        assert!(y[2].is_finite());
    }

    #[test]
    fn reductions_agree_with_f64() {
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.37).sin()).collect();
        let want: f64 = x.iter().map(|v| f64::from(*v)).sum();
        assert!((f64::from(sum(&x)) - want).abs() < 1e-4);
        let want: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!((f64::from(dot(&x, &x)) - want).abs() < 1e-3);
        assert_eq!(max(&x), x.iter().copied().fold(f32::MIN, f32::max));
    }
}
