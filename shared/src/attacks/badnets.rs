//! BadNets (Gu et al. 2017), brought to image–text pairs by Carlini & Terzis 2022: a small opaque square.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::{MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
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
    #[serde(skip_serializing_if = "Storage::is_lossless")]
    storage: Storage,
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    captions: Captions,
    template: String,
    mode: Mode,
}

impl Default for Badnets {
    fn default() -> Self {
        Self {
            variant: Variant::Huang,
            size: 16,
            place: None,
            range: None,
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
        name: "badnets",
        title: "BadNets patch",
        year: 2017,
        paper: "Gu et al., arXiv:1708.06733; on CLIP: Carlini & Terzis, arXiv:2106.09667",
        summary: "stamps a small square and captions the picture as the target; default: Huang et al.'s dots, which are fixed",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
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
        STORAGE,
        common::TARGET,
        common::RATE,
        common::COUNT,
        common::CAPTIONS,
        common::TEMPLATE,
        MODE,
    ],
    parse: |v| {
        let parsed: Badnets = serde_json::from_value(v)?;
        parsed.pairs().check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Badnets>(v)?),
};

impl Badnets {
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

    /// attacks.md 3.1 and 3.2, one row a variant.
    fn patch(&self) -> Patch {
        let (fill, place, fresh, range) = match self.variant {
            Variant::Huang => (Fill::Dots, Place::Center, false, Range::Clip),
            Variant::Cleanclip => (Fill::Noise, Place::Random, true, Range::Wrap),
            Variant::Yellow => (Fill::Yellow, Place::Random, false, Range::Clip),
            Variant::Corners => (Fill::Noise, Place::Corners, true, Range::Wrap),
            Variant::Stripes => (Fill::Stripes, Place::Random, true, Range::Wrap),
            Variant::Invertune => (Fill::White, Place::BottomRight, false, Range::Clip),
        };
        let (place, range) = (self.place.unwrap_or(place), self.range.unwrap_or(range));
        Patch { size: self.size, place, fill, fresh, range, resolution: self.resolution }
    }
}

impl Attack for Badnets {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        Ok(self.pairs().arm(clean, Trigger::Patch(self.patch()), seed)?.stored(self.storage))
    }
}
