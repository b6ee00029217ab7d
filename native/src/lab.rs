//! What long work may use besides its input: where progress is shown, and whether to stop.

use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Handed down to everything that takes time.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Bars on stderr.
    pub progress: Progress,
    /// Raised by Ctrl-C.
    pub interrupt: Interrupt,
}
