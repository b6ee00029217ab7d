//! Where stages run.

use crate::cli::Context;
use crate::failure::Result;
use crate::lab::Lab;
use crate::prepared::Prepared;
use crate::store::Store;

/// Where stages run: their cache, and the lab of the work inside them.
pub struct Stages {
    /// Finished stages.
    pub store: Store,
    /// Bars, and the flag of Ctrl-C.
    pub lab: Lab,
    /// Test pictures and texts, ready for any model.
    pub prepared: Prepared,
}

impl Stages {
    /// Those of a command: its cache, its terminal, Ctrl-C taken over.
    ///
    /// # Errors
    /// If the cache folder cannot be made.
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Self { store: context.store()?, lab: context.lab()?, prepared: Prepared::default() })
    }
}
