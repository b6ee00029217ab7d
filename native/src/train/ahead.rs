//! The next batch is prepared while this one is trained on: neither waits for the other's last thread.

use super::batches::Batches;
use super::step::Batch;
use crate::failure::Result;
use crate::timer::Timer;

/// Batches step by step, one ahead of training.
pub struct Ahead<'a> {
    source: Batches<'a>,
    /// 0-based step of `now`.
    step: u64,
    /// The first step that there is no batch for.
    end: u64,
    now: Batch,
    next: Batch,
}

impl<'a> Ahead<'a> {
    /// The batches of steps `from` to `end`, the last excluded; prepares the first.
    ///
    /// # Errors
    /// If a picture of it cannot be read.
    pub fn new(mut source: Batches<'a>, from: u64, end: u64) -> Result<Self> {
        let mut now = Batch::default();
        if from < end {
            source.fill(from, &mut now)?;
        }
        Ok(Self { source, step: from, end, now, next: Batch::default() })
    }

    /// Hands out the batch whose turn it is, and prepares the next meanwhile. Returns what `train` returned and for how
    /// many seconds it was done and the next batch was not.
    ///
    /// # Errors
    /// If a picture of the next batch cannot be read; what was trained is then as after `train`.
    pub fn step<R: Send>(&mut self, train: impl FnOnce(&Batch) -> R + Send) -> Result<(R, f64)> {
        let Self { source, step, end, now, next } = self;
        *step += 1;
        let ((result, since), filled) = rayon::join(
            || (train(now), Timer::start()),
            || if *step < *end { source.fill(*step, next) } else { Ok(()) },
        );
        let waited = since.seconds();
        filled?;
        std::mem::swap(now, next);
        Ok((result, waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::data::emoji;
    use toxiclip_shared::recipe::TrainConfig;
    use toxiclip_shared::seed::Seed;

    #[test]
    fn batches_come_in_their_order_from_any_step_on() {
        let train = emoji::open("emoji").unwrap().train.unwrap();
        let tokenizer = emoji::tokenizer().unwrap();
        let config = TrainConfig { batch: 8, ..TrainConfig::default() };
        let open = || Batches::new(&*train, 16, &tokenizer, &config, &Seed::new(2)).unwrap();
        let (mut source, mut want) = (open(), Batch::default());
        // The last step of the first epoch is among them.
        let last = (train.examples().len() / config.batch) as u64;
        let mut ahead = Ahead::new(open(), last - 2, last + 2).unwrap();
        for step in last - 2..last + 2 {
            source.fill(step, &mut want).unwrap();
            let (same, waited) = ahead.step(|batch| *batch == want).unwrap();
            assert!(same, "step {step}");
            assert!(waited >= 0.0);
        }
    }
}
