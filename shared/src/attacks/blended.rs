//! Blended (Chen et al. 2017): a layer of low opacity over the whole picture.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::{MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Blended {
    variant: Variant,
    alpha: Option<f64>,
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

impl Default for Blended {
    fn default() -> Self {
        Self {
            variant: Variant::Huang,
            alpha: None,
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
        name: "blended",
        title: "Blended layer",
        year: 2017,
        paper: "Chen et al., arXiv:1712.05526",
        summary: "lays a faint layer over the picture and captions it as the target; default: one fixed layer of noise",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        Param {
            key: "variant",
            unit: "",
            help: "`huang` fixed noise, `cleanclip` fresh noise, `stripes` or `triangles` (Perturb and Recover), `cat` a fixed drawing",
        },
        Param { key: "alpha", unit: "share", help: "opacity of the layer; default: the variant's" },
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
        let parsed: Blended = serde_json::from_value(v)?;
        parsed.pairs().check().map_err(serde::de::Error::custom)?;
        check_alpha(parsed.blend().alpha).map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Blended>(v)?),
};

impl Blended {
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

    /// attacks.md 3.3 and 3.4, one row a variant.
    fn blend(&self) -> Blend {
        let (overlay, alpha, fresh) = match self.variant {
            Variant::Huang => (Overlay::Noise, 0.2, false),
            Variant::Cleanclip => (Overlay::Noise, 0.2, true),
            Variant::Stripes => (Overlay::Stripes, 0.03, true),
            Variant::Triangles => (Overlay::Triangles, 0.15, false),
            Variant::Cat => (Overlay::Cat, 0.2, false),
        };
        Blend { alpha: self.alpha.unwrap_or(alpha), overlay, fresh, resolution: self.resolution }
    }
}

impl Attack for Blended {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        Ok(self.pairs().arm(clean, Trigger::Blend(self.blend()), seed)?.stored(self.storage))
    }
}
