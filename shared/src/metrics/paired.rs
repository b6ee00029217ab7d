//! Two models on the same queries: how far apart they are, and whether chance among the queries could do that.
//!
//! * Test: were neither model better, then in every cluster of queries the two could change places. p is the
//!   share of all 2^clusters such exchanges whose difference is at least as large as the one seen (Fisher 1935,
//!   Pitman 1937), counted exactly. Where a cluster is one query that hits or misses, this is McNemar's exact
//!   test (1947). A cluster changes places as a whole, over its captions and over all seeds.
//! * Interval: [`hierarchical`] bootstrap of the differences per query, over seeds and clusters.
//!
//! The test takes the trained models as they are; only the interval speaks of other seeds. Whoever calls a
//! difference clear should ask for both.

use std::collections::BTreeMap;

use super::interval::{Clusters, Interval, Outcome, hierarchical};
use super::{Judgement, Metric};
use crate::digest::Digest;
use crate::{Error, Result};

/// What one model answered: one whole number per query, queries in an order of their own.
#[derive(Clone, Debug)]
pub struct Answers {
    queries: Digest,
    clusters: Vec<String>,
    values: Vec<i64>,
}

impl Metric {
    /// The outcomes query by query, for pairing with another model's; `None` without evidence, or where queries
    /// weigh differently (`mpcr`).
    pub fn answers(&self, evidence: &[Judgement]) -> Option<Answers> {
        let mut mine: Vec<&Judgement> = evidence.iter().filter(|j| j.task == self.task).collect();
        mine.sort_by_key(|j| (&j.sample, &j.text, &j.goal));
        let outcomes = (self.outcomes)(&mine);
        let whole = |o: &Outcome| o.weight == 1.0 && o.value.fract() == 0.0;
        if outcomes.is_empty() || outcomes.len() != mine.len() || !outcomes.iter().all(whole) {
            return None;
        }
        let asked: Vec<_> = mine.iter().map(|j| (&j.content, &j.text, &j.goal)).collect();
        Some(Answers {
            queries: Digest::of(&asked),
            clusters: outcomes.iter().map(|o| o.cluster.clone()).collect(),
            values: outcomes.iter().map(|o| o.value as i64).collect(),
        })
    }
}

impl Answers {
    /// Digest of the queries: only answers to the same ones can be compared.
    pub fn queries(&self) -> Digest {
        self.queries
    }

    /// How many queries there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Never for answers of a metric.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// First model minus second, over all seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Mean over seeds of the mean difference per query.
    pub difference: f64,
    /// 95 % interval over seeds and clusters.
    pub interval: Interval,
    /// Two-sided, exact, for these models; not corrected for other comparisons.
    pub p: f64,
    /// Queries, counted once per seed, on which the first model has the larger value.
    pub larger: u64,
    /// Queries, counted once per seed, on which the first model has the smaller value.
    pub smaller: u64,
    /// Clusters of queries.
    pub clusters: usize,
    /// Seeds compared.
    pub seeds: usize,
    /// Seeds whose own mean difference has the sign of the whole.
    pub agreeing: usize,
}

/// Compares two models that were trained with the same seeds: one pair of answers per seed.
///
/// # Errors
/// If there is no seed, or a pair did not answer the same queries.
pub fn compare(seeds: &[(&Answers, &Answers)]) -> Result<Comparison> {
    if seeds.is_empty() {
        return Err(Error::Request(
            "no seed in common; run both models with the same seeds".into(),
        ));
    }
    let (mut flips, mut sums) = (BTreeMap::<&str, i64>::new(), Vec::new());
    let (mut larger, mut smaller) = (0, 0);
    let mut differences = Vec::new();
    for (first, second) in seeds {
        if first.queries != second.queries || first.clusters != second.clusters {
            let why = "two models answered different queries; compare them on the same test data";
            return Err(Error::Request(why.into()));
        }
        let mut outcomes = Vec::new();
        for ((a, b), cluster) in first.values.iter().zip(&second.values).zip(&first.clusters) {
            let d = a - b;
            larger += u64::from(d > 0);
            smaller += u64::from(d < 0);
            *flips.entry(cluster).or_default() += d;
            outcomes.push(Outcome { cluster: cluster.clone(), weight: 1.0, value: d as f64 });
        }
        sums.push(first.values.iter().sum::<i64>() - second.values.iter().sum::<i64>());
        differences.push(Clusters::new(outcomes));
    }
    let means: Vec<f64> = differences.iter().filter_map(Clusters::mean).collect();
    let total: i64 = sums.iter().sum();
    let by_cluster: Vec<i64> = flips.values().copied().collect();
    Ok(Comparison {
        difference: means.iter().sum::<f64>() / means.len() as f64,
        interval: hierarchical(&differences.iter().collect::<Vec<_>>())
            .ok_or_else(|| Error::Request("a seed without queries cannot be compared".into()))?,
        p: exchange_p(&by_cluster),
        larger,
        smaller,
        clusters: by_cluster.len(),
        seeds: seeds.len(),
        agreeing: sums.iter().filter(|s| total != 0 && s.signum() == total.signum()).count(),
    })
}

/// The two-sided p of the sum of `differences` when each could as well have had the other sign.
///
/// Half of all sign patterns are the other half's mirror, so it is enough to count how often a random subset of
/// the magnitudes sums up to at least (total + |sum|) / 2. Memory grows with the total of the magnitudes.
pub fn exchange_p(differences: &[i64]) -> f64 {
    let sum = differences.iter().sum::<i64>().unsigned_abs() as usize;
    if sum == 0 {
        return 1.0;
    }
    let sizes = || differences.iter().map(|d| d.unsigned_abs() as usize).filter(|d| *d > 0);
    let total: usize = sizes().sum();
    // The chance of every subset sum, one magnitude after the other.
    let mut chance = vec![0.0; total + 1];
    chance[0] = 1.0;
    let mut reached = 0;
    for size in sizes() {
        reached += size;
        for s in (0..=reached).rev() {
            let with = if s >= size { chance[s - size] } else { 0.0 };
            chance[s] = f64::midpoint(chance[s], with);
        }
    }
    // From the smallest terms to the largest.
    let tail: f64 = chance[usize::midpoint(total, sum)..].iter().rev().sum();
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sided_luck_of_n_queries_is_a_coin_thrown_n_times() {
        assert!((exchange_p(&[1; 10]) - 2.0_f64.powi(-9)).abs() < 1e-15);
        assert_eq!(exchange_p(&[]), 1.0);
        assert_eq!(exchange_p(&[3, -3, 0]), 1.0);
        assert_eq!(exchange_p(&[5]), 1.0, "one cluster cannot tell");
    }
}
