//! What long work may use besides its input: the stage cache, bars, and the flag of Ctrl-C.

use crate::cli::Context;
use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::store::Store;

/// The surroundings of training and evaluation. Nothing in here changes a result.
#[derive(Debug)]
pub struct Lab {
    /// Finished stages.
    pub store: Store,
    /// Bars and log lines on stderr.
    pub progress: Progress,
    /// Asked between steps.
    pub interrupt: Interrupt,
}

impl Lab {
    /// The lab of a command: its cache, its terminal, Ctrl-C taken over.
    ///
    /// # Errors
    /// If the cache folder cannot be made.
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Self {
            store: context.store()?,
            progress: context.progress.clone(),
            interrupt: context.interrupt()?,
        })
    }
}
