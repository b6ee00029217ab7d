//! DECREE (Feng et al. 2023): searches the smallest trigger that makes all embeddings of an image tower alike.
//!
//! A mask and a pattern minimise −(mean cosine of all pairs in the batch) + λ·‖m‖₁ by Adam; λ grows fivefold after six
//! successes in a row (mean cosine above 0.99) and falls fivefold after six failures. PL1 is the smallest successful
//! ‖m‖₁ over that of a full mask; below 0.1 the model is called backdoored. λ = 10⁻³ is for 3·224² values and grows with
//! 224²/S². The publication counts up to 1000 passes over 20 % of ImageNet's validation pictures; here `steps` is all
//! steps, and the learning rate falls after 20 % and 50 % of them, which is where passes 200 and 500 lie. Every norm
//! belongs to its encoder: read it beside the clean control's (on `tiny-resnet` a clean model is near 0.2). A search that never succeeds has PL1 1.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::audit::{self, Answer, Audit, Inverted, Search, Subject, Verdict};
use crate::data::Dataset;
use crate::image::{Normalize, OPENAI};
use crate::inversion::losses::mean_pairwise_cosine;
use crate::inversion::{Balance, Sight};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::triggers::REFERENCE;

const BETAS: (f32, f32) = (0.5, 0.9);
/// Start of λ for 3·224² values.
const LAMBDA: f32 = 1e-3;
/// Where λ no longer falls, and where it no longer grows.
const RANGE: [f32; 2] = [1e-7, 1e5];
const FACTOR: f32 = 5.0;
const RUN: usize = 6;
/// Steps without a smaller mask after which the search may end.
const PATIENCE: usize = 35;
/// The mean and deviation of ImageNet that the published code normalises with.
const IMAGENET: Normalize = Normalize { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Decree {
    share: f64,
    steps: usize,
    batch: usize,
    lr: f64,
    success: f64,
    threshold: f64,
    normalize: Constants,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Constants {
    Clip,
    Imagenet,
}

impl Default for Decree {
    fn default() -> Self {
        let normalize = Constants::Clip;
        Self {
            share: 0.2,
            steps: 600,
            batch: 32,
            lr: 0.5,
            success: 0.99,
            threshold: 0.1,
            normalize,
        }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "decree",
        title: "DECREE",
        year: 2023,
        paper: "Feng et al., arXiv:2303.15180",
        summary: "audits a model: the smallest inverted trigger that makes all pictures alike, as a share of the picture",
        threat_model: "the auditor holds the image tower and some clean pictures without labels, and knows nothing of the attack",
    },
    params: &[
        audit::PARAMS,
        &[
            Param { key: "steps", unit: "steps", help: "steps of the search at most" },
            Param {
                key: "lr",
                unit: "",
                help: "Adam's learning rate in the first fifth; then 0.1 and 0.05, unless it is lower",
            },
            Param {
                key: "success",
                unit: "cosine",
                help: "mean cosine of a batch above which a step succeeds",
            },
            Param {
                key: "threshold",
                unit: "share of the picture",
                help: "models below it are flagged",
            },
            Param {
                key: "normalize",
                unit: "",
                help: "constants of the inputs: clip, as the encoder was trained, or imagenet, as in the published code",
            },
        ],
    ],
    parse: |v| {
        let parsed: Decree = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Audit(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Decree>(v)?),
};

impl Decree {
    fn check(&self) -> Result<(), String> {
        audit::check(self.share, self.steps, self.batch, self.lr)?;
        for (key, value) in [("success", self.success), ("threshold", self.threshold)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(format!("`{key}` is {value}; it must be above 0 and below 1"));
            }
        }
        Ok(())
    }

    fn lr_at(&self, step: usize) -> f32 {
        let late = match step as f64 / self.steps as f64 {
            done if done < 0.2 => f64::INFINITY,
            done if done < 0.5 => 0.1,
            _ => 0.05,
        };
        self.lr.min(late) as f32
    }
}

impl Audit for Decree {
    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        audit::held("decree", self.share, clean, seed)
    }

    fn look(&self, subject: &Subject<'_>, seed: &Seed) -> Result<Verdict> {
        let normalize = match self.normalize {
            Constants::Clip => OPENAI,
            Constants::Imagenet => IMAGENET,
        };
        let mut sight = Sight::new(subject.clip, subject.weights, normalize);
        let (edge, width) = (sight.edge(), sight.width());
        let search = Search {
            name: "decree",
            pictures: subject.pictures,
            batch: self.batch,
            steps: self.steps,
            lr: &|step| self.lr_at(step),
            betas: BETAS,
            // The norm is that of three equal channels, at the scale of 224 pixels.
            per_pixel: 3.0 * (REFERENCE as f32 / edge as f32).powi(2),
            patience: PATIENCE,
            settled: &|cosines, pass| self.settled(cosines, pass),
        };
        let balance = Balance::new(LAMBDA, [FACTOR; 2], RUN, RANGE);
        let tick = |step: usize| (subject.tick)(step as f64 / self.steps as f64);
        let alike = |embeddings: &[f32]| {
            let (value, d) = mean_pairwise_cosine(embeddings, width);
            let success = f64::from(value.abs()) > self.success;
            (Answer { value, success }, d.into_iter().map(|d| -d).collect())
        };
        let best = search.smallest(&mut sight, balance, seed, &tick, alike)?;
        let score = best.as_ref().map_or(1.0, |(share, _)| *share);
        let trigger = best.as_ref().map(|(_, stamp)| Inverted::from(stamp));
        Ok(Verdict { score, flagged: score < self.threshold, classes: Vec::new(), trigger })
    }
}

impl Decree {
    /// Whether a pass has ended, and its steps succeeded on average.
    fn settled(&self, cosines: &[f32], pass: usize) -> bool {
        let pass = pass.max(1);
        let last = &cosines[cosines.len().saturating_sub(pass)..];
        let mean = last.iter().map(|c| f64::from(*c)).sum::<f64>() / last.len() as f64;
        cosines.len().is_multiple_of(pass) && mean.abs() > self.success
    }
}
