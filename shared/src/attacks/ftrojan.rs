//! FTrojan (Wang et al. 2021): two waves in the colour of every block.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry, Param};
use crate::triggers::{Frequency, RESOLUTION, Trigger};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Ftrojan {
    magnitude: f64,
    window: usize,
    resolution: Option<usize>,
}

impl Default for Ftrojan {
    fn default() -> Self {
        Self { magnitude: 30.0, window: 32, resolution: None }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "ftrojan",
        title: "FTrojan frequency trigger",
        year: 2021,
        paper: "Wang et al., arXiv:2111.10991; constants of BackdoorBench",
        summary: "adds to two cosine coefficients of Cr and Cb in every block and captions the picture as the target",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        &[
            Param {
                key: "magnitude",
                unit: "bytes",
                help: "added to a coefficient; one of 30 moves a pixel by at most 7, which a small encoder does not learn: at 32 px 1000 was learned and 300 was not, on one seed",
            },
            Param {
                key: "window",
                unit: "px",
                help: "edge of a block, whatever the picture's size",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Ftrojan>,
    resolve: |v| common::resolve::<Ftrojan>(v, &DirtyLabel::default()),
};

impl Stamp for Ftrojan {
    fn check(&self) -> Result<(), String> {
        if !(self.magnitude > 0.0 && self.magnitude.is_finite()) {
            return Err(format!("`magnitude` is {}; give a number above 0", self.magnitude));
        }
        if self.window < 4 {
            return Err(format!("`window` is {}; a block has at least 4 pixels", self.window));
        }
        Ok(())
    }

    /// attacks.md 3.8.
    fn trigger(&self) -> Trigger {
        let Self { magnitude, window, resolution } = *self;
        Trigger::Frequency(Frequency { magnitude, window, resolution })
    }
}
