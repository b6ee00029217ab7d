//! Which norms stand out on the small side.

/// Makes the median absolute deviation of normal values their standard deviation: 1 / Φ⁻¹(3/4).
const CONSISTENT: f64 = 1.482_602_218_505_602;

/// (median − norm) / (1.4826 · MAD) of every norm: large where it is unusually small (Wang et al. 2019). All 0 where more
/// than half of the norms are equal.
pub fn anomaly_indices(norms: &[f64]) -> Vec<f64> {
    let centre = median(norms.to_vec());
    let spread = CONSISTENT * median(norms.iter().map(|n| (n - centre).abs()).collect());
    let index = |norm: &f64| if spread > 0.0 { (centre - norm) / spread } else { 0.0 };
    norms.iter().map(index).collect()
}

/// The middle value, or the mean of both middle ones; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}
