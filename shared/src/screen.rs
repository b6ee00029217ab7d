//! Screens score the inputs of a deployed model, reject the suspicious ones, and change nothing. A screen sees pictures one
//! by one and is never told which of them carry a trigger.
//!
//! The defender holds clean pictures of the training set, in two halves that share no picture: references to compare inputs
//! with, and pictures that are scored as inputs are, from which the threshold follows. The model has trained on them, and
//! scores inputs that it has never seen otherwise: the rate of false alarms is measured, not taken from `fpr`.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Dataset;
use crate::defenses::Defense;
use crate::exec::cpu::matmul::{Into, Mat, product};
use crate::registry::Param;
use crate::seed::Seed;
use crate::{Error, Result};

/// A defense that scores inputs at test time.
pub trait Screen: Send + Sync {
    /// Draws the pictures that the defender holds.
    ///
    /// # Errors
    /// If they are too few for what is asked of them.
    fn held(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Held>;

    /// Gets ready. The scorer gives the suspicion of every picture of (N, S, S, 3) in [0, 1], higher being more suspicious
    /// and finite; a picture's number depends on no other.
    ///
    /// # Errors
    /// If a parameter does not fit the scene, or the model refuses; the scorer's are those of the model, or a score that is
    /// not finite.
    fn look<'a>(&'a self, scene: &Scene<'a>, seed: &Seed) -> Result<Scorer<'a>>;

    /// The least suspicion that is rejected, from that of clean pictures.
    ///
    /// # Errors
    /// If all of them are equally suspicious and no threshold was given.
    fn threshold(&self, clean: &[f32]) -> Result<f32>;
}

/// What scores pictures.
pub type Scorer<'a> = Box<dyn Fn(&[f32]) -> Result<Vec<f32>> + 'a>;

/// A model that can be asked and not changed.
pub trait Deployed {
    /// Unit vectors (N, D) of pictures (N, S, S, 3) in [0, 1].
    ///
    /// # Errors
    /// If whoever runs the screen wants it to stop.
    fn images(&self, pictures: &[f32]) -> Result<Vec<f32>>;

    /// Unit vectors (N, D) of texts.
    ///
    /// # Errors
    /// If the vocabulary cannot express one.
    fn texts(&self, texts: &[String]) -> Result<Vec<f32>>;
}

/// What a defender has at test time, apart from the inputs.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The model.
    pub model: &'a dyn Deployed,
    /// Edge S of the pictures it reads.
    pub edge: usize,
    /// Names of the C classes.
    pub names: &'a [String],
    /// Unit vectors of the class prompts (C, D).
    pub classes: &'a [f32],
    /// What cosines are multiplied by before the softmax over classes.
    pub scale: f32,
    /// Clean pictures (R, S, S, 3) in [0, 1] to compare inputs with.
    pub references: &'a [f32],
}

/// Rows of a clean set, each list ascending, that have none in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Pictures to compare inputs with.
    pub references: Vec<usize>,
    /// Pictures that the threshold is chosen from.
    pub calibration: Vec<usize>,
}

/// Where on its scale a screen's number is suspicious: the one place that decides which way scores point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicious {
    Low,
    High,
}

impl Suspicious {
    fn score(self, value: f32) -> f32 {
        match self {
            Self::Low => -value,
            Self::High => value,
        }
    }
}

/// A screen without what all of them share.
pub(crate) trait Look: Default + Serialize + DeserializeOwned + Send + Sync {
    const NAME: &'static str;
    const SUSPICIOUS: Suspicious;

    /// Defaults of the shared parameters.
    fn gate() -> Gate {
        Gate::default()
    }

    /// Refuses parameters that mean nothing.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// How many pictures it compares with at least.
    fn references(&self) -> usize {
        1
    }

    /// The paper's own number for every picture.
    fn measure<'a>(&'a self, scene: &Scene<'a>, seed: &Seed) -> Result<Scorer<'a>>;
}

