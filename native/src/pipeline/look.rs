//! What a defender makes of a finished model that stays as it is: an audit, a probe or a screen, each a cached stage.

use toxiclip_shared::defenses::Defense;

use super::origin::Origin;
use super::stages::Stages;
use super::{Plan, audit, probe, screen};
use crate::benchmark::Cell;
use crate::failure::Result;

/// What came of it.
pub(super) enum Looked {
    /// The cell's defense acts at another moment, or never.
    Nothing,
    Audited(audit::Record),
    Probed(probe::Fitted),
    Screened(screen::Scored),
}

impl Looked {
    /// Wall seconds when it ran.
    pub(super) fn seconds(&self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Audited(record) => record.seconds,
            Self::Probed(fitted) => fitted.seconds,
            Self::Screened(scored) => scored.seconds,
        }
    }
}

/// Found in the cache, or looked at now.
///
/// # Errors
/// Those of the defense and of the cache.
pub(super) fn run(plan: &Plan<'_>, cell: &Cell, model: &Origin, stages: &Stages) -> Result<Looked> {
    Ok(match &plan.defenses[cell.defense] {
        Defense::Audit(audit) => Looked::Audited(audit::run(&**audit, plan, cell, model, stages)?),
        Defense::Probe(probe) => Looked::Probed(probe::run(&**probe, plan, cell, model, stages)?),
        Defense::Screen(screen) => {
            Looked::Screened(screen::run(&**screen, plan, cell, model, stages)?)
        }
        Defense::None
        | Defense::Filter(_)
        | Defense::Rule(_)
        | Defense::InParts(_)
        | Defense::Unlearning(_)
        | Defense::Repair(_) => Looked::Nothing,
    })
}

/// The stage of a cell's look, if it has one, and its version.
pub(super) fn version(plan: &Plan<'_>, cell: &Cell) -> Option<(&'static str, u32)> {
    match &plan.defenses[cell.defense] {
        Defense::Audit(_) => Some(("audit", audit::VERSION)),
        Defense::Probe(_) => Some(("probe", probe::VERSION)),
        Defense::Screen(_) => Some(("screen", screen::VERSION)),
        Defense::None
        | Defense::Filter(_)
        | Defense::Rule(_)
        | Defense::InParts(_)
        | Defense::Unlearning(_)
        | Defense::Repair(_) => None,
    }
}
