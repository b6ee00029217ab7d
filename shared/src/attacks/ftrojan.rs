//! FTrojan (Wang et al. 2021): two waves in the colour of every block.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::{MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
use crate::triggers::{Frequency, RESOLUTION, Trigger};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Ftrojan {
    magnitude: f64,
    window: usize,
    resolution: Option<usize>,
    #[serde(skip_serializing_if = "Storage::is_lossless")]
    storage: Storage,
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    captions: Captions,
    template: String,
    mode: Mode,
}

impl Default for Ftrojan {
    fn default() -> Self {
        Self {
            magnitude: 30.0,
            window: 32,
            resolution: None,
            storage: Storage::Lossless,
            target: None,
            rate: common::DEFAULT_RATE,
            count: None,
            captions: Captions::Template,
            template: "a photo of a {}.".into(),
            mode: Mode::Replace,
        }
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
        Param {
            key: "magnitude",
            unit: "bytes",
            help: "added to a coefficient; one of 30 moves a pixel by at most 7, which a small encoder does not learn: at 32 px 1000 was learned and 300 was not, on one seed",
        },
        Param { key: "window", unit: "px", help: "edge of a block, whatever the picture's size" },
        RESOLUTION,
        STORAGE,
        common::TARGET,
        common::RATE,
        common::COUNT,
        common::CAPTIONS,
        common::TEMPLATE,
        MODE,
    ],
    parse: |v| {
        let parsed: Ftrojan = serde_json::from_value(v)?;
        parsed.pairs().check().map_err(serde::de::Error::custom)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Ftrojan>(v)?),
};

impl Ftrojan {
    fn pairs(&self) -> DirtyLabel<'_> {
        DirtyLabel {
            target: self.target.as_deref(),
            rate: self.rate,
            count: self.count,
            captions: self.captions,
            template: &self.template,
            mode: self.mode,
        }
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !(self.magnitude > 0.0 && self.magnitude.is_finite()) {
            return Err(format!("`magnitude` is {}; give a number above 0", self.magnitude));
        }
        if self.window < 4 {
            return Err(format!("`window` is {}; a block has at least 4 pixels", self.window));
        }
        Ok(())
    }

    /// attacks.md 3.8.
    fn frequency(&self) -> Frequency {
        Frequency { magnitude: self.magnitude, window: self.window, resolution: self.resolution }
    }
}

impl Attack for Ftrojan {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        Ok(self
            .pairs()
            .arm(clean, Trigger::Frequency(self.frequency()), seed)?
            .stored(self.storage))
    }
}
