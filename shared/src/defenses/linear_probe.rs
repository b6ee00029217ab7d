//! A linear probe (Radford et al. 2021; as a defense Bansal et al. 2023): a classifier of the defender's own is fitted to
//! the frozen image tower's embeddings of labelled clean pictures, and zero-shot prompts are thrown away.
//!
//! Multinomial logistic regression on *unit* embeddings, solved to its one minimum by L-BFGS, as CLIP's own probe is; the
//! published defenses take AdamW or SGD steps of a fixed number instead (batch 64 to 80, 10 epochs; RVPT 40), which stop
//! earlier, on embeddings of free length. Pictures are seen without augmentation. Every class gives the same share of
//! its pictures, but at least one.
//!
//! `ca` and `asr` are the head's: it has seen labelled pictures of the very classes that are asked for, so they are not
//! comparable with zero-shot's. The text tower is discarded: no retrieval, no goal of a pairing attack is measured.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::data::Dataset;
use crate::probe::{Logistic, Probe, of_every_class};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LinearProbe {
    share: f64,
    penalty: f64,
    steps: usize,
}

impl Default for LinearProbe {
    fn default() -> Self {
        let Logistic { penalty, steps } = Logistic::default();
        Self { share: 0.5, penalty, steps }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "linear-probe",
        title: "Linear probe",
        year: 2021,
        paper: "Radford et al., arXiv:2103.00020; as a defense: Bansal et al., arXiv:2303.03323",
        summary: "fits a linear classifier to the frozen image tower and discards the text tower; its ca is not comparable with zero-shot's",
        threat_model: "the defender holds the image tower and some clean pictures with their classes, and knows nothing of the attack",
    },
    params: &[&[
        Param {
            key: "share",
            unit: "share of each class",
            help: "clean labelled pictures that the defender has, at least one of a class",
        },
        Param {
            key: "penalty",
            unit: "",
            help: "half of it times the squared weights is added to the mean cross-entropy",
        },
        Param { key: "steps", unit: "steps", help: "iterations of L-BFGS at most" },
    ]],
    parse: |v| {
        let parsed: LinearProbe = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Probe(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<LinearProbe>(v)?),
};

impl LinearProbe {
    fn check(&self) -> Result<(), String> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(format!("`share` is {}; it must be above 0 and at most 1", self.share));
        }
        if !(self.penalty > 0.0 && self.penalty.is_finite()) {
            return Err(format!("`penalty` is {}; it must be above 0", self.penalty));
        }
        match self.steps {
            0 => Err("`steps` is 0; give at least 1".into()),
            _ => Ok(()),
        }
    }
}

impl Probe for LinearProbe {
    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        let share = |all: usize| ((self.share * all as f64).round() as usize).max(1);
        of_every_class("linear-probe", clean, seed, share)
    }

    fn logistic(&self) -> Logistic {
        Logistic { penalty: self.penalty, steps: self.steps }
    }
}
