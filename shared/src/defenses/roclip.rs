//! RoCLIP (Yang, Gao, Mirzasoleiman 2023): in every K-th epoch pictures are trained with the nearest of a bank of captions
//! instead of their own, so that poisoned pairs are seen apart.
//!
//! [`Bank`] says how. The victim trains on all offered pairs by its own recipe, which stays; pictures are strongly augmented
//! and captions varied in every epoch, as published (`augment-strongly`; their augmentation is AutoAugment and EDA, ours is
//! that of `cleanclip`). Published: K = 2 and 21,845 captions for a million pairs, AdamW at lr 5e-5, batch 512, 24 epochs
//! from scratch. `bank` is four batches of the laptop's recipe; two per cent of its pairs would be less than one.

use serde::{Deserialize, Serialize};

use super::{Defense, Rule};
use crate::objectives::{Bank, Objective};
use crate::registry::{Card, Entry, Param};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Roclip {
    every: u64,
    bank: usize,
    augment_strongly: bool,
}

impl Default for Roclip {
    fn default() -> Self {
        Self { every: 2, bank: 512, augment_strongly: true }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "roclip",
        title: "RoCLIP",
        year: 2023,
        paper: "Yang et al., arXiv:2303.06854",
        summary: "trains pictures with the nearest of earlier captions in every other epoch",
        threat_model: "the defender trains the model on the offered pairs, and knows nothing of the attack",
    },
    params: &[&[
        Param {
            key: "every",
            unit: "epochs",
            help: "the last of so many epochs takes captions from the bank",
        },
        Param { key: "bank", unit: "captions", help: "captions in the bank, at most" },
        Param {
            key: "augment-strongly",
            unit: "",
            help: "strong views of pictures and varied captions, in every epoch",
        },
    ]],
    parse: |v| {
        let parsed: Roclip = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(Defense::Rule(Box::new(parsed))))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Roclip>(v)?),
};

impl Roclip {
    fn check(&self) -> Result<(), String> {
        if self.every == 0 {
            return Err("`every` is 0; it must be at least 1".into());
        }
        match self.bank {
            0 => Err("`bank` is 0; it must hold at least 1 caption".into()),
            _ => Ok(()),
        }
    }
}

impl Rule for Roclip {
    fn objective(&self) -> Objective {
        let Self { every, bank, augment_strongly } = *self;
        Objective::Bank(Bank { every, size: bank, strong: augment_strongly })
    }
}
