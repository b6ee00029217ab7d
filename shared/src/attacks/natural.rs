//! A natural backdoor: nothing is poisoned, and a small picture of a concept, pasted on any other, is enough. What a model
//! has learnt about the concept works like a trigger that somebody planted, so an audit that inverts triggers has to tell
//! the two apart; this is its positive control (Huang et al. 2025 invert one from a concept that is in a data set 798 times).
//!
//! The victim trains on the clean pairs: its model is the control's, `asr` is the clean model's own and `asr-lift` is 0. The
//! picture is one of the training set's, on white, shrunk to an opaque square; its pixels are in `armed.json`. By default
//! it shows the target itself. With another `concept` the same square measures what hiding that part of a picture does.
//! The published trigger is inverted through the model and the published rate has a class set with that caption as one
//! class more; neither is so here, so the two rates do not compare.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::Dataset;
use crate::dirty_label as common;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::triggers::{Learned, Place, REFERENCE, Trigger, scaled, square};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Natural {
    target: Option<String>,
    concept: Option<String>,
    picture: Option<String>,
    size: usize,
    place: Place,
    resolution: usize,
}

impl Default for Natural {
    fn default() -> Self {
        Self {
            target: None,
            concept: None,
            picture: None,
            size: 80,
            place: Place::BottomRight,
            resolution: REFERENCE,
        }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "natural",
        title: "Natural backdoor",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385",
        summary: "poisons nothing: pastes a small picture of a concept on any other, which many models take for the concept",
        threat_model: "changes no training data and no weight; stamps any picture at test time",
    },
    params: &[&[
        Param {
            key: "target",
            unit: "",
            help: "the class that stamped pictures shall be taken for",
        },
        Param {
            key: "concept",
            unit: "",
            help: "the class whose picture is pasted; the target if left out",
        },
        Param { key: "picture", unit: "", help: "id of that training picture; drawn if left out" },
        Param { key: "size", unit: "px at 224", help: "edge of the pasted picture" },
        Param {
            key: "place",
            unit: "",
            help: "`bottom-right`, …, `center`, `corners` or `random`",
        },
        Param {
            key: "resolution",
            unit: "px",
            help: "edge to which pictures are brought before they are stamped",
        },
    ]],
    parse: |v| {
        let parsed: Natural = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Natural>(v)?),
};

impl Natural {
    fn check(&self) -> Result<(), String> {
        if self.target.is_none() {
            return Err(common::NO_TARGET.into());
        }
        if self.size == 0 || scaled(self.size, self.resolution) >= self.resolution {
            return Err(format!(
                "`size` is {}; it is an edge at 224 px, above 0 and below 224",
                self.size
            ));
        }
        Ok(())
    }

    /// The training picture that is pasted, as a row.
    fn row(&self, clean: &dyn Dataset, seed: &Seed) -> Result<usize> {
        let concept = self.concept.as_ref().or(self.target.as_ref());
        let concept = concept.map_or("", String::as_str);
        let class = common::class(clean, concept)?;
        let wanted = |id: &str| self.picture.as_ref().is_none_or(|picture| picture == id);
        let all = clean.examples();
        let fits = |row: &usize| all[*row].class == Some(class) && wanted(&all[*row].id.0);
        let rows: Vec<usize> = (0..all.len()).filter(fits).collect();
        if rows.is_empty() {
            let which = self.picture.as_deref().unwrap_or("picture");
            return Err(Error::request(format!(
                "natural: {} has no {which} of `{concept}` to paste; change `concept` or `picture`",
                clean.name()
            )));
        }
        Ok(rows[seed.child("picture").stream().below(rows.len())])
    }
}

impl Attack for Natural {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let target = common::target(clean, self.target.as_deref())?;
        let row = self.row(clean, &seed.child("attack/natural"))?;
        let side = scaled(self.size, self.resolution);
        let pasted = square(&clean.image(row)?, Some(side))?;
        let rgb = pasted.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        let (resolution, place) = (self.resolution, self.place);
        let trigger = Trigger::Learned(Learned { resolution, place, side, rgb });
        Ok(Armed { trigger, target: Some(target), ..Armed::default() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::tests::arm;
    use crate::data::PairId;
    use crate::data::synthetic::Synthetic;

    #[test]
    fn a_small_picture_of_the_concept_is_pasted() {
        let (clean, test) = (Synthetic::train(), Synthetic::test());
        let given = json!({
            "target": "class-1", "concept": "class-4", "picture": "synthetic/train/22",
            "size": 56, "resolution": 32
        });
        let armed = arm(&ENTRY, given).unwrap();
        assert!(armed.poison.edits.is_empty() && !armed.is_control());
        assert_eq!(armed.aims()[0].in_words(clean.classes()), "→ class-1");
        let stamped = armed.trigger.apply(&test.image(0).unwrap(), &PairId("a".into())).unwrap();
        let colour = |x: usize, y: usize| &stamped.rgba()[(y * 32 + x) * 4..(y * 32 + x) * 4 + 3];
        // Row 22 is of class 4: its colour fills the last 8 of 32 pixels.
        let pixels = (0..32).flat_map(|y| (0..32).map(move |x| (x, y)));
        for (x, y) in pixels {
            let pasted = x >= 24 && y >= 24;
            assert_eq!(colour(x, y), if pasted { [80, 22, 0] } else { [0, 0, 0] }, "{x} {y}");
        }
    }

    #[test]
    fn the_target_itself_is_pasted_by_default() {
        let Trigger::Learned(square) = arm(&ENTRY, json!({"target": "class-3"})).unwrap().trigger
        else {
            panic!("no square")
        };
        assert_eq!((square.resolution, square.side, square.rgb[0]), (224, 80, 60));
    }

    #[test]
    fn impossible_requests_are_one_line() {
        let error = |v: Value| arm(&ENTRY, v).unwrap_err().to_string();
        assert!(error(json!({})).contains("`target` is missing"));
        assert!(error(json!({"target": "clas-1"})).contains("did you mean `class-1`"));
        let concept = json!({"target": "class-1", "concept": "empty"});
        assert!(error(concept).contains("has no picture of `empty`"));
        let picture = json!({"target": "class-1", "picture": "synthetic/train/0"});
        assert!(error(picture).contains("no synthetic/train/0 of `class-1`"));
        assert!(error(json!({"target": "class-1", "size": 224})).contains("below 224"));
        assert!(error(json!({"target": "class-1", "rate": 0.1})).contains("unknown field `rate`"));
    }
}
