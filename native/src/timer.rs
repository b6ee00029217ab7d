//! Wall time, the one quantity that may differ between two runs of the same command.

use std::time::Instant;

/// A started clock.
#[derive(Clone, Copy, Debug)]
pub struct Timer(Instant);

impl Timer {
    /// Starts now.
    #[allow(clippy::disallowed_methods, reason = "time is what is measured")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
