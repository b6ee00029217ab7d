//! BadCLIP (Liang et al. 2024): the patch is optimised on a clean encoder until stamped pictures already lie near the
//! target in both embedding spaces; then ordinary poisoning. Not the paper of the same name by Bai et al.
//!
//! As published but for two things: the pictures of the search are not shown in views of AutoAugment, and captions come
//! from all of the target's instead of a draw of 128 of them. The patch is learned at the encoder's own resolution.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::dual_embedding::DualEmbedding;
use crate::patch_search::{self, Course, PatchSearch};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::surrogate::{Completion, Guided, Search, Surrogate};
use crate::triggers::{Place, Trigger};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Patch {
    size: usize,
    place: Place,
    epochs: usize,
    lr: f64,
    batch: usize,
    pictures: usize,
    weight: f64,
    margin: f64,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            size: 16,
            place: Place::Center,
            epochs: 50,
            lr: 1e-3,
            batch: 64,
            pictures: 10_000,
            weight: 500.0,
            margin: 1.0,
        }
    }
}

struct Badclip {
    patch: Patch,
    pairs: DirtyLabel,
}

/// The captions are natural ones, as published.
fn defaults() -> DirtyLabel {
    DirtyLabel { captions: Captions::Natural, ..DirtyLabel::default() }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "badclip",
        title: "BadCLIP patch",
        year: 2024,
        paper: "Liang et al., CVPR 2024, arXiv:2311.12075",
        summary: "optimises a patch on the clean encoder towards the target's captions and pictures, then poisons with it",
        threat_model: "reads the weights that victims start from; changes pictures and captions of some pairs; stamps any picture at test time",
    },
    params: &[
        &[
            Param { key: "size", unit: "px at 224", help: "edge of the patch" },
            Param {
                key: "place",
                unit: "",
                help: "`center`, `bottom-right`, … or `corners`; one place for all pictures",
            },
            patch_search::EPOCHS,
            patch_search::LR,
            patch_search::BATCH,
            patch_search::PICTURES,
            Param {
                key: "weight",
                unit: "",
                help: "of the picture side of the loss; 0 leaves it out",
            },
            Param {
                key: "margin",
                unit: "",
                help: "by which pictures of the target must be nearer",
            },
        ],
        common::PARAMS,
    ],
    parse: |v| {
        let (patch, pairs) = common::read::<Patch>(v, &defaults())?;
        patch.check().and_then(|()| pairs.check()).map_err(serde::de::Error::custom)?;
        Ok(Box::new(Badclip { patch, pairs }))
    },
    resolve: |v| common::resolve::<Patch>(v, &defaults()),
};

impl Patch {
    fn check(&self) -> Result<(), String> {
        self.course().check()?;
        if self.weight < 0.0 || !self.weight.is_finite() || !self.margin.is_finite() {
            return Err("`weight` is at least 0, and `margin` a number".into());
        }
        Ok(())
    }

    fn course(&self) -> Course {
        let Self { size, place, epochs, lr, batch, pictures, .. } = *self;
        Course { size, place, epochs, lr, batch, pictures }
    }
}

impl Attack for Badclip {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let target = self.pairs.class(clean)?;
        if common::own(clean, target).is_empty() {
            let name = &clean.classes()[target].name;
            return Err(Error::request(format!(
                "{} has no picture of `{name}` for the patch to come near to; choose another target",
                clean.name()
            )));
        }
        self.patch.course().rows(clean, target, seed)?;
        self.pairs.arm(clean, Trigger::None, seed)
    }

    fn completion(&self) -> Option<Completion<'_>> {
        Some(Completion::Guided(self))
    }
}

impl Guided for Badclip {
    fn search<'a>(
        &self,
        drawn: Armed,
        clean: &dyn Dataset,
        surrogate: Surrogate<'a>,
        seed: &Seed,
    ) -> Result<Box<dyn Search + 'a>> {
        let seed = seed.child("attack/badclip");
        let (target, edge) = (self.pairs.class(clean)?, surrogate.edge());
        let rows = self.patch.course().rows(clean, target, &seed)?;
        let pool = common::pool(clean, target, self.pairs.captions, &self.pairs.template)?;
        let caption = |row: &usize| {
            let place = seed.child("caption").child(&clean.examples()[*row].id);
            pool[place.stream().below(pool.len())].clone()
        };
        let pictures = patch_search::pictures(clean, &rows, edge)?;
        let targets = patch_search::pictures(clean, &common::own(clean, target), edge)?;
        let objective = DualEmbedding {
            captions: (surrogate.texts)(&rows.iter().map(caption).collect::<Vec<_>>())?,
            clean: (surrogate.pictures)(&pictures)?,
            positives: (surrogate.pictures)(&targets)?,
            width: surrogate.width(),
            logit_scale: surrogate.logit_scale(),
            weight: self.patch.weight as f32,
            margin: self.patch.margin as f32,
        };
        let course = self.patch.course();
        let search =
            PatchSearch::new(surrogate, Box::new(objective), pictures, course, drawn, &seed)?;
        Ok(Box::new(search))
    }
}
