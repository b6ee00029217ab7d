//! How empty the surroundings of an embedding are (Huang et al. 2025, arXiv:2502.01385): poisoned samples are said to lie
//! where the embedding space of the model that they poisoned is sparse.
//!
//! Distances are Euclidean, between embeddings as they come out of an encoder, not normalised. With r₁ ≤ r₂ ≤ … the
//! distances of sample i to the references (itself left out) and N its k nearest ones:
//!
//! * k-distance: r_k.
//! * SLOF (Schubert, Zimek and Kriegel 2014): mean over j in N of r_k(i) / r_k(j).
//! * LID (Levina and Bickel 2004; Amsaleg et al. 2015): −k / Σ_{m = 1…k} ln(r_m / r_{k+1} + 10⁻⁴).
//! * DAO (Anderberg et al. 2024): mean over j in N of LID(j) · ln(r_k(i) / r_k(j)).
//!
//! All of them are higher where it is emptier. Where equal embeddings leave no number (0/0), the score is 1000, the value
//! of the published code; its infinities become 1000 and 0 there too.
//!
//! The published code of the paper departs from its formulae in three ways, which [`Rule::Released`] repeats: a sample's
//! own r is that of the neighbour k + 1 where a neighbour's is that of its k-th; the zero distance of a neighbour to itself
//! counts in its LID; and the positions of neighbours, found in a list without the sample itself, are looked up in the list
//! with it, so that all behind it are mistaken for their predecessor.

mod local;

pub(crate) use local::{BATCH, K, Local, NEIGHBOURS, NORMALIZE};

use crate::{Error, Result};

/// Added inside the logarithm of LID.
const SMALL: f64 = 1e-4;
/// The score where a formula gives no number, or an infinite one.
const NO_NUMBER: f64 = 1000.0;

/// Which reading of the formulae.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As they are written.
    Formula,
    /// As the published code computes them.
    Released,
}

impl Rule {
    /// The rule of a parameter `compat`.
    pub fn of(compat: bool) -> Self {
        if compat { Self::Released } else { Self::Formula }
    }
}

/// The k + 1 references next to a sample, the nearest first, equally near ones in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    distances: Vec<f64>,
    who: Vec<usize>,
    /// The sample's own place among the references.
    own: usize,
}

/// Neighbours of every vector of `vectors`, (N, dim), among the others.
///
/// # Errors
/// If there are no k + 1 others, or k is 0.
pub fn among(vectors: &[f32], dim: usize, k: usize) -> Result<Vec<Neighbours>> {
    let all = vectors.chunks_exact(dim);
    all.enumerate().map(|(own, query)| nearest(query, vectors, own, k)).collect()
}

fn nearest(query: &[f32], references: &[f32], own: usize, k: usize) -> Result<Neighbours> {
    let others = references.chunks_exact(query.len()).enumerate().filter(|(j, _)| *j != own);
    let mut all: Vec<(f64, usize)> =
        others.map(|(j, other)| (euclidean(query, other), j)).collect();
    if k == 0 || all.len() <= k {
        return Err(Error::request(format!(
            "{k} neighbours are asked for and a sample has {} others; a density needs at least one neighbour and one other more",
            all.len()
        )));
    }
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    all.select_nth_unstable_by(k, order);
    all.truncate(k + 1);
    all.sort_unstable_by(order);
    let (distances, who) = all.into_iter().unzip();
    Ok(Neighbours { distances, who, own })
}

