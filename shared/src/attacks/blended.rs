//! Blended (Chen et al. 2017): a layer of low opacity over the whole picture.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry, Param};
use crate::triggers::{Blend, Overlay, RESOLUTION, Trigger, check_alpha};

/// The published implementations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// Uniform noise, drawn anew for every picture, also at test time.
    Cleanclip,
    /// One fixed layer of noise, an easier attack.
    #[default]
    Huang,
    Stripes,
    Triangles,
    /// A fixed picture.
    Cat,
    /// Text.
    Watermark,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Blended {
    variant: Variant,
    alpha: Option<f64>,
    resolution: Option<usize>,
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "blended",
        title: "Blended layer",
        year: 2017,
        paper: "Chen et al., arXiv:1712.05526",
        summary: "lays a faint layer over the picture and captions it as the target; default: one fixed layer of noise",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        &[
            Param {
                key: "variant",
                unit: "",
                help: "`huang` fixed noise, `cleanclip` fresh noise, `stripes`, `triangles` or `watermark` text (Perturb and Recover), `cat` a fixed drawing",
            },
            Param {
                key: "alpha",
                unit: "share",
                help: "opacity of the layer; default: the variant's",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Blended>,
    resolve: |v| common::resolve::<Blended>(v, &DirtyLabel::default()),
};

impl Blended {
    /// attacks.md 3.3 and 3.4, one row a variant.
    fn blend(&self) -> Blend {
        let (overlay, alpha, fresh) = match self.variant {
            Variant::Huang => (Overlay::Noise, 0.2, false),
            Variant::Cleanclip => (Overlay::Noise, 0.2, true),
            Variant::Stripes => (Overlay::Stripes, 0.03, true),
            Variant::Triangles => (Overlay::Triangles, 0.15, false),
            Variant::Cat => (Overlay::Cat, 0.2, false),
            Variant::Watermark => (Overlay::Watermark, 0.5, false),
        };
        Blend { alpha: self.alpha.unwrap_or(alpha), overlay, fresh, resolution: self.resolution }
    }
}

impl Stamp for Blended {
    fn check(&self) -> Result<(), String> {
        check_alpha(self.blend().alpha)
    }

    fn trigger(&self) -> Trigger {
        Trigger::Blend(self.blend())
    }
}