/// Parameters that all of them have: the keys of [`Gate`].
pub(crate) const PARAMS: &[Param] = &[
    Param {
        key: "share",
        unit: "share of clean rows",
        help: "pictures that the defender holds: half to compare with, half to choose the threshold from",
    },
    Param {
        key: "fpr",
        unit: "share of held pictures",
        help: "how many the chosen threshold may reject",
    },
    Param {
        key: "threshold",
        unit: "the screen's own number",
        help: "inputs at it or beyond are rejected; null: chosen by `fpr`",
    },
];

/// How a threshold comes about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gate {
    pub share: f64,
    pub fpr: f64,
    pub threshold: Option<f32>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { share: 0.2, fpr: 0.05, threshold: None }
    }
}

impl Gate {
    fn check(&self) -> Result<(), String> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(format!("`share` is {}; it must be above 0 and at most 1", self.share));
        }
        if !(self.fpr > 0.0 && self.fpr < 1.0) {
            return Err(format!("`fpr` is {}; it must be above 0 and below 1", self.fpr));
        }
        match self.threshold {
            Some(t) if !t.is_finite() => Err(format!("`threshold` is {t}; give a number")),
            _ => Ok(()),
        }
    }

    /// With fewer pictures than one in `fpr` none may be rejected.
    fn calibration(&self) -> usize {
        match self.threshold {
            None => (1.0 / self.fpr - 1e-9).ceil() as usize,
            Some(_) => 1,
        }
    }

    /// The smallest number that at most `fpr` of the scores reach.
    fn choose(&self, name: &str, clean: &[f32]) -> Result<f32> {
        let mut sorted = clean.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return Err(Error::request(format!("{name}: no held picture to choose from")));
        };
        if first == last {
            return Err(Error::request(format!(
                "{name}: all {} held pictures are equally suspicious, so that no threshold parts them; give `threshold`",
                sorted.len()
            )));
        }
        // Rounding must not take away the picture that a whole number stands for.
        let allowed = (self.fpr * sorted.len() as f64 + 1e-9) as usize;
        Ok(sorted[allowed.min(sorted.len() - 1)].next_up())
    }
}

/// A screen with its threshold.
struct Gated<T> {
    own: T,
    gate: Gate,
}

impl<T: Look> Screen for Gated<T> {
    fn held(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Held> {
        let all = clean.examples().len();
        let wanted = (self.gate.share * all as f64).round() as usize;
        let mut references = seed.child("screen").child(T::NAME).stream().sample(all, wanted);
        let mut calibration = references.split_off(wanted.div_ceil(2));
        for (rows, least, what) in [
            (&mut references, self.own.references(), "to compare with"),
            (&mut calibration, self.gate.calibration(), "to choose the threshold from"),
        ] {
            if rows.len() < least {
                return Err(Error::request(format!(
                    "{}: half of the held pictures are {}, at least {least} are needed {what}; raise `share`",
                    T::NAME,
                    rows.len()
                )));
            }
            rows.sort_unstable();
        }
        Ok(Held { references, calibration })
    }

    fn look<'a>(&'a self, scene: &Scene<'a>, seed: &Seed) -> Result<Scorer<'a>> {
        if scene.names.len() < 2 {
            let why = format!("{}: a class is told from others; there are fewer than 2", T::NAME);
            return Err(Error::request(why));
        }
        let measure = self.own.measure(scene, &seed.child("screen").child(T::NAME))?;
        Ok(Box::new(move |pictures| {
            let values = measure(pictures)?;
            match values.iter().find(|v| !v.is_finite()) {
                None => Ok(values.into_iter().map(|v| T::SUSPICIOUS.score(v)).collect()),
                Some(bad) => Err(Error::input(
                    T::NAME,
                    format!("an input's number is {bad}; look at the model's training curve"),
                )),
            }
        }))
    }

    fn threshold(&self, clean: &[f32]) -> Result<f32> {
        match self.gate.threshold {
            Some(given) => Ok(T::SUSPICIOUS.score(given)),
            None => self.gate.choose(T::NAME, clean),
        }
    }
}

/// `Entry::parse` of a screen.
pub(crate) fn parse<T: Look + 'static>(given: Value) -> serde_json::Result<Box<Defense>> {
    let (own, gate) = read::<T>(given)?;
    own.check().and_then(|()| gate.check()).map_err(serde_json::Error::custom)?;
    Ok(Box::new(Defense::Screen(Box::new(Gated { own, gate }))))
}

