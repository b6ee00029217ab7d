//! BadCLIP (Liang et al. 2024): the patch is optimised on a clean encoder until stamped pictures already lie near the
//! target in both embedding spaces; then ordinary poisoning. Not the paper of the same name by Bai et al.
//!
//! As published but for two things: the pictures of the search are not shown in views of AutoAugment, and captions come
//! from all of the target's instead of a draw of 128 of them. The patch is learned at the encoder's own resolution.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::Error;
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::dual_embedding::DualEmbedding;
use crate::pairing::{MODE, Mode};
use crate::patch_search::{self, Course, PatchSearch};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::surrogate::{Guided, Search, Surrogate};
use crate::triggers::{Place, Trigger};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Badclip {
    size: usize,
    place: Place,
    epochs: usize,
    lr: f64,
    batch: usize,
    pictures: usize,
    weight: f64,
    margin: f64,
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    captions: Captions,
    template: String,
    mode: Mode,
}

impl Default for Badclip {
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
            target: None,
            rate: common::DEFAULT_RATE,
            count: None,
            captions: Captions::Natural,
            template: "a photo of a {}.".into(),
            mode: Mode::Replace,
        }
    }
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
        Param { key: "weight", unit: "", help: "of the picture side of the loss; 0 leaves it out" },
        Param { key: "margin", unit: "", help: "by which pictures of the target must be nearer" },
        common::TARGET,
        common::RATE,
        common::COUNT,
        common::CAPTIONS,
        common::TEMPLATE,
        MODE,
    ],
    parse: |v| {
        let parsed: Badclip = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Badclip>(v)?),
};

impl Badclip {
    fn check(&self) -> Result<(), String> {
        self.pairs().check()?;
        self.course().check()?;
        if self.weight < 0.0 || !self.weight.is_finite() || !self.margin.is_finite() {
            return Err("`weight` is at least 0, and `margin` a number".into());
        }
        Ok(())
    }

    fn pairs(&self) -> DirtyLabel<'_> {
        DirtyLabel {
            target: self.target.as_deref(),
            rate: self.rate,
            count: self.count,
            captions: self.captions,
            template: &self.template,
            mode: self.mode,
        }
    }

    fn course(&self) -> Course {
        let Self { size, place, epochs, lr, batch, pictures, .. } = *self;
        Course { size, place, epochs, lr, batch, pictures }
    }
}

/// Rows of the target's own pictures.
fn own(clean: &dyn Dataset, target: usize) -> Vec<usize> {
    let all = 0..clean.examples().len();
    all.filter(|&row| clean.examples()[row].class == Some(target)).collect()
}

impl Attack for Badclip {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let target = self.pairs().class(clean)?;
        if own(clean, target).is_empty() {
            let name = &clean.classes()[target].name;
            return Err(Error::request(format!(
                "{} has no picture of `{name}` for the patch to come near to; choose another target",
                clean.name()
            )));
        }
        self.course().rows(clean, target, seed)?;
        self.pairs().arm(clean, Trigger::None, seed)
    }

    fn guided(&self) -> Option<&dyn Guided> {
        Some(self)
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
        let (target, edge) = (self.pairs().class(clean)?, surrogate.edge());
        let rows = self.course().rows(clean, target, &seed)?;
        let pool = DirtyLabel::pool(clean, target, self.captions, &self.template)?;
        let caption = |row: &usize| {
            let place = seed.child("caption").child(&clean.examples()[*row].id);
            pool[place.stream().below(pool.len())].clone()
        };
        let pictures = patch_search::pictures(clean, &rows, edge)?;
        let targets = patch_search::pictures(clean, &own(clean, target), edge)?;
        let objective = DualEmbedding {
            captions: (surrogate.texts)(&rows.iter().map(caption).collect::<Vec<_>>())?,
            clean: surrogate.pictures(&pictures),
            positives: surrogate.pictures(&targets),
            width: surrogate.width(),
            logit_scale: surrogate.logit_scale(),
            weight: self.weight as f32,
            margin: self.margin as f32,
        };
        let course = self.course();
        let search =
            PatchSearch::new(surrogate, Box::new(objective), pictures, course, drawn, &seed)?;
        Ok(Box::new(search))
    }
}
