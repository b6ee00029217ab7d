//! The comparer of numeric tests: largest difference over largest magnitude, a cap on every tolerance, a table.

/// No test may allow more than this, relative to the largest magnitude (trap T3).
const CAP: f64 = 1e-3;

/// One compared tensor.
#[derive(Debug)]
pub(crate) struct Deviation {
    name: String,
    relative: f64,
    tolerance: f64,
}

impl Deviation {
    /// max |ours − reference| / max(|reference|, `floor`): the floor is for what is zero in exact
    /// arithmetic, such as the gradient of the keys' bias, and has no scale of its own.
    pub(crate) fn of(
        name: &str,
        ours: &[f32],
        reference: &[f32],
        floor: f64,
        tolerance: f64,
    ) -> Self {
        assert!(tolerance <= CAP, "{name}: tolerance {tolerance} is above the cap {CAP}");
        assert_eq!(ours.len(), reference.len(), "{name}: lengths differ");
        assert!(!ours.is_empty(), "{name}: nothing to compare");
        let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
        let worst = ours.iter().zip(reference).map(difference).fold(0.0, nan_max);
        Self { name: name.to_owned(), relative: worst / magnitude(reference).max(floor), tolerance }
    }

    /// Whether it is allowed; never for NaN.
    pub(crate) fn within(&self) -> bool {
        self.relative <= self.tolerance
    }
}

/// A thousandth of the largest magnitude among `all`.
pub(crate) fn floor<'a>(all: impl Iterator<Item = &'a [f32]>) -> f64 {
    all.map(magnitude).fold(0.0, nan_max) * 1e-3
}

fn magnitude(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(x.abs())).fold(0.0, nan_max)
}

/// The larger one; NaN if either is.
fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Prints the worst of `all` and fails with every one that is too large.
pub(crate) fn check(title: &str, all: &[Deviation]) {
    let Some(worst) = all.iter().max_by(|a, b| a.relative.total_cmp(&b.relative)) else {
        panic!("{title}: nothing was compared");
    };
    println!("{title:36} {:4} tensors, worst {:8.1e} {}", all.len(), worst.relative, worst.name);
    let wrong: Vec<&Deviation> = all.iter().filter(|d| !d.within()).collect();
    assert!(wrong.is_empty(), "{title}: {wrong:#?}");
}