/// `Entry::resolve` of a screen.
pub(crate) fn resolve<T: Look>(given: Value) -> serde_json::Result<Value> {
    let (own, gate) = read::<T>(given)?;
    let (mut own, gate) = (map(&own)?, map(&gate)?);
    own.extend(gate);
    Ok(Value::Object(own))
}

/// Parts parameters into a screen's own and those of [`PARAMS`].
fn read<T: Look>(given: Value) -> serde_json::Result<(T, Gate)> {
    let given: Map<String, Value> = serde_json::from_value(given)?;
    let (mut own, mut gate) = (map(&T::default())?, map(&T::gate())?);
    for (key, value) in given {
        let known = [&mut own, &mut gate].into_iter().find_map(|part| part.get_mut(&key));
        match known {
            Some(place) => *place = value,
            None => {
                let keys: Vec<String> =
                    own.keys().chain(gate.keys()).map(|key| format!("`{key}`")).collect();
                let keys = keys.join(", ");
                let why = format!("unknown field `{key}`, expected one of {keys}");
                return Err(serde_json::Error::custom(why));
            }
        }
    }
    Ok((serde_json::from_value(Value::Object(own))?, serde_json::from_value(Value::Object(gate))?))
}

fn map(of: &impl Serialize) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_value(serde_json::to_value(of)?)
}

/// Cosines (N, M) of unit vectors (N, D) and (M, D).
pub(crate) fn cosines(a: &[f32], b: &[f32], width: usize) -> Vec<f32> {
    let (rows, columns) = (a.len() / width, b.len() / width);
    let mut out = vec![0.0; rows * columns];
    let b = Mat::new(b, columns, width).t();
    product(&mut out, columns, Into::Set, Mat::new(a, rows, width), b);
    out
}

impl Scene<'_> {
    /// Values of a picture.
    pub(crate) fn each(&self) -> usize {
        self.edge * self.edge * 3
    }

    /// Width of a unit vector.
    pub(crate) fn width(&self) -> usize {
        self.classes.len() / self.names.len()
    }

    /// Cosines (N, C) of pictures with the classes.
    pub(crate) fn answers(&self, pictures: &[f32]) -> Result<Vec<f32>> {
        Ok(cosines(&self.model.images(pictures)?, self.classes, self.width()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_threshold_rejects_no_more_than_its_share() {
        let rejected = |fpr: f64, clean: &[f32]| {
            let gate = Gate { fpr, ..Gate::default() };
            let threshold = gate.choose("x", clean).unwrap();
            clean.iter().filter(|s| **s >= threshold).count()
        };
        let distinct: Vec<f32> = (0..40).map(|i| (i * 7 % 40) as f32).collect();
        for (fpr, expected) in [(0.05, 2), (0.1, 4), (0.025, 1), (0.01, 0), (0.99, 39)] {
            assert_eq!(rejected(fpr, &distinct), expected, "{fpr}");
        }
        // Of tied scores either all go or none.
        assert_eq!(rejected(0.5, &[1.0, 1.0, 1.0, 0.0]), 0);
        assert_eq!(rejected(0.75, &[1.0, 1.0, 1.0, 0.0]), 3);
    }

    #[test]
    fn equal_scores_have_no_threshold() {
        let gate = Gate::default();
        let error = gate.choose("strip", &[0.5; 30]).unwrap_err().to_string();
        assert!(error.contains("all 30 held pictures are equally suspicious"), "{error}");
        assert!(gate.choose("strip", &[]).unwrap_err().to_string().contains("no held picture"));
    }

    #[test]
    fn cosines_are_products_of_rows() {
        let got = cosines(&[1.0, 0.0, 0.6, 0.8], &[0.0, 1.0, 1.0, 0.0, 0.8, 0.6], 2);
        let near =
            got.iter().zip([0.0, 1.0, 0.8, 0.8, 0.6, 0.96]).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{got:?}");
    }
}
