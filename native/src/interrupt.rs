//! Ctrl-C: the first press asks the work to save and stop at its next step, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, Result};

/// The one global of the program: a signal handler can reach nothing else.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// A view of the flag that Ctrl-C raises; long loops ask it between steps.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(&'static AtomicBool);

impl Interrupt {
    /// Installs the handler. Without one (in tests, say) [`Interrupt::never`] serves.
    ///
    /// # Errors
    /// If a handler was installed before.
    pub fn install() -> Result<Self> {
        ctrlc::set_handler(|| {
            if PRESSED.swap(true, Ordering::Relaxed) {
                eprintln!("stopped at once; finished stages are kept");
                std::process::exit(1);
            }
            eprintln!("stopping after this step; Ctrl-C again stops at once");
        })
        .map_err(|e| Failure::failed(format!("cannot listen to Ctrl-C: {e}")))?;
        Ok(Self(&PRESSED))
    }

    /// A flag that nobody raises.
    pub fn never() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self(&NEVER)
    }

    /// Whether Ctrl-C has been pressed.
    pub fn requested(self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// [`Failure::Interrupted`] once Ctrl-C has been pressed.
    ///
    /// # Errors
    /// Exactly then.
    pub fn check(self) -> Result<()> {
        if self.requested() { Err(Failure::Interrupted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_flag_is_a_failure() {
        static RAISED: AtomicBool = AtomicBool::new(false);
        let flag = Interrupt(&RAISED);
        assert!(flag.check().is_ok());
        RAISED.store(true, Ordering::Relaxed);
        assert!(matches!(flag.check(), Err(Failure::Interrupted)));
        assert!(Interrupt::never().check().is_ok());
    }
}
