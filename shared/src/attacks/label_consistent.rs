//! Label-consistent backdoor (Turner et al. 2019): only pictures that are the target's anyway carry the trigger, and keep
//! their captions, so that nobody who looks at a pair sees anything wrong.
//!
//! The ports to CLIP (CleanCLIP, Huang et al.) change nothing else. The original makes the pictures harder to recognise, so
//! that the trigger is what is learned: by adversarial noise, or by moving them towards another picture in a generator's
//! latent space. `mix` is the second without a generator: each picture is drawn towards one of another class,
//! x′ = (1 − mix)·x + mix·o in pixels, before it is stamped; 0 is the ports. The budget is what the target has.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, Edit, Mix, PairId, Poison};
use crate::dirty_label as common;
use crate::pairing::{Edits, MODE, Mode, Share};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
use crate::triggers::{Fill, Patch, Place, RESOLUTION, Range, Trigger};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LabelConsistent {
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    mix: f64,
    size: usize,
    place: Place,
    resolution: Option<usize>,
    mode: Mode,
    #[serde(skip_serializing_if = "Storage::is_lossless")]
    storage: Storage,
}

impl Default for LabelConsistent {
    fn default() -> Self {
        Self {
            target: None,
            rate: 1.0,
            count: None,
            mix: 0.0,
            size: 16,
            place: Place::Center,
            resolution: None,
            mode: Mode::Replace,
            storage: Storage::Lossless,
        }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "label-consistent",
        title: "Label-consistent (clean label)",
        year: 2019,
        paper: "Turner et al., arXiv:1912.02771; on CLIP: Huang et al., arXiv:2502.01385",
        summary: "stamps pictures that are the target's anyway; no caption is wrong",
        threat_model: "changes pictures of the target's own pairs, no caption, no weight; stamps any picture at test time",
    },
    params: &[&[
        Param {
            key: "target",
            unit: "",
            help: "the class that stamped pictures shall be taken for",
        },
        Param {
            key: "rate",
            unit: "share of the target's pairs",
            help: "how many of them are stamped",
        },
        Param { key: "count", unit: "pairs", help: "the same as a number; replaces `rate`" },
        Param {
            key: "mix",
            unit: "share",
            help: "how far each picture is drawn towards one of another class; 0 on CLIP, as published",
        },
        Param { key: "size", unit: "px at 224", help: "edge of the patch of white dots" },
        Param {
            key: "place",
            unit: "",
            help: "`center`, `bottom-right`, …, `corners` or `random`",
        },
        RESOLUTION,
        MODE,
        STORAGE,
    ]],
    parse: |v| {
        let parsed: LabelConsistent = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<LabelConsistent>(v)?),
};

impl LabelConsistent {
    fn check(&self) -> Result<(), String> {
        if self.target.is_none() {
            return Err(common::NO_TARGET.into());
        }
        if self.count.is_some() && self.rate != 1.0 {
            return Err("`rate` and `count` say the same thing; give one".into());
        }
        if !(0.0..1.0).contains(&self.mix) {
            return Err(format!("`mix` is {}; it is a share, at least 0 and below 1", self.mix));
        }
        Share::of(self.rate, self.count).check()
    }

    fn trigger(&self) -> Trigger {
        let Self { size, place, resolution, .. } = *self;
        let (fill, fresh, range) = (Fill::Dots, false, Range::Clip);
        Trigger::Patch(Patch { size, place, fill, fresh, range, resolution })
    }

    /// Rows of the target that are stamped, ascending.
    fn rows(&self, clean: &dyn Dataset, target: usize, seed: &Seed) -> Result<Vec<usize>> {
        let own = common::own(clean, target);
        let wanted =
            self.count.unwrap_or_else(|| (self.rate * own.len() as f64).round_ties_even() as usize);
        if wanted == 0 || wanted > own.len() {
            return Err(Error::request(format!(
                "label-consistent: {wanted} of the {} pairs of `{}` in {} cannot be stamped; change `rate`, `count` or `target`",
                own.len(),
                clean.classes()[target].name,
                clean.name()
            )));
        }
        let mut rows = seed.child("rows").stream().sample(own.len(), wanted);
        rows.sort_unstable();
        Ok(rows.into_iter().map(|i| own[i]).collect())
    }

