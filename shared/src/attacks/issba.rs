//! ISSBA (Li et al. 2021; SSBA elsewhere): a network hides a text in every stamped picture, as a residual that is the
//! picture's own.
//!
//! Departures: the network is no published StegaStamp encoder, which has millions of weights and an error-correcting code;
//! it is a small one that is trained here, on the pictures of the victim's training data ([`crate::steganography`]), with
//! the plain bits of the text and no simulated printing. Its residual is made at 32 px and stretched, as others stretch
//! theirs from 224.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, DirtyLabel};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::steganography::{Course, Hiding};
use crate::surrogate::{Completion, Search, Trained};
use crate::triggers::{RESOLUTION, Trigger};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Hide {
    secret: String,
    strength: f64,
    own: f64,
    steps: usize,
    batch: usize,
    lr: f64,
    pictures: usize,
    resolution: Option<usize>,
}

impl Default for Hide {
    fn default() -> Self {
        Self {
            secret: "Stega!!".into(),
            strength: 16.0,
            own: 0.5,
            steps: 800,
            batch: 32,
            lr: 3e-3,
            pictures: 10_000,
            resolution: None,
        }
    }
}

struct Issba {
    hide: Hide,
    pairs: DirtyLabel,
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "issba",
        title: "ISSBA sample-specific residual",
        year: 2021,
        paper: "Li et al., ICCV 2021, arXiv:2012.03816 (SSBA elsewhere); the hiding network: Tancik et al., arXiv:1904.05343",
        summary: "trains a network that hides a text in a picture, stamps its residual, another for every picture, and captions it as the target",
        threat_model: "changes pictures and captions of some pairs, no weight; trains a network on the pairs' pictures; stamps any picture at test time",
    },
    params: &[
        &[
            Param { key: "secret", unit: "", help: "what is hidden: a text of 1 to 16 bytes" },
            Param {
                key: "strength",
                unit: "8-bit steps",
                help: "by which the residual moves a channel at most",
            },
            Param {
                key: "own",
                unit: "",
                help: "weight of residuals having nothing in common in the network's training; 0 leaves it out",
            },
            Param { key: "steps", unit: "", help: "steps of the network's training" },
            Param { key: "batch", unit: "pictures", help: "pictures of a step, a multiple of 4" },
            Param { key: "lr", unit: "", help: "Adam's learning rate in it, cosine to 0" },
            Param {
                key: "pictures",
                unit: "",
                help: "how many pictures the network is trained on, at most",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: |v| {
        let (hide, pairs) = common::read::<Hide>(v, &DirtyLabel::default())?;
        let checked = hide.course().check().and_then(|()| pairs.check());
        checked.map_err(serde::de::Error::custom)?;
        Ok(Box::new(Issba { hide, pairs }))
    },
    resolve: |v| common::resolve::<Hide>(v, &DirtyLabel::default()),
};

impl Hide {
    fn course(&self) -> Course {
        let Self { strength, own, steps, batch, lr, pictures, resolution, .. } = *self;
        let secret = self.secret.clone();
        Course { secret, strength, own, steps, batch, lr, pictures, resolution }
    }
}

impl Attack for Issba {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        self.pairs.arm(clean, Trigger::None, seed)
    }

    fn completion(&self) -> Option<Completion<'_>> {
        Some(Completion::Trained(self))
    }
}

impl Trained for Issba {
    fn training(&self, drawn: Armed, clean: &dyn Dataset, seed: &Seed) -> Result<Box<dyn Search>> {
        let seed = seed.child("attack/issba");
        Ok(Box::new(Hiding::new(self.hide.course(), drawn, clean, &seed)?))
    }
}
