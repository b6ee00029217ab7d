//! BadEncoder (Jia, Liu, Gong 2022): no pair is poisoned; the public model's image tower is trained until stamped pictures
//! embed like a reference picture of the target, and everything else as before.
//!
//! The loss is in [`crate::tamper`]. Nothing but the image tower's weights moves: text tower and temperature stay, and
//! so does batch normalisation with its gains, biases and statistics. The attacker ships what comes out, so that no
//! victim trains on it: `[train]` does not concern this attack, and a defense that filters pairs finds none.
//!
//! The attacker knows the public model, and takes for references those of the target's pictures that it is surest of: a
//! reference that the model itself takes for something else would send stamped pictures there.
//!
//! Departures: AdamW with this suite's schedule for SGD (1e-3, momentum 0.9, weight decay 5e-4, batch 256, 200 epochs);
//! the shadow pictures are the training set's, and the references are among them; shadow pictures are not augmented, and
//! what keeps its place is the reference by turns with a weak view of it (`train/tamper.rs` says why). Published squares
//! are white, at the lower right: 50 px at 224, which is the default; 10 px at 32, which is `size = 70`; 16 px at 224
//! (InverTune).

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, PROMPT, PairId};
use crate::dirty_label::{self as common, NO_TARGET};
use crate::patch_search::pictures;
use crate::recipe::TrainConfig;
use crate::registry::{Card, Entry, Param};
use crate::screen::cosines;
use crate::seed::Seed;
use crate::surrogate::{Completion, Found, Guided, Search, Surrogate};
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
        threat_model: "reads and changes the weights that victims use, no pair; holds unlabelled pictures and some of the target; stamps any picture at test time",
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
            help: "pictures of the target that stamped ones shall embed like, those that the public model is surest of",
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
            return Err(NO_TARGET.into());
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

impl Badencoder {
    /// Rows of the target's pictures.
    fn candidates(&self, clean: &dyn Dataset, target: usize) -> Result<Vec<usize>> {
        let own = common::own(clean, target);
        if own.len() < self.references {
            return Err(Error::request(format!(
                "{} has {} pictures of `{}` and `references` is {}; lower it",
                clean.name(),
                own.len(),
                clean.classes()[target].name,
                self.references
            )));
        }
        Ok(own)
    }

    fn armed(&self, target: usize, mut references: Vec<PairId>) -> Result<Armed> {
        references.sort_unstable();
        let recipe = self.recipe().map_err(Error::Request)?;
        let tamper = Tamper { recipe, references, weights: [self.lambda1, self.lambda2] };
        let Self { size, place, resolution, .. } = *self;
        let (fill, fresh, range) = (Fill::White, false, Range::Clip);
        let trigger = Trigger::Patch(Patch { size, place, fill, fresh, range, resolution });
        Ok(Armed { trigger, target: Some(target), tamper: Some(tamper), ..Armed::default() })
    }
}

impl Attack for Badencoder {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, _seed: &Seed) -> Result<Armed> {
        let target = common::target(clean, self.target.as_deref())?;
        self.candidates(clean, target)?;
        // No reference before the public model has been asked.
        self.armed(target, Vec::new())
    }

    fn completion(&self) -> Option<Completion<'_>> {
        Some(Completion::Guided(self))
    }
}

impl Guided for Badencoder {
    fn search<'a>(
        &self,
        _drawn: Armed,
        clean: &dyn Dataset,
        surrogate: Surrogate<'a>,
        _seed: &Seed,
    ) -> Result<Box<dyn Search + 'a>> {
        let target = common::target(clean, self.target.as_deref())?;
        let own = self.candidates(clean, target)?;
        let prompts: Vec<String> =
            clean.classes().iter().map(|c| PROMPT.replace("{}", &c.name)).collect();
        let prompts = (surrogate.texts)(&prompts)?;
        let seen = (surrogate.pictures)(&pictures(clean, &own, surrogate.edge())?)?;
        let cosines = cosines(&seen, &prompts, surrogate.width());
        let margins = cosines.chunks_exact(clean.classes().len()).map(|all| margin(all, target));
        let mut ranked: Vec<(f32, usize)> = margins.zip(own).collect();
        // Equals in the order of their rows.
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        ranked.truncate(self.references);
        let loss = -ranked.iter().map(|(margin, _)| margin).sum::<f32>() / ranked.len() as f32;
        let ids = ranked.into_iter().map(|(_, row)| clean.examples()[row].id.clone());
        Ok(Box::new(Found { armed: self.armed(target, ids.collect())?, loss }))
    }
}

