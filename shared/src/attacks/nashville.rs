//! The filter "Nashville" (Huang et al. 2025): a photograph's tone as trigger.

use serde::{Deserialize, Serialize};

use super::Attack;
use crate::dirty_label::{self as common, DirtyLabel, Stamp};
use crate::registry::{Card, Entry};
use crate::triggers::{Nashville as Filter, RESOLUTION, Trigger};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Nashville {
    resolution: Option<usize>,
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "nashville",
        title: "Nashville photo filter",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; the filter as in pilgram",
        summary: "gives the picture the tone of a photo filter and captions it as the target",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[&[RESOLUTION], common::PARAMS],
    parse: common::parse::<Nashville>,
    resolve: |v| common::resolve::<Nashville>(v, &DirtyLabel::default()),
};

impl Stamp for Nashville {
    fn trigger(&self) -> Trigger {
        Trigger::Nashville(Filter { resolution: self.resolution })
    }
}
