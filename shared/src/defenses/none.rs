//! No defense: the model as it came out of training.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::registry::{Card, Entry};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct None {}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "none",
        title: "No defense",
        year: 2026,
        paper: "the baseline of every defense",
        summary: "the model as it came out of training",
        threat_model: "nobody defends",
    },
    params: &[],
    parse: |v| serde_json::from_value::<None>(v).map(|None {}| Box::new(Defense::None)),
    resolve: |v| serde_json::to_value(serde_json::from_value::<None>(v)?),
};