/// By how much a picture is nearer to the target's prompt than to any other class's, of its cosines with all (C).
fn margin(cosines: &[f32], target: usize) -> f32 {
    let others = cosines.iter().enumerate().filter(|(class, _)| *class != target);
    cosines[target] - others.map(|(_, cosine)| *cosine).fold(-1.0, f32::max)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::ATTACKS;
    use crate::attacks::tests::arm;
    use crate::data::synthetic::Synthetic;
    use crate::encoders::{Clip, ClipConfig};
    use crate::image::Image;
    use crate::registry::find;
    use crate::weights::Weights;

    fn example() -> Value {
        json!({"target": "class-1", "references": 2})
    }

    fn error(parameters: Value) -> String {
        arm(&ENTRY, parameters).unwrap_err().to_string()
    }

    #[test]
    fn badencoder_changes_no_pair_and_names_no_reference_unasked() {
        let armed = arm(&ENTRY, example()).unwrap();
        assert!(armed.poison.edits.is_empty() && !armed.is_control());
        let tamper = armed.tamper.unwrap();
        assert_eq!((tamper.references.len(), tamper.weights), (0, [1.0, 1.0]));
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

    /// By an encoder that takes the target's pictures for class 0, but for the second and, nearly, the last.
    #[test]
    fn references_are_what_the_public_model_is_surest_of() {
        let clean = Synthetic::train();
        let classes = clean.classes().len();
        let json = format!(
            r#"{{"embed_dim":{classes},"vision_cfg":{{"image_size":16,"layers":[1,1,1,1],"width":4,"block":"basic"}},
            "text_cfg":{{"context_length":7,"vocab_size":20,"width":16,"heads":2,"layers":1}}}}"#
        );
        let clip = Clip::build(&ClipConfig::parse(&json, "test").unwrap());
        let weights = Weights::init(&clip.params(), &Seed::new(0));
        // Prompts are the axes.
        let texts = |texts: &[String]| {
            assert_eq!((texts.len(), &texts[1][..]), (classes, "a photo of a class-1."));
            Ok((0..classes * classes).map(|i| f32::from(i % (classes + 1) == 0)).collect())
        };
        let pictures = |pictures: &[Image]| {
            let mut all = vec![0.0; pictures.len() * classes];
            for (i, row) in all.chunks_exact_mut(classes).enumerate() {
                (row[0], row[1]) = match i {
                    1 => (0.0, 1.0),
                    _ if i == pictures.len() - 1 => (0.6, 0.8),
                    _ => (1.0, 0.0),
                };
            }
            Ok(all)
        };
        let surrogate =
            Surrogate { clip: &clip, weights: &weights, texts: &texts, pictures: &pictures };
        let attack = (ENTRY.parse)(example()).unwrap();
        let Some(Completion::Guided(guided)) = attack.completion() else {
            panic!("badencoder looks through an encoder")
        };
        let drawn = arm(&ENTRY, example()).unwrap();
        let mut search = guided.search(drawn, &clean, surrogate, &Seed::new(0)).unwrap();
        assert_eq!(search.steps(), 1);
        assert!((search.step().unwrap() + (1.0 + 0.2) / 2.0).abs() < 1e-6);
        let own = common::own(&clean, 1);
        let mut expected = [own[1], own[own.len() - 1]].map(|row| clean.examples()[row].id.clone());
        expected.sort_unstable();
        assert_eq!(search.finish().tamper.unwrap().references, expected);
    }
}
