//! The search that audits share: the smallest mask whose trigger does what is asked for.

use crate::inversion::{Balance, Passes, Sight, Stamp};
use crate::seed::Seed;
use crate::{Error, Result};

/// How a trigger is searched for.
pub(crate) struct Search<'a> {
    /// Who searches, for errors.
    pub name: &'static str,
    /// Clean pictures (N, S, S, 3) in [0, 1].
    pub pictures: &'a [f32],
    pub batch: usize,
    /// Steps at most.
    pub steps: usize,
    /// Learning rate of a 0-based step.
    pub lr: &'a dyn Fn(usize) -> f32,
    /// Adam's decay rates.
    pub betas: (f32, f32),
    /// What the sum of the mask counts at the encoder's size, in units of the balance's weight.
    pub per_pixel: f32,
    /// Steps without a smaller mask after which the search may end …
    pub patience: usize,
    /// … if the answers of all steps so far, and the number of steps in a pass, allow it.
    pub settled: &'a dyn Fn(&[f32], usize) -> bool,
}

/// What a step came to.
pub(crate) struct Answer {
    /// What is compared with the demand.
    pub value: f32,
    pub success: bool,
}

impl Search<'_> {
    /// The smallest successful stamp with the share of the picture that its mask covers; `None` if no step succeeds.
    /// `loss` gives an answer and the loss's gradient for embeddings (B, D); `tick` is called before every step.
    ///
    /// # Errors
    /// Those of `tick`, or an answer that is not finite.
    pub(crate) fn smallest(
        &self,
        sight: &mut Sight<'_>,
        mut balance: Balance,
        seed: &Seed,
        tick: &dyn Fn(usize) -> Result<()>,
        loss: impl Fn(&[f32]) -> (Answer, Vec<f32>),
    ) -> Result<Option<(f64, Stamp)>> {
        let edge = sight.edge();
        let mut stamp = Stamp::random(edge, seed)?;
        let mut passes = Passes::new(self.pictures, edge, self.batch, seed);
        let mut answers = Vec::with_capacity(self.steps);
        let (mut best, mut stale) = (None::<(f64, Stamp)>, 0);
        for step in 0..self.steps {
            tick(step)?;
            let pictures = passes.batch();
            let (answer, d) = sight.gradient(&stamp.apply(&pictures), &loss);
            if !answer.value.is_finite() {
                return Err(Error::NotFinite { what: format!("{}'s answer", self.name), step });
            }
            answers.push(answer.value);
            let share = stamp.share();
            if answer.success && best.as_ref().is_none_or(|(smallest, _)| share < *smallest) {
                (best, stale) = (Some((share, stamp.clone())), 0);
            } else if best.is_some() {
                stale += 1;
            }
            if stale >= self.patience && (self.settled)(&answers, passes.len()) {
                break;
            }
            let gradient = stamp.gradient(&pictures, &d, balance.weight * self.per_pixel);
            stamp.step((self.lr)(step), self.betas, &gradient)?;
            balance.note(answer.success);
        }
        Ok(best)
    }
}
