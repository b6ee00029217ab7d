//! How much a mask's size counts: more after a run of successes, less after a run of failures.

/// A weight that follows success.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// The weight now.
    pub weight: f32,
    /// Factor after a run of successes.
    pub up: f32,
    /// Divisor after a run of failures.
    pub down: f32,
    /// Steps that make a run.
    pub run: usize,
    /// At or above this weight nothing is multiplied.
    pub ceiling: f32,
    /// Below this weight nothing is divided.
    pub floor: f32,
    successes: usize,
    failures: usize,
}

impl Balance {
    /// Starts at `weight`, counting from 0.
    pub fn new(weight: f32, [up, down]: [f32; 2], run: usize, [floor, ceiling]: [f32; 2]) -> Self {
        Self { weight, up, down, run, ceiling, floor, successes: 0, failures: 0 }
    }

    /// Counts a step; a run that is full changes the weight and begins again.
    pub fn note(&mut self, success: bool) {
        if success {
            (self.successes, self.failures) = (self.successes + 1, 0);
        } else {
            (self.successes, self.failures) = (0, self.failures + 1);
        }
        if self.successes >= self.run {
            self.successes = 0;
            if self.weight < self.ceiling {
                self.weight *= self.up;
            }
        } else if self.failures >= self.run {
            self.failures = 0;
            if self.weight >= self.floor {
                self.weight /= self.down;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_change_the_weight_and_begin_again() {
        let mut balance = Balance::new(1.0, [5.0, 2.0], 3, [0.5, 100.0]);
        let mut after = |successes: &[bool]| {
            successes.iter().for_each(|s| balance.note(*s));
            balance.weight
        };
        assert_eq!(after(&[true, true, false, true, true]), 1.0, "no run is full");
        assert_eq!(after(&[true]), 5.0);
        assert_eq!(after(&[true; 3]), 25.0);
        assert_eq!(after(&[true; 9]), 125.0, "the ceiling ends it");
        assert_eq!(after(&[false; 6]), 31.25);
        assert_eq!(after(&[false; 60]), 125.0 / 256.0, "the floor ends it");
    }
}
