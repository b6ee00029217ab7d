//! What long work may use besides its input: where progress is shown, and whether to stop.

use toxiclip_shared::{Error, Result as Shared};

use crate::executor::Executor;
use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Handed down to everything that takes time.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Bars on stderr.
    pub progress: Progress,
    /// Raised by Ctrl-C.
    pub interrupt: Interrupt,
    /// Who walks the towers of trainings, and of models that are opened for this work.
    pub executor: Executor,
    /// Bytes of decoded pictures that a training may keep; no bit depends on it.
    pub picture_memory: u64,
}

impl Lab {
    /// Does work that tells which share of it is done, with a bar; Ctrl-C ends it at the next word.
    ///
    /// # Errors
    /// Those of the work; that it was stopped.
    pub fn watched<T>(
        &self,
        title: String,
        work: impl FnOnce(&dyn Fn(f64) -> Shared<()>) -> Shared<T>,
    ) -> Result<T> {
        const PARTS: u64 = 1000;
        let bar = self.progress.stage(title, PARTS, "parts");
        let tick = |done: f64| {
            bar.resume_at((done * PARTS as f64) as u64);
            match self.interrupt.requested() {
                true => Err(Error::request("stopped")),
                false => Ok(()),
            }
        };
        let done = work(&tick);
        // Who stopped is not who failed.
        self.interrupt.check()?;
        let done = done?;
        bar.finish();
        Ok(done)
    }
}
