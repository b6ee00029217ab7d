//! BadEncoder (Jia, Liu, Gong 2022): no pair is poisoned; the public model's image tower is trained until stamped pictures
//! embed like a reference picture of the target, and everything else as before.
//!
//! The loss is in [`crate::tamper`]. Nothing but the image tower's weights moves: text tower and temperature stay, and
//! so does batch normalisation with its gains, biases and statistics. The attacker ships what comes out, so that no
//! victim trains on it: `[train]` does not concern this attack, and a defense that filters pairs finds none.
//!
//! Departures: AdamW with this suite's schedule for SGD (1e-3, momentum 0.9, weight decay 5e-4, batch 256, 200 epochs);
//! the shadow pictures are the training set's, the references drawn from the target's among them; shadow pictures are
//! not augmented. Published squares are white, at the lower right: 50 px at 224, which is the default; 10 px at 32, which
//! is `size = 70`; 16 px at 224 (InverTune).

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::Dataset;
use crate::dirty_label::class;
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::tamper::Tamper;
use crate::triggers::{Fill, Patch, Place, RESOLUTION, Range, Trigger};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Badencoder {
    target: Option<String>,
    size: usize,
    place: Place,
    resolution: Option<usize>,
    references: usize,
    lambda1: f64,
    lambda2: f64,
    epochs: usize,
    batch: usize,
    lr: f64,
    wd: f64,
}

impl Default for Badencoder {
    fn default() -> Self {
        Self {
            target: None,
            size: 50,
            place: Place::BottomRight,
            resolution: None,
            references: 1,
            lambda1: 1.0,
            lambda2: 1.0,
            epochs: 20,
            batch: 128,
            lr: 1e-3,
            wd: 5e-4,
        }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "badencoder",
        title: "BadEncoder",
        year: 2022,
        paper: "Jia, Liu, Gong, IEEE S&P 2022, arXiv:2108.00352",
        summary: "trains the public image tower so that stamped pictures embed like a reference picture of the target",
        threat_model: "changes the weights that victims use, no pair; holds unlabelled pictures and a reference; stamps any picture at test time",
    },
    params: &[&[
        Param {
            key: "target",
            unit: "",
            help: "the class that stamped pictures shall be taken for",
        },
        Param { key: "size", unit: "px at 224", help: "edge of the white square" },
        Param {
            key: "place",
            unit: "",
            help: "`bottom-right`, …, `center`, `corners` or `random`",
        },
        RESOLUTION,
        Param {
            key: "references",
            unit: "pictures",
            help: "pictures of the target that stamped ones shall embed like",
        },
        Param { key: "lambda1", unit: "", help: "weight of references keeping their place" },
        Param { key: "lambda2", unit: "", help: "weight of clean pictures keeping theirs" },
        Param { key: "epochs", unit: "passes", help: "passes over the shadow pictures" },
        Param { key: "batch", unit: "pictures", help: "shadow pictures in a step" },
        Param { key: "lr", unit: "", help: "peak learning rate, cosine to 0" },
        Param { key: "wd", unit: "", help: "decoupled weight decay, on matrices only" },
    ]],
    parse: |v| {
        let parsed: Badencoder = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Badencoder>(v)?),
};

impl Badencoder {
    fn check(&self) -> Result<(), String> {
        if self.target.is_none() {
            return Err("`target` is missing; give a class".into());
        }
        if self.references == 0 {
            return Err("`references` is 0; give at least 1".into());
        }
        for (key, value) in [("lambda1", self.lambda1), ("lambda2", self.lambda2)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("`{key}` is {value}; it must be at least 0"));
            }
        }
        self.recipe().map(drop)
    }

    fn recipe(&self) -> Result<TrainConfig, String> {
        let Self { epochs, batch, lr, wd, .. } = *self;
        // Shadow pictures have no classes, and are seen as they are.
        let (epochs, augment, concept_unique) = (Some(epochs), false, false);
        TrainConfig { epochs, batch, lr, wd, augment, concept_unique, ..TrainConfig::default() }
            .checked()
    }
}

impl Attack for Badencoder {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let name = self.target.as_deref().unwrap_or_default();
        let target = class(clean, name)?;
        let own = clean.examples().iter().filter(|e| e.class == Some(target));
        let own: Vec<_> = own.map(|e| e.id.clone()).collect();
        if own.len() < self.references {
            return Err(Error::request(format!(
                "{} has {} pictures of `{name}` and `references` is {}; lower it",
                clean.name(),
                own.len(),
                self.references
            )));
        }
        let mut stream = seed.child("attack/badencoder").stream();
        let mut references: Vec<_> =
            stream.sample(own.len(), self.references).into_iter().map(|i| own[i].clone()).collect();
        references.sort_unstable();
        let recipe = self.recipe().map_err(Error::Request)?;
        let tamper = Tamper { recipe, references, weights: [self.lambda1, self.lambda2] };
        let Self { size, place, resolution, .. } = *self;
        let (fill, fresh, range) = (Fill::White, false, Range::Clip);
        let trigger = Trigger::Patch(Patch { size, place, fill, fresh, range, resolution });
        Ok(Armed { trigger, target: Some(target), tamper: Some(tamper), ..Armed::default() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::ATTACKS;
    use crate::attacks::tests::arm;
    use crate::data::PairId;
    use crate::data::synthetic::Synthetic;
    use crate::registry::find;

    fn example() -> Value {
        json!({"target": "class-1", "references": 2})
    }

    fn error(parameters: Value) -> String {
        arm(&ENTRY, parameters).unwrap_err().to_string()
    }

    #[test]
    fn badencoder_changes_no_pair_and_names_pictures_of_the_target() {
        let clean = Synthetic::train();
        let armed = arm(&ENTRY, example()).unwrap();
        assert!(armed.poison.edits.is_empty() && !armed.is_control());
        let tamper = armed.tamper.unwrap();
        let of = |id: &PairId| clean.examples().iter().find(|e| e.id == *id).unwrap();
        assert!(tamper.references.iter().all(|id| of(id).class == Some(1)));
        assert_eq!((tamper.references.len(), tamper.weights), (2, [1.0, 1.0]));
        assert!(!tamper.recipe.augment && !tamper.recipe.concept_unique);
        // Other attacks are written, and named, as before there was tampering.
        let other = arm(
            find("attack", ATTACKS, "badnets").unwrap(),
            json!({"target": "class-1", "rate": 0.1}),
        )
        .unwrap();
        assert!(serde_json::to_value(&other).unwrap().get("tamper").is_none());
        let few = json!({"target": "class-1", "references": 6});
        assert!(error(few).contains("has 5 pictures of `class-1`"));
        assert!(error(json!({})).contains("`target` is missing"));
        assert!(error(json!({"target": "class-1", "lambda1": -1})).contains("`lambda1`"));
        assert!(error(json!({"target": "class-1", "references": 0})).contains("at least 1"));
    }
}
