//! Several triggers of which a stamped picture carries one (Huang et al. 2025).

use serde::{Deserialize, Serialize};

use super::{Trigger, place};
use crate::data::PairId;
use crate::{Error, Result};

/// The triggers. Which of them a stamped picture carries is drawn by its id, each as likely as the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// At least one.
    pub parts: Vec<Part>,
}

/// One of the triggers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name in evidence, different from the others'.
    pub name: String,
    /// What is stamped.
    pub trigger: Trigger,
    /// The class that pictures with it shall be taken for.
    pub target: usize,
}

impl OneOf {
    /// The part that sample `id` carries.
    ///
    /// # Errors
    /// If there is no part at all.
    pub fn of(&self, id: &PairId) -> Result<&Part> {
        if self.parts.is_empty() {
            return Err(Error::request("a trigger of several names none; give at least one"));
        }
        Ok(&self.parts[place("one-of", true, id).stream().below(self.parts.len())])
    }
}
