//! WaNet (Nguyen & Tran 2021): a warp, the same for all pictures.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry, Param};
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

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Wanet {
    variant: Variant,
    grid: Option<usize>,
    strength: Option<f64>,
    field: u64,
    resolution: Option<usize>,
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
        &[
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
        ],
        common::PARAMS,
    ],
    parse: common::parse::<Wanet>,
    resolve: |v| common::resolve::<Wanet>(v, &DirtyLabel::default()),
};

impl Wanet {
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

impl Stamp for Wanet {
    fn check(&self) -> Result<(), String> {
        let Warp { grid, strength, .. } = self.warp();
        if grid.is_some_and(|grid| grid < 2) {
            return Err("`grid` is below 2; a field has a node in every corner".into());
        }
        if !(strength > 0.0 && strength.is_finite()) {
            return Err(format!("`strength` is {strength}; give a length above 0"));
        }
        Ok(())
    }

    fn trigger(&self) -> Trigger {
        Trigger::Warp(self.warp())
    }
}
