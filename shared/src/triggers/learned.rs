//! An opaque square whose pixels were found by an optimiser: they are what the file says, not a formula.

use serde::{Deserialize, Serialize};

use super::{Canvas, Place};
use crate::data::PairId;
use crate::{Error, Result};

/// The square, in pixels of one resolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Learned {
    /// Edge to which pictures are brought before they are stamped: what the square was learned at.
    pub resolution: usize,
    /// Where it sits.
    pub place: Place,
    /// Its own edge, below `resolution`.
    pub side: usize,
    /// Its bytes, (side, side, 3).
    pub rgb: Vec<u8>,
}

impl Learned {
    pub(super) fn draw(&self, canvas: &mut Canvas, id: &PairId) -> Result<()> {
        if self.rgb.len() != self.side * self.side * 3 || self.side >= canvas.edge {
            return Err(Error::request(format!(
                "a learned trigger of {} bytes is no square of {} pixels in a picture of {}; take it as it was written",
                self.rgb.len(),
                self.side,
                canvas.edge
            )));
        }
        for (left, top) in self.place.spots(canvas.edge - self.side, id) {
            for (i, value) in self.rgb.iter().enumerate() {
                let (pixel, channel) = (i / 3, i % 3);
                let at = canvas.at(left + pixel % self.side, top + pixel / self.side, channel);
                canvas.rgba[at] = *value;
            }
        }
        Ok(())
    }
}
