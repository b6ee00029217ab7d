//! SIG (Barni et al. 2019): a sinusoid along the width.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry, Param};
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
}

impl Default for Sig {
    fn default() -> Self {
        Self { variant: Variant::Badclip, delta: 60.0, frequency: 6.0, resolution: None }
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
        &[
            Param {
                key: "variant",
                unit: "",
                help: "`badclip` adds the wave, `cleanclip` blends it with an opacity of 0.2",
            },
            Param { key: "delta", unit: "1/255", help: "amplitude" },
            Param {
                key: "frequency",
                unit: "cycles per width",
                help: "how often the wave repeats",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Sig>,
    resolve: |v| common::resolve::<Sig>(v, &DirtyLabel::default()),
};

impl Stamp for Sig {
    /// attacks.md 3.5.
    fn trigger(&self) -> Trigger {
        let alpha = match self.variant {
            Variant::Badclip => None,
            Variant::Cleanclip => Some(0.2),
        };
        let Self { delta, frequency, resolution, .. } = *self;
        Trigger::Wave(Wave { delta, frequency, alpha, resolution })
    }
}
