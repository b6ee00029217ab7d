//! A training recipe: the words of open_clip's command line as checked plain data.
//!
//! One type serves pretraining, the victim's training, fine-tuning defenses and the command line. Defaults are
//! those of the contract's `train` (AdamW with betas 0.9 and 0.98, eps 1e-6) and, where it is silent, what small
//! encoders on a laptop need (batch 128, learning rate 1e-3, weight decay 0.1).

use serde::{Deserialize, Serialize};

use crate::registry::Param;

/// How a model is trained. Give `epochs` or `steps`; neither means [`TrainConfig::DEFAULT_EPOCHS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// Passes over the rows; the last incomplete batch of each is dropped.
    pub epochs: Option<usize>,
    /// Optimiser steps, instead of epochs.
    pub steps: Option<usize>,
    /// Pairs in a batch, at least 2: a contrastive loss over one pair is always 0.
    pub batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay, on matrices only.
    pub wd: f64,
    /// AdamW's decay rates of the two moments, in [0, 1).
    pub betas: [f64; 2],
    /// AdamW's ε.
    pub eps: f64,
    /// Linear warm-up from near 0 to `lr`: steps when at least 1, a share of all steps below 1.
    pub warmup: f64,
    /// The learning rate after the warm-up.
    pub schedule: Schedule,
    /// The largest global norm of the gradient; 0 switches clipping off.
    pub grad_clip: f64,
    /// Weak augmentation of pictures: flip, rotation, scale, shift, background, colour.
    pub augment: bool,
    /// In which order rows come.
    pub order: Order,
    /// Which tower keeps its weights.
    pub freeze: Freeze,
    /// No batch holds two rows of one class: two right answers would count as one wrong.
    pub concept_unique: bool,
}

/// The learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Half a cosine from `lr` down to 0.
    #[default]
    Cosine,
    /// `lr` until the end.
    Constant,
    /// A straight line from `lr` to a tenth of it until half of all steps, then half a cosine down to 0; there is no
    /// warm-up.
    LineThenCosine,
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A new order in every epoch, a function of seed and epoch.
    #[default]
    Shuffled,
    /// File order, epoch after epoch.
    Sequential,
}

/// Which part keeps its weights. `Image` and `Text` mean a whole tower; the code of Yang et al. 2023 freezes all of
/// `visual` on the image side and only the transformer blocks on the text side, which is `TextTransformer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// Both towers train.
    #[default]
    None,
    /// The image tower, its batch statistics included, stays as it is.
    Image,
    /// The text tower stays as it is.
    Text,
    /// The blocks of the text transformer stay; embeddings, final layer norm and projection train.
    TextTransformer,
}

impl Freeze {
    /// Whether the parameter of this name (open_clip's) keeps its value. The temperature always trains.
    pub fn keeps(self, name: &str) -> bool {
        let image = name.starts_with("visual.");
        match self {
            Self::None => false,
            Self::Image => image,
            Self::Text => !image && name != "logit_scale",
            Self::TextTransformer => name.starts_with("transformer."),
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: None,
            steps: None,
            batch: 128,
            lr: 1e-3,
            wd: 0.1,
            betas: [0.9, 0.98],
            eps: 1e-6,
            warmup: 0.1,
            schedule: Schedule::Cosine,
            grad_clip: 1.0,
            augment: true,
            order: Order::Shuffled,
            freeze: Freeze::None,
            concept_unique: true,
        }
    }
}

impl TrainConfig {
    /// Epochs where neither `epochs` nor `steps` is given.
    pub const DEFAULT_EPOCHS: usize = 10;

    /// Every key with its unit and meaning, for `show` and help texts.
    pub const PARAMS: &[Param] = &[
        param("epochs", "passes", "passes over the pairs; 10 where `steps` is not given either"),
        param("steps", "steps", "optimiser steps, instead of `epochs`"),
        param("batch", "pairs", "pairs in a batch"),
        param("lr", "", "peak learning rate"),
        param("wd", "", "decoupled weight decay, on matrices only"),
        param("betas", "", "AdamW's two decay rates"),
        param("eps", "", "AdamW's ε"),
        param("warmup", "steps or share", "linear warm-up: steps when at least 1, a share below 1"),
        param("schedule", "", "`cosine` to 0, `constant`, or `line-then-cosine`"),
        param("grad-clip", "norm", "largest global norm of the gradient; 0 switches clipping off"),
        param("augment", "", "weak augmentation of pictures"),
        param("order", "", "`shuffled` anew in every epoch, or `sequential` as in the file"),
        param(
            "freeze",
            "",
            "what keeps its weights: `none`, `image`, `text` or `text-transformer`",
        ),
        param("concept-unique", "", "no batch holds two rows of one class"),
    ];

