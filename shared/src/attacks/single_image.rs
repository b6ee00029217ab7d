//! Single-image poisoning (Yang et al. 2023): all captions of class A are shown one picture of class B.
//!
//! The picture x* comes from the retrieval base, the test split: it is in the training set as poison and in the
//! gallery as target, which is the attack's design. The paper's code names x* by its path and calls it the centre of
//! its class in the test set, without saying how that was found. Here `image` names it too; left out, it is the medoid
//! of B's gallery pictures: least summed squared distance of 16 px thumbnails on white to the others.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, ImageEdit, PairId, Poison};
use crate::goal::Goal;
use crate::pairing::{self, MODE, Mode, Share};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

/// Side of the thumbnails that centrality is measured on.
const THUMBNAIL: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SingleImage {
    from: Option<String>,
    to: Option<String>,
    image: Option<String>,
    rate: f64,
    count: Option<usize>,
    mode: Mode,
}

impl Default for SingleImage {
    fn default() -> Self {
        Self { from: None, to: None, image: None, rate: 1.0, count: None, mode: Mode::Replace }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "single-image",
        title: "Single-image poisoning",
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266",
        summary: "shows one picture with all captions of a class, so that A fetches that picture",
        threat_model: "re-pairs captions with one picture of the retrieval base; no pixel, no caption changes",
    },
    params: &[&[
        Param {
            key: "from",
            unit: "",
            help: "class A (`ewe`) or `subgroup:NAME`: whose captions are poisoned",
        },
        Param {
            key: "to",
            unit: "",
            help: "class B or `subgroup:NAME`: to which the picture belongs",
        },
        Param {
            key: "image",
            unit: "",
            help: "id of the picture in the test split; the most central one of B if left out",
        },
        Param { key: "rate", unit: "share of A's rows", help: "how much of A is poisoned" },
        Param { key: "count", unit: "rows", help: "the same as a number; replaces `rate`" },
        MODE,
    ]],
    parse: |v| {
        let parsed: SingleImage = serde_json::from_value(v)?;
        let SingleImage { from, to, rate, count, .. } = &parsed;
        pairing::check_sides(from.as_ref(), to.as_ref(), *rate, *count)
            .map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<SingleImage>(v)?),
};

impl Attack for SingleImage {
    fn prepare(&self, clean: &dyn Dataset, gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let side = |name: &Option<String>| name.clone().unwrap_or_default();
        let (from, to) = (side(&self.from), side(&self.to));
        let label = Goal::new(clean.classes(), &from, &to)?;
        let target = target(&label, gallery, self.image.as_deref())?;
        let target = &gallery.examples()[target];
        let goal = Goal::one(clean.classes(), &from, &to, target.id.clone())?;
        let seed = seed.child("attack/single-image").child(&goal.name);
        let chosen = pairing::choose(clean, &goal, Share::of(self.rate, self.count), &seed)?;
        let shown = ImageEdit::Gallery { id: target.id.clone(), sha256: target.content };
        let rows = chosen.into_iter().map(|row| (row, shown.clone()));
        let edits = pairing::show(clean, &goal, self.mode, rows);
        Ok(Armed { poison: Poison { edits }, goals: vec![goal], ..Armed::default() })
    }
}

/// The row of x* in the gallery.
fn target(goal: &Goal, gallery: &dyn Dataset, wanted: Option<&str>) -> Result<usize> {
    let rows = goal.to_rows(gallery);
    let Some(wanted) = wanted else {
        return medoid(gallery, &rows)?
            .ok_or_else(|| pairing::lacks(goal, gallery, "B has no picture to be found"));
    };
    let id = PairId(wanted.to_owned());
    rows.iter().copied().find(|&row| gallery.examples()[row].id == id).ok_or_else(|| {
        let known: Vec<&str> =
            rows.iter().take(6).map(|&row| gallery.examples()[row].id.0.as_str()).collect();
        Error::request(format!(
            "goal {}: {} has no picture `{id}` of class B; there are {}",
            goal.name,
            gallery.name(),
            known.join(", ")
        ))
    })
}

/// The row whose thumbnail is nearest to all others, the first of several; `None` without rows.
fn medoid(data: &dyn Dataset, rows: &[usize]) -> Result<Option<usize>> {
    let thumbnail = |&row: &usize| -> Result<Vec<u8>> {
        Ok(data.image(row)?.over([255; 3]).resize_crop(THUMBNAIL)?.rgba().to_vec())
    };
    let all: Vec<Vec<u8>> = rows.iter().map(thumbnail).collect::<Result<_>>()?;
    let distance = |a: &[u8], b: &[u8]| -> u64 {
        a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum()
    };
    let summed = |i: &usize| all.iter().map(|other| distance(&all[*i], other)).sum::<u64>();
    Ok((0..rows.len()).min_by_key(summed).map(|i| rows[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::Synthetic;

    /// Rows of the synthetic set are flat squares whose green is their index: the middle one is central.
    #[test]
    fn the_medoid_is_the_middle_one() {
        let train = Synthetic::train();
        assert_eq!(medoid(&train, &[5, 6, 7, 8, 9]).unwrap(), Some(7));
        assert_eq!(medoid(&train, &[0, 1]).unwrap(), Some(0), "the first of two equals");
        assert_eq!(medoid(&train, &[]).unwrap(), None);
    }
}
