//! Activation clustering (Chen et al. 2018): a group's pictures are parted in two, and the smaller part is suspicious.
//!
//! The embeddings of a group are reduced to 10 components and parted by 2-means, the best of ten starts (Arthur and
//! Vassilvitskii 2007). The paper reduces by independent components, here by principal ones of unit variance: those of
//! FastICA are the same up to a rotation, which moves no distance, so that both see the same clusters. With m the share of
//! its group that a picture's part holds, score = ½ − m, and what scores above ½ − `share` goes: with the default every
//! smaller part, as in SCLBD's BackdoorBench. A group that does not exceed its components is not parted: it scores 0 and
//! stays. Pairs have no classes: a group is all that is offered, or all rows whose captions name a class (`group =
//! "class-word"`), those that name none being one more. The method expects the poison to be the smaller part of its group.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::filtering::{self, Detector, GROUP, Grouping, LOOK};
use crate::pca;
use crate::registry::{Card, Entry, Param};
use crate::seed::{Seed, Stream};

const STARTS: usize = 100;
const ROUNDS: usize = 300;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ActivationClustering {
    components: usize,
    share: f64,
    group: Grouping,
}

impl Default for ActivationClustering {
    fn default() -> Self {
        Self { components: 10, share: 0.5, group: Grouping::None }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "activation-clustering",
        title: "Activation clustering",
        year: 2018,
        paper: "Chen et al., arXiv:1811.03728",
        summary: "parts the pictures of a group in two in the poisoned model's embeddings and drops the smaller part",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[
        &[
            Param {
                key: "components",
                unit: "",
                help: "components that embeddings are reduced to",
            },
            Param {
                key: "share",
                unit: "share of a group",
                help: "parts that hold less of their group go; 0.5 is the smaller one, whatever its size",
            },
            GROUP,
        ],
        LOOK[0],
        LOOK[1],
    ],
    parse: filtering::parse::<ActivationClustering>,
    resolve: filtering::resolve::<ActivationClustering>,
};

impl Detector for ActivationClustering {
    const NAME: &'static str = "activation-clustering";

    fn check(&self) -> Result<(), String> {
        if self.components == 0 {
            return Err("`components` is 0; give at least one".into());
        }
        match self.share > 0.0 && self.share <= 0.5 {
            true => Ok(()),
            false => Err(format!("`share` is {}; it must be above 0 and at most 0.5", self.share)),
        }
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        let pictures = (sight.pictures)()?;
        let mut scores = vec![0.0; pictures.len()];
        for rows in self.group.groups(sight, pictures.len()) {
            if rows.len() <= self.components {
                continue;
            }
            let points: Vec<&[f32]> = rows.iter().map(|&row| pictures.row(row)).collect();
            let second = part(&self.reduce(&points), &seed.child(rows[0]));
            let held = second.iter().filter(|s| **s).count() as f64 / rows.len() as f64;
            for (row, second) in rows.into_iter().zip(second) {
                scores[row] = 0.5 - if second { held } else { 1.0 - held };
            }
        }
        Ok(scores)
    }

    fn cut(&self, _scores: &[f32]) -> Result<f32> {
        Ok((0.5 - self.share) as f32)
    }
}

impl ActivationClustering {
    /// Coordinates of unit variance, one row a point.
    fn reduce(&self, points: &[&[f32]]) -> Vec<Vec<f64>> {
        let spread =
            |axis: &[f64]| (axis.iter().map(|x| x * x).sum::<f64>() / axis.len() as f64).sqrt();
        let mut axes = pca::axes(points, self.components);
        let widest = axes.first().map_or(0.0, |axis| spread(axis));
        // Rounding alone is no direction.
        axes.retain(|axis| spread(axis) > 1e-6 * widest);
        for axis in &mut axes {
            let spread = spread(axis);
            axis.iter_mut().for_each(|x| *x /= spread);
        }
        (0..points.len()).map(|i| axes.iter().map(|axis| axis[i]).collect()).collect()
    }
}

/// 2-means: whether each point is in the second part.
fn part(points: &[Vec<f64>], seed: &Seed) -> Vec<bool> {
    let start = |i: usize| two_means(points, &mut seed.child(i).stream());
    let mut best = (f64::INFINITY, vec![false; points.len()]);
    for found in (0..STARTS).map(start) {
        if found.0 < best.0 {
            best = found;
        }
    }
    best.1
}

/// Lloyd's rounds from a point drawn evenly and one drawn by its squared distance to the first; with the sum of squares.
fn two_means(points: &[Vec<f64>], stream: &mut Stream) -> (f64, Vec<bool>) {
    let first = points[stream.below(points.len())].clone();
    let far: Vec<f64> = points.iter().map(|p| square(p, &first)).collect();
    let mut left = f64::from(stream.uniform()) * far.iter().sum::<f64>();
    let drawn = far.iter().position(|f| {
        left -= f;
        left < 0.0
    });
    let mut centres = [first, points[drawn.unwrap_or(points.len() - 1)].clone()];
    let mut second = Vec::new();
    for _ in 0..ROUNDS {
        let nearer = |p: &Vec<f64>| square(p, &centres[1]) < square(p, &centres[0]);
        let now: Vec<bool> = points.iter().map(nearer).collect();
        if now == second {
            break;
        }
        second = now;
        for (side, centre) in centres.iter_mut().enumerate() {
            let own = || points.iter().zip(&second).filter(|(_, s)| **s == (side == 1));
            let count = own().count();
            if count > 0 {
                let mean = |d: usize| own().map(|(p, _)| p[d]).sum::<f64>() / count as f64;
                *centre = (0..centre.len()).map(mean).collect();
            }
        }
    }
    let apart = |(p, s): (&Vec<f64>, &bool)| square(p, &centres[usize::from(*s)]);
    (points.iter().zip(&second).map(apart).sum(), second)
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filtering::grouped::{Case, golden};

    /// How many scores are others than FastICA's and scikit-learn's 2-means give.
    fn differing(case: &Case, group: Grouping, golden: &[f64]) -> usize {
        let own = ActivationClustering { components: 5, group, ..ActivationClustering::default() };
        let scores = case.scores(&own);
        scores.iter().zip(golden).filter(|(a, b)| (*a - *b).abs() > 1e-9).count()
    }

    #[test]
    fn clusters_are_those_of_independent_components() {
        let case = golden("clustering");
        assert_eq!(differing(&case, Grouping::None, &case.whole), 0);
        assert_eq!(differing(&case, Grouping::ClassWord, &case.parted), 0);
    }

    #[test]
    fn the_comparison_can_fail() {
        let case = golden("clustering");
        assert!(differing(&case, Grouping::None, &case.parted) > 0);
        let turned: Vec<f64> = case.whole.iter().map(|s| -s).collect();
        assert_eq!(differing(&case, Grouping::None, &turned), turned.len());
    }

    #[test]
    fn equal_points_are_one_part() {
        let second = part(&vec![vec![1.0, 2.0]; 5], &Seed::new(0));
        assert!(second.iter().all(|s| s == &second[0]));
    }
}
