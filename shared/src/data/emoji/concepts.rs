//! Concepts, classes, sheet index and splits: the committed JSON files and their types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// One thing that every art set draws: an emoji of a concrete group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// Code points in lower-case hexadecimal, joined by `-`, without the variation selector.
    pub code: String,
    /// Second part of a sample id: `couch-and-lamp`.
    pub id: String,
    /// Emojibase's English label with plain apostrophes, or the name the curation gives it.
    pub name: String,
    /// Emojibase group: `animals-nature`.
    pub group: String,
    /// Emojibase subgroup: `animal-mammal`.
    pub subgroup: String,
    /// Emojibase tags; where these are fewer than six, keywords of emojilib after them.
    pub keywords: Vec<String>,
    /// Id of the concept whose class it belongs to (its own for most); `None` where the curation drops it.
    pub class: Option<String>,
}

/// `concepts.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concepts {
    /// Subgroup → the words that captions use for it (`transport-air` → `air transport`).
    pub subgroups: BTreeMap<String, String>,
    /// In emojibase's order.
    pub concepts: Vec<Concept>,
}

/// One 64 px picture of a sheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Id of the concept that it shows.
    pub concept: String,
    /// Digest of its 64·64·4 bytes of RGBA.
    pub sha256: Digest,
}

/// `sheets.json`: set → its cells, row by row from the top left of the sheet.
pub type Sheets = BTreeMap<String, Vec<Cell>>;

/// `splits.json`: the sample ids held out; all other drawings of the training families train.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// A second held-out drawing for some classes: hyper-parameters are chosen on these.
    pub val: Vec<String>,
    /// One held-out drawing per class.
    pub test: Vec<String>,
}

/// One class with everything its captions are composed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Id of the concept that gives the class its name.
    pub id: String,
    /// The name that prompts and goals use.
    pub name: String,
    /// Emojibase subgroup.
    pub subgroup: String,
    /// The words for the subgroup.
    pub kind: String,
    /// Tags of all its concepts, without repetition.
    pub keywords: Vec<String>,
}

impl Concepts {
    /// The classes in the order of their first concept.
    pub fn classes(&self) -> Vec<Described> {
        let of = |id: &str| {
            let mut keywords: Vec<String> = Vec::new();
            for concept in self.concepts.iter().filter(|c| c.class.as_deref() == Some(id)) {
                for word in &concept.keywords {
                    if !keywords.contains(word) {
                        keywords.push(word.clone());
                    }
                }
            }
            keywords
        };
        self.concepts
            .iter()
            .filter(|c| c.class.as_deref() == Some(c.id.as_str()))
            .map(|c| Described {
                id: c.id.clone(),
                name: c.name.clone(),
                subgroup: c.subgroup.clone(),
                kind: self.subgroups.get(&c.subgroup).unwrap_or(&c.subgroup).clone(),
                keywords: of(&c.id),
            })
            .collect()
    }
}