    /// The recipe with defaults filled in, once its numbers are sensible.
    ///
    /// # Errors
    /// With the key, its value and what is allowed.
    pub fn checked(mut self) -> Result<Self, String> {
        match (self.epochs, self.steps) {
            (Some(_), Some(_)) => {
                return Err("`epochs` and `steps` exclude each other; give one".into());
            }
            (None, None) => self.epochs = Some(Self::DEFAULT_EPOCHS),
            (Some(0), None) => return Err("`epochs` is 0; give at least 1".into()),
            (None, Some(0)) => return Err("`steps` is 0; give at least 1".into()),
            _ => {}
        }
        if self.batch < 2 {
            return Err(format!(
                "`batch` is {}; a contrastive loss needs at least 2 pairs",
                self.batch
            ));
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let not_negative = |x: f64| x >= 0.0 && x.is_finite();
        let checks = [
            ("lr", self.lr, positive(self.lr), "above 0"),
            ("wd", self.wd, not_negative(self.wd), "at least 0"),
            ("eps", self.eps, positive(self.eps), "above 0"),
            ("warmup", self.warmup, not_negative(self.warmup), "at least 0"),
            ("grad-clip", self.grad_clip, not_negative(self.grad_clip), "at least 0"),
            ("betas[0]", self.betas[0], (0.0..1.0).contains(&self.betas[0]), "in [0, 1)"),
            ("betas[1]", self.betas[1], (0.0..1.0).contains(&self.betas[1]), "in [0, 1)"),
        ];
        if let Some((key, value, _, range)) = checks.iter().find(|(_, _, ok, _)| !ok) {
            return Err(format!("`{key}` is {value}; it must be {range}"));
        }
        if self.warmup >= 1.0 && self.warmup.fract() != 0.0 {
            return Err(format!("`warmup` is {}; from 1 on it counts whole steps", self.warmup));
        }
        Ok(self)
    }

    /// Optimiser steps over `rows` training rows.
    pub fn total_steps(&self, rows: usize) -> usize {
        let epochs = self.epochs.unwrap_or(Self::DEFAULT_EPOCHS);
        self.steps.unwrap_or(epochs * (rows / self.batch))
    }

    /// Steps of warm-up out of `total`.
    pub fn warmup_steps(&self, total: usize) -> usize {
        if self.schedule == Schedule::LineThenCosine {
            return 0;
        }
        let steps = if self.warmup < 1.0 { self.warmup * total as f64 } else { self.warmup };
        (steps.round() as usize).min(total)
    }

    /// The learning rate of 0-based `step` out of `total`: linear to the peak, then half a cosine to 0
    /// (open_clip's schedule), or no change.
    pub fn lr_at(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup_steps(total);
        if step < warmup {
            return self.lr * (step + 1) as f64 / warmup as f64;
        }
        match self.schedule {
            Schedule::Constant => self.lr,
            Schedule::LineThenCosine => {
                let half = total / 2;
                match step < half {
                    // NumPy's linspace: both ends are reached.
                    true => self.lr * (1.0 - 0.9 * step as f64 / (half - 1).max(1) as f64),
                    false => {
                        let done = (step - half) as f64 / (total - half).max(1) as f64;
                        0.05 * (1.0 + (std::f64::consts::PI * done).cos()) * self.lr
                    }
                }
            }
            Schedule::Cosine => {
                let done = (step - warmup) as f64 / (total - warmup).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos()) * self.lr
            }
        }
    }
}

const fn param(key: &'static str, unit: &'static str, help: &'static str) -> Param {
    Param { key, unit, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        let json = serde_json::to_value(TrainConfig::default()).unwrap();
        let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut described: Vec<&str> = TrainConfig::PARAMS.iter().map(|p| p.key).collect();
        keys.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, keys);
    }

    #[test]
    fn nonsense_is_refused_with_its_key() {
        let error =
            |json: &str| serde_json::from_str::<TrainConfig>(json).unwrap().checked().unwrap_err();
        assert!(error(r#"{"epochs":1,"steps":1}"#).contains("exclude each other"));
        assert!(error(r#"{"batch":1}"#).contains("at least 2"));
        assert!(error(r#"{"lr":-1}"#).contains("`lr` is -1"));
        assert!(error(r#"{"betas":[0.9,1.0]}"#).contains("`betas[1]`"));
        assert!(error(r#"{"warmup":1.5}"#).contains("whole steps"));
        assert!(serde_json::from_str::<TrainConfig>(r#"{"epoch":1}"#).is_err());
        assert_eq!(TrainConfig::default().checked().unwrap().epochs, Some(10));
    }

    #[test]
    fn frozen_parts_are_whole_towers_or_the_text_blocks() {
        let names = [
            "visual.conv1.weight",
            "transformer.resblocks.0.attn.in_proj_weight",
            "ln_final.weight",
            "text_projection",
            "logit_scale",
        ];
        let kept = |freeze: Freeze| names.map(|n| freeze.keeps(n));
        assert_eq!(kept(Freeze::None), [false; 5]);
        assert_eq!(kept(Freeze::Image), [true, false, false, false, false]);
        assert_eq!(kept(Freeze::Text), [false, true, true, true, false]);
        assert_eq!(kept(Freeze::TextTransformer), [false, true, false, false, false]);
    }

    /// Values of open_clip's cosine schedule: base 1, 4 steps of warm-up, 12 in all.
    #[test]
    fn the_schedule_is_open_clips() {
        let config = TrainConfig { lr: 1.0, warmup: 4.0, ..TrainConfig::default() };
        let expected = [(0, 0.25), (3, 1.0), (4, 1.0), (8, 0.5), (11, 0.038_060_233_744_356_63)];
        for (step, lr) in expected {
            assert!((config.lr_at(step, 12) - lr).abs() < 1e-12, "step {step}");
        }
        // A line from 1 to a tenth over six steps, half a cosine over the other six.
        let line = TrainConfig { schedule: Schedule::LineThenCosine, ..config.clone() };
        for (step, lr) in [(0, 1.0), (1, 0.82), (5, 0.1), (6, 0.1), (9, 0.05), (10, 0.025)] {
            assert!((line.lr_at(step, 12) - lr).abs() < 1e-12, "step {step}");
        }
        let share = TrainConfig { warmup: 0.25, ..config };
        assert_eq!((share.warmup_steps(12), share.total_steps(1000)), (3, 70));
    }
}