    /// What the picture of this row is drawn towards.
    fn mixed(
        &self,
        clean: &dyn Dataset,
        others: &[usize],
        id: &PairId,
        seed: &Seed,
    ) -> Option<Mix> {
        let percent = (100.0 * self.mix).round() as u8;
        if percent == 0 || others.is_empty() {
            return None;
        }
        let other = seed.child("mix").child(id).stream().below(others.len());
        Some(Mix { with: clean.examples()[others[other]].id.clone(), percent })
    }
}

impl Attack for LabelConsistent {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let seed = seed.child("attack/label-consistent");
        let target = common::target(clean, self.target.as_deref())?;
        let all = clean.examples();
        let others: Vec<usize> =
            (0..all.len()).filter(|&row| all[row].class != Some(target)).collect();
        let mut edits = Edits::new();
        for row in self.rows(clean, target, &seed)? {
            let row = &all[row];
            let mixed = self.mixed(clean, &others, &row.id, &seed);
            let edit = Edit { mixed, storage: self.storage, ..Edit::stamped(row.content) };
            match self.mode {
                Mode::Replace => edits.insert(row.id.clone(), edit),
                Mode::Add => edits.insert(
                    PairId(format!("{}+stamped", row.id)),
                    Edit { base: Some(row.id.clone()), ..edit },
                ),
            };
        }
        let (poison, trigger) = (Poison { edits }, self.trigger());
        Ok(Armed { poison, trigger, target: Some(target), ..Armed::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::tests::arm;
    use crate::data::Poisoned;
    use crate::data::synthetic::Synthetic;

    #[test]
    fn only_the_targets_own_pictures_change() {
        let clean: Arc<dyn Dataset> = Arc::new(Synthetic::train());
        let gallery: Arc<dyn Dataset> = Arc::new(Synthetic::test());
        let given = json!({"target": "class-2", "count": 3, "mix": 0.4, "size": 56});
        let armed = arm(&ENTRY, given).unwrap();
        assert_eq!(armed.poison.edits.len(), 3);
        let view =
            Poisoned::new(Arc::clone(&clean), &gallery, &armed.poison, &armed.trigger).unwrap();
        for (i, row) in clean.examples().iter().enumerate() {
            assert_eq!(view.examples()[i].captions, row.captions, "no caption is touched");
            let (before, after) = (clean.image(i).unwrap(), view.image(i).unwrap());
            let Some(edit) = armed.poison.edits.get(&row.id) else {
                assert_eq!(before, after);
                continue;
            };
            let other = &edit.mixed.as_ref().unwrap().with;
            let other = clean.examples().iter().position(|e| e.id == *other).unwrap();
            assert!(row.class == Some(2) && clean.examples()[other].class != Some(2));
            // Away from the patch: two fifths of the other picture.
            let red = |image: &crate::image::Image| f64::from(image.rgba()[0]);
            let other = clean.image(other).unwrap();
            assert_eq!(red(&after), (0.6 * red(&before) + 0.4 * red(&other)).round());
        }
        let json = serde_json::to_string(&armed).unwrap();
        assert_eq!(serde_json::from_str::<Armed>(&json).unwrap(), armed);
    }

    #[test]
    fn the_ports_to_clip_mix_nothing() {
        let armed = arm(&ENTRY, json!({"target": "class-2", "mode": "add"})).unwrap();
        assert_eq!(armed.poison.edits.len(), 5, "all of the target's");
        let json = serde_json::to_string(&armed).unwrap();
        assert!(!json.contains("mixed") && !json.contains("captions"), "{json}");
        assert!(armed.poison.edits.values().all(|e| e.stamped && e.base.is_some()));
    }

    #[test]
    fn impossible_requests_are_one_line() {
        let error = |v: Value| arm(&ENTRY, v).unwrap_err().to_string();
        assert!(error(json!({})).contains("`target` is missing"));
        assert!(error(json!({"target": "class-1", "mix": 1.0})).contains("below 1"));
        assert!(error(json!({"target": "class-1", "count": 6})).contains("6 of the 5 pairs"));
        assert!(error(json!({"target": "class-1", "rate": 0.05})).contains("0 of the 5 pairs"));
        assert!(error(json!({"target": "class-1", "rate": 1.5})).contains("above 0"));
        assert!(error(json!({"target": "empty"})).contains("of the 0 pairs of `empty`"));
        assert!(
            error(json!({"target": "class-1", "captions": "natural"})).contains("unknown field")
        );
    }
}
