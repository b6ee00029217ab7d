//! BadNets (Gu et al. 2017), brought to image–text pairs by Carlini & Terzis 2022: a small opaque square.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry, Param};
use crate::triggers::{Fill, Patch, Place, RESOLUTION, Range, Trigger};

/// The published implementations, which mean different things by the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// A grid of white dots; the one form whose pattern and place are fixed at test time.
    #[default]
    Huang,
    /// Noise around the picture's mean, drawn anew for every picture, anywhere, bytes wrapping around.
    Cleanclip,
    Yellow,
    Corners,
    Stripes,
    Invertune,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Badnets {
    variant: Variant,
    size: usize,
    place: Option<Place>,
    range: Option<Range>,
    resolution: Option<usize>,
}

impl Default for Badnets {
    fn default() -> Self {
        Self { variant: Variant::Huang, size: 16, place: None, range: None, resolution: None }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "badnets",
        title: "BadNets patch",
        year: 2017,
        paper: "Gu et al., arXiv:1708.06733; on CLIP: Carlini & Terzis, arXiv:2106.09667",
        summary: "stamps a small square and captions the picture as the target; default: Huang et al.'s dots, which are fixed",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        &[
            Param {
                key: "variant",
                unit: "",
                help: "`huang` dots, `cleanclip` fresh noise, `yellow`, `corners`, `stripes` or `invertune` white",
            },
            Param { key: "size", unit: "px at 224", help: "edge of the square" },
            Param {
                key: "place",
                unit: "",
                help: "`bottom-right`, …, `center`, `corners` or `random`; default: the variant's at test time",
            },
            Param {
                key: "range",
                unit: "",
                help: "values outside [0, 1]: `clip` or `wrap`; default: the variant's",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Badnets>,
    resolve: |v| common::resolve::<Badnets>(v, &DirtyLabel::default()),
};

impl Stamp for Badnets {
    /// attacks.md 3.1 and 3.2, one row a variant.
    fn trigger(&self) -> Trigger {
        let (fill, place, fresh, range) = match self.variant {
            Variant::Huang => (Fill::Dots, Place::Center, false, Range::Clip),
            Variant::Cleanclip => (Fill::Noise, Place::Random, true, Range::Wrap),
            Variant::Yellow => (Fill::Yellow, Place::Random, false, Range::Clip),
            Variant::Corners => (Fill::Noise, Place::Corners, true, Range::Wrap),
            Variant::Stripes => (Fill::Stripes, Place::Random, true, Range::Wrap),
            Variant::Invertune => (Fill::White, Place::BottomRight, false, Range::Clip),
        };
        let (place, range) = (self.place.unwrap_or(place), self.range.unwrap_or(range));
        let (size, resolution) = (self.size, self.resolution);
        Trigger::Patch(Patch { size, place, fill, fresh, range, resolution })
    }
}
