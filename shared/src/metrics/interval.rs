//! 95 % intervals. Judgements of one cluster (captions of one picture) are not independent; every
//! interval here counts clusters, not judgements.
//!
//! * Rates: Wilson's score interval at the effective sample size n / deff, where deff is the variance
//!   between clusters over that of independent judgements (Korn and Graubard 1998). With one judgement
//!   per cluster it is Wilson's own. Unlike a bootstrap it keeps its width at 0 and 1.
//! * Mean ranks: percentile bootstrap over clusters.
//! * Over seeds, in reports: [`hierarchical`], which redraws seeds and clusters.

use std::collections::BTreeMap;

use super::Judgement;
use crate::digest::Digest;
use crate::seed::{Seed, Stream};

/// How often a bootstrap redraws.
pub const RESAMPLES: usize = 2_000;

/// The 97.5 % quantile of the standard normal.
const Z: f64 = 1.959_963_984_540_054;

/// A judgement as a number: what happened, how much it weighs, and what it shares its luck with.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// See [`Judgement::cluster`].
    pub cluster: String,
    /// 1 except where classes are balanced.
    pub weight: f64,
    /// 0 or 1 for rates, a position for ranks.
    pub value: f64,
}

impl Outcome {
    pub(super) fn new(judgement: &Judgement, value: f64) -> Self {
        Self { cluster: judgement.cluster.clone(), weight: 1.0, value }
    }
}

/// The two ends of a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    value: f64,
    weight: f64,
}

/// Outcomes summed by cluster.
#[derive(Clone, Debug, Default)]
pub struct Clusters {
    sums: BTreeMap<String, Sums>,
    total: Sums,
    count: u64,
    squared_weights: f64,
    /// Σ w²·v and Σ w²·v² over single outcomes, for the variance without clusters.
    squared: Sums,
    digest: Option<Digest>,
}

impl Clusters {
    /// Sums `outcomes` by cluster, in an order of their own: any permutation gives the same bits.
    pub fn new(mut outcomes: Vec<Outcome>) -> Self {
        outcomes.sort_by(|a, b| {
            let by_value = a.value.total_cmp(&b.value).then(a.weight.total_cmp(&b.weight));
            a.cluster.cmp(&b.cluster).then(by_value)
        });
        let mut all = Self { count: outcomes.len() as u64, ..Self::default() };
        let plain: Vec<_> = outcomes.iter().map(|o| (&o.cluster, o.weight, o.value)).collect();
        all.digest = Some(Digest::of(&plain));
        for Outcome { cluster, weight, value } in outcomes {
            let sums = all.sums.entry(cluster).or_default();
            for s in [sums, &mut all.total] {
                s.value += weight * value;
                s.weight += weight;
            }
            all.squared_weights += weight * weight;
            all.squared.value += weight * weight * value;
            all.squared.weight += weight * weight * value * value;
        }
        all
    }

    /// How many outcomes there are.
    pub fn n(&self) -> u64 {
        self.count
    }

    /// The weighted mean, `None` without outcomes.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total.value / self.total.weight)
    }

    /// Wilson's interval of a rate at the effective sample size, `None` without outcomes.
    pub fn wilson(&self) -> Option<Interval> {
        Some(wilson(self.mean()?, self.effective_n()?))
    }

    /// Percentile bootstrap of the mean over clusters, `None` without outcomes. The stream is named
    /// by the outcomes themselves: same evidence, same interval.
    pub fn bootstrap(&self) -> Option<Interval> {
        hierarchical(&[self])
    }

    /// Kish's size of the weights over the design effect of the clusters. Where all outcomes are
    /// equal nothing can be estimated, and clusters count as single observations.
    fn effective_n(&self) -> Option<f64> {
        let mean = self.mean()?;
        let weight = self.total.weight;
        let between: f64 = self.sums.values().map(|s| (s.value - mean * s.weight).powi(2)).sum();
        let single = self.squared.weight - 2.0 * mean * self.squared.value
            + mean * mean * self.squared_weights;
        let clusters = self.sums.len() as f64;
        if single <= 1e-12 * self.squared_weights || self.sums.len() < 2 {
            let squares: f64 = self.sums.values().map(|s| s.weight * s.weight).sum();
            return Some(weight * weight / squares);
        }
        let count = self.count as f64;
        let correction = (clusters / (clusters - 1.0)) / (count / (count - 1.0));
        let design_effect = (correction * between / single).max(1.0);
        Some((weight * weight / self.squared_weights / design_effect).max(1.0))
    }
}

