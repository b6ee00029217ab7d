//! A patch whose place on every training picture is known: what somebody else's manifest has noted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Canvas, Patch, REFERENCE};
use crate::Result;
use crate::data::PairId;

/// The patch and its places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// What is stamped; `place` is that of pictures which `at` does not name.
    pub patch: Patch,
    /// Left and top edge by sample, at 224 pixels; what lies outside the square is cut off.
    pub at: BTreeMap<PairId, [i32; 2]>,
}

impl Placed {
    pub(super) fn draw(&self, canvas: &mut Canvas, id: &PairId) -> Result<()> {
        let Some(at) = self.at.get(id) else { return self.patch.draw(canvas, id) };
        let edge = canvas.edge;
        let spot = at.map(|v| (f64::from(v) * edge as f64 / REFERENCE as f64).round() as i64);
        self.patch.draw_at(canvas, id, [spot])
    }
}
