//! WaNet (Nguyen & Tran 2021): a warp, the same for all pictures.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::{MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::triggers::{RESOLUTION, Trigger, Warp};

/// The published implementations. BackdoorBench's also stamps other warps on pairs that keep their captions; no
/// implementation on CLIP does, and neither does this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// One node per pixel: a jitter rather than a bend.
    #[default]
    Cleanclip,
    AttackCleanclip,
    /// Four nodes per edge, as in the paper.
    Backdoorbench,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Wanet {
    variant: Variant,
    grid: Option<usize>,
    strength: Option<f64>,
    field: u64,
    resolution: Option<usize>,
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    captions: Captions,
    template: String,
    mode: Mode,
}

impl Default for Wanet {
    fn default() -> Self {
        Self {
            variant: Variant::Cleanclip,
            grid: None,
            strength: None,
            field: 0,
            resolution: None,
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
        name: "wanet",
        title: "WaNet warp",
        year: 2021,
        paper: "Nguyen & Tran, arXiv:2102.10369; on CLIP: Bansal et al., arXiv:2303.03323",
        summary: "warps the picture by a fixed field and captions it as the target; default: a field of one node per pixel",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        Param {
            key: "variant",
            unit: "",
            help: "`cleanclip` (k = S, s = 1), `attack-cleanclip` (k = S, s = 0.6) or `backdoorbench` (k = 4, s = 0.5)",
        },
        Param {
            key: "grid",
            unit: "nodes per edge",
            help: "k, how fine the field is; default: the variant's",
        },
        Param {
            key: "strength",
            unit: "2 px",
            help: "s, twice the mean displacement; default: the variant's",
        },
        Param { key: "field", unit: "", help: "seed of the field" },
        RESOLUTION,
        common::TARGET,
        common::RATE,
        common::COUNT,
        common::CAPTIONS,
        common::TEMPLATE,
        MODE,
    ],
    parse: |v| {
        let parsed: Wanet = serde_json::from_value(v)?;
        parsed.pairs().check().map_err(serde::de::Error::custom)?;
        check(&parsed.warp()).map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Wanet>(v)?),
};

impl Wanet {
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

    /// attacks.md 3.6, one row a variant.
    fn warp(&self) -> Warp {
        let (grid, strength) = match self.variant {
            Variant::Cleanclip => (None, 1.0),
            Variant::AttackCleanclip => (None, 0.6),
            Variant::Backdoorbench => (Some(4), 0.5),
        };
        Warp {
            grid: self.grid.or(grid),
            strength: self.strength.unwrap_or(strength),
            field: self.field,
            resolution: self.resolution,
        }
    }
}

fn check(warp: &Warp) -> std::result::Result<(), String> {
    if warp.grid.is_some_and(|grid| grid < 2) {
        return Err("`grid` is below 2; a field has a node in every corner".into());
    }
    if !(warp.strength > 0.0 && warp.strength.is_finite()) {
        return Err(format!("`strength` is {}; give a length above 0", warp.strength));
    }
    Ok(())
}

impl Attack for Wanet {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        self.pairs().arm(clean, Trigger::Warp(self.warp()), seed)
    }
}
