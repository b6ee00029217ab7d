//! DAO on inputs: the dimensionality-aware outlier score of Huang et al. 2025, which they give to training pairs, for the
//! embedding of a test picture among those of clean held pictures.
//!
//! Distances are Euclidean between unit image embeddings. a are those of the input to all references, D_j those of
//! reference j to all others, both ascending from index 0 and without the point itself; NN the k references nearest to the
//! input. LID_j = −k / Σ_{m<k} ln(D_j[m] / D_j[k] + 10⁻⁴) is the local dimension, and the number the mean over j in NN of
//! LID_j · ln(a[k] / D_j[k]); NaN and +∞ count as 1000, −∞ as 0; high is suspicious. The published code scores a batch of
//! possibly poisoned pairs against itself, keeps the point among its own neighbours' distances, and does not normalise
//! embeddings; here the references are clean and an input is none of them.

use serde::{Deserialize, Serialize};

use super::Defense;
use crate::Result;
use crate::registry::{Card, Entry, Param};
use crate::screen::{self, Look, Scene, Scorer, Suspicious};
use crate::seed::Seed;

/// What stands for a number without bound.
const LARGEST: f64 = 1000.0;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DaoInput {
    k: usize,
}

impl Default for DaoInput {
    fn default() -> Self {
        Self { k: 16 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "dao-input",
        title: "DAO on inputs",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385",
        summary: "rejects inputs whose embedding lies apart from those of clean pictures, local dimension considered",
        threat_model: "the defender asks the image tower of the deployed model, has some clean pictures, and sees every input",
    },
    params: &[
        &[Param { key: "k", unit: "pictures", help: "neighbours of an input and of a reference" }],
        screen::PARAMS,
    ],
    parse: screen::parse::<DaoInput>,
    resolve: screen::resolve::<DaoInput>,
};

impl Look for DaoInput {
    const NAME: &'static str = "dao-input";
    const SUSPICIOUS: Suspicious = Suspicious::High;

    fn check(&self) -> Result<(), String> {
        match self.k {
            0 | 1 => Err(format!("`k` is {}; a dimension needs at least 2 neighbours", self.k)),
            _ => Ok(()),
        }
    }

    /// Besides its k neighbours a reference needs one more, and is none of its own.
    fn references(&self) -> usize {
        self.k + 2
    }

    fn measure<'a>(&'a self, scene: &Scene<'a>, _seed: &Seed) -> Result<Scorer<'a>> {
        let (model, width) = (scene.model, scene.width());
        let references = model.images(scene.references)?;
        let local: Vec<Local> = (0..references.len() / width)
            .map(|j| {
                let own = &references[j * width..(j + 1) * width];
                let mut all = distances(own, &references, width);
                all.remove(j);
                Local::new(all, self.k)
            })
            .collect();
        Ok(Box::new(move |pictures| {
            let images = model.images(pictures)?;
            let one = |x: &[f32]| match x.iter().chain(&references).all(|v| v.is_finite()) {
                true => dao(&distances(x, &references, width), &local, self.k) as f32,
                // Not one of the numbers without bound: the model is broken.
                false => f32::NAN,
            };
            Ok(images.chunks_exact(width).map(one).collect())
        }))
    }
}

/// A reference among the others.
struct Local {
    /// Distance to its (k+1)-th neighbour, D[k].
    radius: f64,
    dimension: f64,
}

impl Local {
    fn new(mut distances: Vec<f64>, k: usize) -> Self {
        distances.sort_unstable_by(f64::total_cmp);
        let radius = distances[k];
        let sum: f64 = distances[..k].iter().map(|d| (d / radius + 1e-4).ln()).sum();
        Self { radius, dimension: -(k as f64) / sum }
    }
}

/// Distances of a vector to others. Their cosines would not do: near 1 they have too few digits.
fn distances(x: &[f32], others: &[f32], width: usize) -> Vec<f64> {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let distance = |y: &[f32]| x.iter().zip(y).map(square).sum::<f64>().sqrt();
    others.chunks_exact(width).map(distance).collect()
}

fn dao(distances: &[f64], references: &[Local], k: usize) -> f64 {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]).then(i.cmp(&j)));
    let radius = distances[order[k]];
    let part = |&j: &usize| references[j].dimension * (radius / references[j].radius).ln();
    match order[..k].iter().map(part).sum::<f64>() / k as f64 {
        score if score.is_nan() || score == f64::INFINITY => LARGEST,
        f64::NEG_INFINITY => 0.0,
        score => score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_bound_have_a_place() {
        let local = |radius| Local { radius, dimension: 2.0 };
        let score = |radius, distances: &[f64]| {
            dao(distances, &[local(radius), local(radius), local(radius)], 2)
        };
        assert_eq!(score(0.0, &[0.1, 0.2, 0.3]), LARGEST, "a reference among its doubles");
        assert_eq!(score(0.0, &[0.0, 0.0, 0.0]), LARGEST, "and the input is another");
        assert_eq!(score(0.5, &[0.0, 0.0, 0.0]), 0.0);
        assert!(score(0.5, &[0.1, 0.2, 1.0]) > score(0.5, &[0.1, 0.2, 0.6]));
    }
}
