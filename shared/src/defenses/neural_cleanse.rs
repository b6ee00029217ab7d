//! Neural Cleanse (Wang et al. 2019) on zero-shot classes: which class can be reached by an unusually small trigger.
//!
//! For every class a mask and a pattern minimise cross-entropy of that class + λ·‖m‖₁ by Adam; logits are the cosines with
//! the class prompts times the model's temperature. λ doubles after five successful steps in a row and falls by 2^1.5
//! after five failures. A class is flagged if its smallest successful mask lies more than 2 median absolute deviations
//! (times 1.4826) below the median. λ = 10⁻³ is for 32² values and scales with 32²/S². Differs from the classifier
//! version: a step is one batch and counts where that one counts a pass, and `steps` per class are fewer. Classes
//! are all of the data set, or some drawn from the seed; never chosen by who knows the target, which is therefore found
//! only if it is among them. A class without a successful step has a mask of 1.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::audit::{self, Answer, Audit, ClassVerdict, Inverted, Search, Subject, Verdict};
use crate::data::Dataset;
use crate::encoders::LOGIT_SCALE;
use crate::image::OPENAI;
use crate::inversion::losses::class_entropy;
use crate::inversion::{Balance, Sight, Stamp, anomaly_indices};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

const BETAS: (f32, f32) = (0.5, 0.9);
/// Start of λ for 32² values.
const LAMBDA: f32 = 1e-3;
const LAMBDA_EDGE: f32 = 32.0;
/// λ is never held by a bound that a search reaches.
const RANGE: [f32; 2] = [1e-10, 1e5];
/// 2, and 2^1.5.
const FACTORS: [f32; 2] = [2.0, 2.828_427];
const RUN: usize = 5;
/// Steps without a smaller mask after which a class's search ends.
const PATIENCE: usize = 25;
/// Fewer classes have no median to speak of.
const FEWEST: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct NeuralCleanse {
    classes: usize,
    share: f64,
    steps: usize,
    batch: usize,
    lr: f64,
    success: f64,
    threshold: f64,
}

impl Default for NeuralCleanse {
    fn default() -> Self {
        Self {
            classes: 0,
            share: 0.05,
            steps: 100,
            batch: 32,
            lr: 0.1,
            success: 0.98,
            threshold: 2.0,
        }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "neural-cleanse",
        title: "Neural Cleanse on zero-shot classes",
        year: 2019,
        paper: "Wang et al., IEEE S&P 2019, doi:10.1109/SP.2019.00031",
        summary: "audits a model: inverts a trigger for every class and flags classes whose trigger is unusually small",
        threat_model: "the auditor holds the model, the names of the classes and some clean pictures, and knows nothing of the attack",
    },
    params: &[
        audit::PARAMS,
        &[
            Param {
                key: "classes",
                unit: "classes",
                help: "how many are drawn from the seed; 0 means all",
            },
            Param { key: "steps", unit: "steps a class", help: "steps of a search at most" },
            Param { key: "lr", unit: "", help: "Adam's learning rate" },
            Param {
                key: "success",
                unit: "share of a batch",
                help: "pictures that must reach the class for a step to succeed",
            },
            Param { key: "threshold", unit: "deviations", help: "classes above it are flagged" },
        ],
    ],
    parse: |v| {
        let parsed: NeuralCleanse = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Audit(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<NeuralCleanse>(v)?),
};

impl NeuralCleanse {
    fn check(&self) -> Result<(), String> {
        audit::check(self.share, self.steps, self.batch, self.lr)?;
        if (1..FEWEST).contains(&self.classes) {
            return Err(format!(
                "`classes` is {}; {FEWEST} are the fewest of which one can stand out",
                self.classes
            ));
        }
        if !(self.success > 0.0 && self.success <= 1.0) {
            return Err(format!("`success` is {}; it must be above 0 and at most 1", self.success));
        }
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            return Err(format!("`threshold` is {}; it must be above 0", self.threshold));
        }
        Ok(())
    }

    /// The classes that are looked at, ascending.
    fn chosen(&self, all: usize, seed: &Seed) -> Result<Vec<usize>> {
        if all < FEWEST.max(self.classes) {
            return Err(Error::request(format!(
                "neural-cleanse: the data set has {all} classes, fewer than {}; lower `classes` or use decree",
                FEWEST.max(self.classes)
            )));
        }
        let count = if self.classes == 0 { all } else { self.classes };
        let mut chosen = seed.child("classes").stream().sample(all, count);
        chosen.sort_unstable();
        Ok(chosen)
    }

    /// The smallest successful stamp for a class, with the share of the picture that its mask covers.
    fn search(
        &self,
        subject: &Subject<'_>,
        sight: &mut Sight<'_>,
        class: usize,
        seed: &Seed,
        tick: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Option<(f64, Stamp)>> {
        let (edge, width) = (sight.edge(), sight.width());
        let scale = subject.weights.data(LOGIT_SCALE)[0].exp();
        let search = Search {
            name: "neural-cleanse",
            pictures: subject.pictures,
            batch: self.batch,
            steps: self.steps,
            lr: &|_| self.lr as f32,
            betas: BETAS,
            per_pixel: (LAMBDA_EDGE / edge as f32).powi(2),
            patience: PATIENCE,
            settled: &|_, _| true,
        };
        let balance = Balance::new(LAMBDA, FACTORS, RUN, RANGE);
        let reached = |embeddings: &[f32]| {
            let (answer, d) = class_entropy(embeddings, width, subject.classes, class, scale);
            let success = f64::from(answer.success) >= self.success;
            (Answer { value: answer.loss, success }, d)
        };
        search.smallest(sight, balance, seed, tick, reached)
    }
}

impl Audit for NeuralCleanse {
    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        self.chosen(clean.classes().len(), seed)?;
        audit::held("neural-cleanse", self.share, clean, seed)
    }

    fn look(&self, subject: &Subject<'_>, seed: &Seed) -> Result<Verdict> {
        let mut sight = Sight::new(subject.clip, subject.weights, OPENAI);
        let chosen = self.chosen(subject.classes.len() / sight.width(), seed)?;
        let all = (chosen.len() * self.steps) as f64;
        let mut found = Vec::new();
        for (i, &class) in chosen.iter().enumerate() {
            let tick = |step: usize| (subject.tick)((i * self.steps + step) as f64 / all);
            found.push(self.search(subject, &mut sight, class, &seed.child(class), &tick)?);
        }
        let norms: Vec<f64> =
            found.iter().map(|f| f.as_ref().map_or(1.0, |(norm, _)| *norm)).collect();
        let indices = anomaly_indices(&norms);
        let verdict = |(i, &class): (usize, &usize)| ClassVerdict {
            class,
            norm: norms[i],
            index: indices[i],
            flagged: indices[i] > self.threshold,
        };
        let classes: Vec<ClassVerdict> = chosen.iter().enumerate().map(verdict).collect();
        let most = (0..indices.len()).max_by(|&a, &b| indices[a].total_cmp(&indices[b]));
        let score = most.map_or(0.0, |i| indices[i]);
        let trigger = most.and_then(|i| Some(Inverted::from(&found[i].as_ref()?.1)));
        Ok(Verdict { score, flagged: score > self.threshold, classes, trigger })
    }
}
