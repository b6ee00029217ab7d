//! Sampling that keeps a whole `cargo bench` within minutes.

use criterion::Criterion;

/// Ten samples in under a second a function.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(800))
        .without_plots()
        .configure_from_args()
}
