//! Numbers as people read them: fractions with two decimals in tables, per cent in sentences.

use super::aggregate::Estimate;

/// `0.93 [0.88, 0.96]`.
pub fn estimate(e: &Estimate) -> String {
    format!("{:.2} {}", e.value, interval(e))
}

/// `[0.88, 0.96]`, with the decimals of [`estimate`].
pub fn interval(e: &Estimate) -> String {
    format!("[{:.2}, {:.2}]", e.interval.lo, e.interval.hi)
}

/// `1.8 [1.2, 2.6] of 549`: a mean rank means nothing without the size of the gallery.
pub fn rank(e: &Estimate) -> String {
    format!("{:.1} {}", e.value, rank_interval(e))
}

/// `[1.2, 2.6] of 549`.
pub fn rank_interval(e: &Estimate) -> String {
    let of = e.gallery.map(|n| format!(" of {}", thousands(n.into()))).unwrap_or_default();
    format!("[{:.1}, {:.1}]{of}", e.interval.lo, e.interval.hi)
}

/// `93 %`, which does not break over lines; one decimal below ten per cent.
pub fn percent(share: f64) -> String {
    let p = 100.0 * share;
    if p > 0.0 && p < 9.95 { format!("{p:.1}\u{a0}%") } else { format!("{p:.0}\u{a0}%") }
}

/// `2,012`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12 s`, `3 min 20 s`, `1 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// `0, 1, 2`.
pub fn seeds(seeds: &[u64]) -> String {
    seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [thousands(7), thousands(2012), thousands(1_234_567)],
            ["7", "2,012", "1,234,567"]
        );
        assert_eq!(
            [percent(0.0), percent(0.013), percent(0.934), percent(1.0)],
            ["0\u{a0}%", "1.3\u{a0}%", "93\u{a0}%", "100\u{a0}%"]
        );
        assert_eq!(
            [duration(1.26), duration(200.4), duration(3900.0)],
            ["1.3 s", "3 min 20 s", "1 h 05 min"]
        );
    }
}