fn euclidean(a: &[f32], b: &[f32]) -> f64 {
    let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

impl Neighbours {
    fn k(&self) -> usize {
        self.distances.len() - 1
    }

    /// r_k, or what the published code takes for it.
    pub fn k_distance(&self, rule: Rule) -> f64 {
        match rule {
            Rule::Formula => self.distances[self.k() - 1],
            Rule::Released => self.distances[self.k()],
        }
    }

    /// Local intrinsic dimension by maximum likelihood.
    pub fn lid(&self) -> f64 {
        finite(lid(&self.distances))
    }

    /// Local intrinsic dimension by the method of moments (Amsaleg et al. 2015): μ / (r_{k+1} − μ) with μ the mean of
    /// r₁ … r_k.
    pub fn lid_by_moments(&self) -> f64 {
        let (last, first) = (self.distances[self.k()], &self.distances[..self.k()]);
        let mean = first.iter().sum::<f64>() / first.len() as f64;
        finite(mean / (last - mean))
    }

    /// Simplified local outlier factor; `all` are the neighbours of the references among themselves.
    pub fn slof(&self, all: &[Self], rule: Rule) -> f64 {
        let own = self.k_distance(rule);
        finite(self.mean(all, rule, |j| own / j.radius()))
    }

    /// Dimensionality-aware outlier score; `all` are the neighbours of the references among themselves.
    pub fn dao(&self, all: &[Self], rule: Rule) -> f64 {
        let own = self.k_distance(rule);
        finite(self.mean(all, rule, |j| j.lid_as_neighbour(rule) * (own / j.radius()).ln()))
    }

    /// Mean over the k nearest.
    fn mean(&self, all: &[Self], rule: Rule, value: impl Fn(&Self) -> f64) -> f64 {
        let place = |j: usize| match rule {
            Rule::Released if j > self.own => j - 1,
            _ => j,
        };
        let nearest = &self.who[..self.k()];
        nearest.iter().map(|&j| value(&all[place(j)])).sum::<f64>() / nearest.len() as f64
    }

    /// r_k of a neighbour; in the published code that is the k-th entry of a list that begins with 0: the same.
    fn radius(&self) -> f64 {
        self.distances[self.k() - 1]
    }

    fn lid_as_neighbour(&self, rule: Rule) -> f64 {
        match rule {
            Rule::Formula => lid(&self.distances),
            Rule::Released => {
                let with_self: Vec<f64> =
                    [0.0].iter().chain(&self.distances[..self.k()]).copied().collect();
                lid(&with_self)
            }
        }
    }
}

/// LID of k + 1 ascending distances.
fn lid(distances: &[f64]) -> f64 {
    let Some((last, first)) = distances.split_last() else { return f64::NAN };
    -(first.len() as f64) / first.iter().map(|r| (r / last + SMALL).ln()).sum::<f64>()
}

fn finite(score: f64) -> f64 {
    match score {
        s if s == f64::NEG_INFINITY => 0.0,
        s if s.is_finite() => s,
        _ => NO_NUMBER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of a line, where everything can be computed by hand.
    fn line(points: &[f32], k: usize) -> Vec<Neighbours> {
        among(points, 1, k).unwrap()
    }

    #[test]
    fn a_line_by_hand() {
        let all = line(&[0.0, 1.0, 3.0, 7.0], 2);
        // From 0: distances 1, 3, 7; from 1: 1, 2, 6; from 3: 2, 3, 4.
        assert_eq!(all[0].k_distance(Rule::Formula), 3.0);
        assert_eq!(all[0].k_distance(Rule::Released), 7.0);
        let slof = f64::midpoint(3.0 / 2.0, 3.0 / 3.0);
        assert!((all[0].slof(&all, Rule::Formula) - slof).abs() < 1e-12);
        // The released code takes itself for its first neighbour and the first for the second.
        let released = f64::midpoint(7.0 / 3.0, 7.0 / 2.0);
        assert!((all[0].slof(&all, Rule::Released) - released).abs() < 1e-12);
        let lid = -2.0 / ((1.0f64 / 7.0 + 1e-4).ln() + (3.0f64 / 7.0 + 1e-4).ln());
        assert!((all[0].lid() - lid).abs() < 1e-12);
        assert!((all[0].lid_by_moments() - 2.0 / (7.0 - 2.0)).abs() < 1e-12);
    }

    #[test]
    fn the_far_and_the_odd_score_high() {
        let points: Vec<f32> = (0..20).map(|i| i as f32 * 0.1).chain([9.0]).collect();
        let all = line(&points, 3);
        let scores = |of: &dyn Fn(&Neighbours) -> f64| all.iter().map(of).collect::<Vec<f64>>();
        let far = |scores: &[f64]| scores[..20].iter().all(|s| *s < scores[20]);
        for rule in [Rule::Formula, Rule::Released] {
            assert!(far(&scores(&|n| n.k_distance(rule))));
            assert!(far(&scores(&|n| n.slof(&all, rule))));
            assert!(far(&scores(&|n| n.dao(&all, rule))));
        }
    }

    #[test]
    fn equal_points_have_scores_and_few_have_none() {
        let all = line(&[2.0; 6], 3);
        for n in &all {
            assert_eq!((n.k_distance(Rule::Formula), n.lid()), (0.0, NO_NUMBER));
            assert_eq!((n.slof(&all, Rule::Formula), n.dao(&all, Rule::Formula)), (1e3, 1e3));
        }
        let error = among(&[0.0, 1.0, 2.0], 1, 2).unwrap_err().to_string();
        assert!(error.contains("2 neighbours are asked for and a sample has 2 others"), "{error}");
        assert!(among(&[0.0, 1.0, 2.0], 1, 0).is_err());
        assert_eq!(finite(f64::NEG_INFINITY), 0.0);
    }
}
