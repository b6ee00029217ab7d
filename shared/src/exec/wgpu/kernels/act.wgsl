// Activations by number, as `code` in kernels/mod.rs gives them: 0 none, 1 ReLU, 2 GELU, 3 QuickGELU.

// Abramowitz and Stegun 7.1.26: a polynomial in 1/(1 + p·|x|) times exp(-x²), within 1.5e-7 of the error function.
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - p * exp(-x * x));
}

fn activate(code: u32, x: f32) -> f32 {
    switch code {
        case 1u: { return max(x, 0.0); }
        case 2u: { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
        // An exponential that overflows may be anything in WGSL, so its argument is bounded.
        case 3u: { return x / (1.0 + exp(min(-1.702 * x, 80.0))); }
        default: { return x; }
    }
}