/// Wilson's 95 % score interval of the rate `p` seen in `n` independent trials; `n` may be fractional.
pub fn wilson(p: f64, n: f64) -> Interval {
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
    // The ends at 0 and 1 are exact in theory and off by one rounding in practice.
    let lo = if p <= 0.0 { 0.0 } else { (centre - half).clamp(0.0, p) };
    let hi = if p >= 1.0 { 1.0 } else { (centre + half).clamp(p, 1.0) };
    Interval { lo, hi }
}

/// Interval of the mean over seeds: each resample redraws the seeds and, independently, the clusters.
///
/// The test samples are the same for every seed, so one draw of clusters serves all seeds (Owen's
/// pigeonhole bootstrap, 2007); drawing them per seed would pretend that more seeds are more samples.
/// `None` where a seed has no outcomes.
pub fn hierarchical(seeds: &[&Clusters]) -> Option<Interval> {
    if seeds.is_empty() || seeds.iter().any(|s| s.count == 0) {
        return None;
    }
    let names: BTreeMap<&str, usize> = {
        let all: std::collections::BTreeSet<&str> =
            seeds.iter().flat_map(|s| s.sums.keys().map(String::as_str)).collect();
        all.into_iter().enumerate().map(|(i, name)| (name, i)).collect()
    };
    let mut digests: Vec<_> = seeds.iter().map(|s| s.digest).collect();
    digests.sort_unstable();
    let tables: Vec<Vec<Sums>> = order(seeds).iter().map(|s| s.table(&names)).collect();
    let place = Seed::new(0).child("metrics/bootstrap").child(Digest::of(&digests));
    let mut stream = place.stream();
    let mut means: Vec<f64> =
        (0..RESAMPLES).filter_map(|_| resample(&tables, names.len(), &mut stream)).collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { lo: quantile(&means, 0.025)?, hi: quantile(&means, 0.975)? })
}

/// Seeds in the order of their digests, so that the caller's order does not matter.
fn order<'a>(seeds: &[&'a Clusters]) -> Vec<&'a Clusters> {
    let mut ordered = seeds.to_vec();
    ordered.sort_by_key(|s| s.digest);
    ordered
}

impl Clusters {
    /// Sums by position in `names`; a cluster that this seed lacks weighs nothing.
    fn table(&self, names: &BTreeMap<&str, usize>) -> Vec<Sums> {
        let mut table = vec![Sums::default(); names.len()];
        for (name, sums) in &self.sums {
            table[names[name.as_str()]] = *sums;
        }
        table
    }
}

/// One redraw: the mean over drawn seeds of their weighted means over the drawn clusters; `None` if
/// the draw missed every cluster of a seed.
fn resample(tables: &[Vec<Sums>], clusters: usize, stream: &mut Stream) -> Option<f64> {
    let drawn: Vec<usize> = (0..clusters).map(|_| stream.below(clusters)).collect();
    let mut total = 0.0;
    for _ in tables {
        let table = &tables[stream.below(tables.len())];
        let (mut value, mut weight) = (0.0, 0.0);
        for &c in &drawn {
            value += table[c].value;
            weight += table[c].weight;
        }
        if weight <= 0.0 {
            return None;
        }
        total += value / weight;
    }
    Some(total / tables.len() as f64)
}

/// The `q` quantile of ascending `sorted`, linear between neighbours; `None` if it is empty.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q * last as f64;
    let (below, share) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(last);
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}
