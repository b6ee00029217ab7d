//! The control: clean data, no goal. It is scored against the goals of the other attacks.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::registry::{Card, Entry};
use crate::seed::Seed;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct None {}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "none",
        title: "No attack",
        year: 2026,
        paper: "the control of every benchmark",
        summary: "the same training on clean data, scored against the goals of the other attacks",
        threat_model: "nobody attacks",
    },
    params: &[],
    parse: |v| Ok(Box::new(serde_json::from_value::<None>(v)?)),
    resolve: |v| serde_json::to_value(serde_json::from_value::<None>(v)?),
};

impl Attack for None {
    fn prepare(&self, _: &dyn Dataset, _: &dyn Dataset, _: &Seed) -> Result<Armed> {
        Ok(Armed::default())
    }
}
