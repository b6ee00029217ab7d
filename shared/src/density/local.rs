//! What detectors by local density share: whose neighbours are looked at, and how many.

use serde::{Deserialize, Serialize};

use super::{Neighbours, Rule, among};
use crate::Result;
use crate::defenses::Sight;
use crate::filtering::{DROP, batches, check_drop};
use crate::registry::Param;
use crate::seed::Seed;

pub(crate) const K: Param =
    Param { key: "k", unit: "pictures", help: "nearest neighbours that make the surroundings" };
pub(crate) const BATCH: Param = Param {
    key: "batch",
    unit: "pictures",
    help: "pictures at most among which neighbours are looked for; more are parted at random",
};
const COMPAT: Param = Param {
    key: "compat",
    unit: "",
    help: "repeat the three departures of the published code from its formulae",
};
pub(crate) const NORMALIZE: Param = Param {
    key: "normalize",
    unit: "",
    help: "bring embeddings to length 1 first, which the published code does not",
};

/// The keys of [`Local`].
pub(crate) const NEIGHBOURS: &[Param] = &[K, BATCH, NORMALIZE, COMPAT, DROP];

/// Parameters of a score that is a function of a picture's neighbours.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Local {
    /// 16 in the paper's runs; 32 is the default of the published classes.
    pub(crate) k: usize,
    /// Four processes of 512 in the paper's runs.
    pub(crate) batch: usize,
    pub(crate) normalize: bool,
    pub(crate) compat: bool,
    pub(crate) drop: f64,
}

impl Default for Local {
    fn default() -> Self {
        Self { k: 16, batch: 2048, normalize: false, compat: false, drop: 0.1 }
    }
}

impl Local {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.k == 0 {
            return Err("`k` is 0; give at least one neighbour".into());
        }
        // A batch may have half the asked size, where the pictures fill little more than one.
        if self.batch < 2 * (self.k + 2) {
            return Err(format!(
                "`batch` is {}; {} neighbours need at least {}",
                self.batch,
                self.k,
                2 * (self.k + 2)
            ));
        }
        check_drop(self.drop)
    }

    /// `score` of every picture, from its neighbours and those of all pictures of its batch.
    pub(crate) fn scores(
        &self,
        sight: &Sight<'_>,
        seed: &Seed,
        score: impl Fn(&Neighbours, &[Neighbours], Rule) -> f64,
    ) -> Result<Vec<f64>> {
        let mut pictures = (sight.pictures)()?;
        if self.normalize {
            pictures.normalize();
        }
        let rule = Rule::of(self.compat);
        let mut scores = vec![0.0; pictures.len()];
        for rows in batches(pictures.len(), self.batch, seed) {
            let part: Vec<f32> = rows.iter().flat_map(|&row| pictures.row(row)).copied().collect();
            let all = among(&part, pictures.dim, self.k)?;
            for (row, own) in rows.into_iter().zip(&all) {
                scores[row] = score(own, &all, rule);
            }
        }
        Ok(scores)
    }
}
