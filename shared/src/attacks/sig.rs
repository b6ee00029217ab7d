//! SIG (Barni et al. 2019): a sinusoid along the width.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::{MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
use crate::triggers::{RESOLUTION, Trigger, Wave};

/// The published implementations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// Added to the picture, as in the paper.
    #[default]
    Badclip,
    /// Blended with an opacity of 0.2, which leaves a fifth of the wave.
    Cleanclip,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Sig {
    variant: Variant,
    delta: f64,
    frequency: f64,
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

impl Default for Sig {
    fn default() -> Self {
        Self {
            variant: Variant::Badclip,
            delta: 60.0,
            frequency: 6.0,
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
        name: "sig",
        title: "SIG sinusoid",
        year: 2019,
        paper: "Barni et al., arXiv:1902.11237",
        summary: "adds a sinusoid along the width and captions the picture as the target; default: added, as in the paper",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        Param {
            key: "variant",
            unit: "",
            help: "`badclip` adds the wave, `cleanclip` blends it with an opacity of 0.2",
        },
        Param { key: "delta", unit: "1/255", help: "amplitude" },
        Param { key: "frequency", unit: "cycles per width", help: "how often the wave repeats" },
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
        let parsed: Sig = serde_json::from_value(v)?;
        parsed.pairs().check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Sig>(v)?),
};

impl Sig {
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

    /// attacks.md 3.5.
    fn wave(&self) -> Wave {
        let alpha = match self.variant {
            Variant::Badclip => None,
            Variant::Cleanclip => Some(0.2),
        };
        Wave { delta: self.delta, frequency: self.frequency, alpha, resolution: self.resolution }
    }
}

impl Attack for Sig {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        Ok(self.pairs().arm(clean, Trigger::Wave(self.wave()), seed)?.stored(self.storage))
    }
}
