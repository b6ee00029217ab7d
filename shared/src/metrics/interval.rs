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
    let tables = Tables::new(&order(seeds), &names);
    let place = Seed::new(0).child("metrics/bootstrap").child(Digest::of(&digests));
    let mut stream = place.stream();
    let mut means: Vec<f64> = (0..RESAMPLES).filter_map(|_| tables.resample(&mut stream)).collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { lo: quantile(&means, 0.025)?, hi: quantile(&means, 0.975)? })
}

/// Seeds in the order of their digests, so that the caller's order does not matter.
fn order<'a>(seeds: &[&'a Clusters]) -> Vec<&'a Clusters> {
    let mut ordered = seeds.to_vec();
    ordered.sort_by_key(|s| s.digest);
    ordered
}

/// How many seeds are summed together: the width of a vector register.
const ABREAST: usize = 4;

/// Values and weights of one cluster in four seeds.
type Row = [[f64; ABREAST]; 2];

/// Sums of every cluster in every seed. Seeds lie side by side, as one draw of clusters serves them all.
struct Tables {
    seeds: usize,
    clusters: usize,
    /// One row per cluster for the first four seeds, for the next four, …; where there are fewer, rows end in 0.
    rows: Vec<Vec<Row>>,
}

impl Tables {
    /// Clusters by their position in `names`; one that a seed lacks weighs nothing.
    fn new(seeds: &[&Clusters], names: &BTreeMap<&str, usize>) -> Self {
        let fill = |seeds: &[&Clusters]| {
            let mut rows = vec![Row::default(); names.len()];
            for (place, seed) in seeds.iter().enumerate() {
                for (name, sums) in &seed.sums {
                    let [values, weights] = &mut rows[names[name.as_str()]];
                    (values[place], weights[place]) = (sums.value, sums.weight);
                }
            }
            rows
        };
        let rows = seeds.chunks(ABREAST).map(fill).collect();
        Self { seeds: seeds.len(), clusters: names.len(), rows }
    }

    /// One redraw: the mean over drawn seeds of their weighted means over the drawn clusters; `None` if
    /// the draw missed every cluster of a seed.
    fn resample(&self, stream: &mut Stream) -> Option<f64> {
        let drawn: Vec<usize> = (0..self.clusters).map(|_| stream.below(self.clusters)).collect();
        let sums: Vec<Row> = self.rows.iter().map(|rows| add_up(rows, &drawn)).collect();
        let mut total = 0.0;
        for _ in 0..self.seeds {
            let seed = stream.below(self.seeds);
            let [values, weights] = &sums[seed / ABREAST];
            let (value, weight) = (values[seed % ABREAST], weights[seed % ABREAST]);
            if weight <= 0.0 {
                return None;
            }
            total += value / weight;
        }
        Some(total / self.seeds as f64)
    }
}

fn add_up(rows: &[Row], drawn: &[usize]) -> Row {
    let mut sums = Row::default();
    for &cluster in drawn {
        for (sums, row) in sums.iter_mut().zip(&rows[cluster]) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
    sums
}

/// The `q` quantile of ascending `sorted`, linear between neighbours; `None` if it is empty.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q * last as f64;
    let (below, share) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(last);
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: seed after seed.
    fn plainly(seeds: &[&Clusters], names: &BTreeMap<&str, usize>, s: &mut Stream) -> Option<f64> {
        let drawn: Vec<usize> = (0..names.len()).map(|_| s.below(names.len())).collect();
        let places: Vec<&str> = names.keys().copied().collect();
        let mut total = 0.0;
        for _ in seeds {
            let seed = seeds[s.below(seeds.len())];
            let (mut value, mut weight) = (0.0, 0.0);
            for &c in &drawn {
                let sums = seed.sums.get(places[c]).copied().unwrap_or_default();
                value += sums.value;
                weight += sums.weight;
            }
            if weight <= 0.0 {
                return None;
            }
            total += value / weight;
        }
        Some(total / seeds.len() as f64)
    }

    #[test]
    fn seeds_side_by_side_are_seeds_one_by_one_bit_for_bit() {
        let mut dice = Seed::new(5).stream();
        for seeds in [1, 3, 4, 6] {
            let all: Vec<Clusters> = (0..seeds)
                .map(|_| {
                    // Two clusters of seven: a draw often misses a seed's own.
                    let outcome = |_| Outcome {
                        cluster: format!("c{}", dice.below(7)),
                        weight: 1.0,
                        value: f64::from(dice.uniform()),
                    };
                    Clusters::new((0..2).map(outcome).collect())
                })
                .collect();
            let all: Vec<&Clusters> = all.iter().collect();
            let names = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"].into_iter();
            let names = names.enumerate().map(|(i, name)| (name, i)).collect();
            let tables = Tables::new(&all, &names);
            let mut streams = [Seed::new(6).stream(), Seed::new(6).stream()];
            let mut missed = 0;
            for _ in 0..200 {
                let [one, other] = &mut streams;
                let (got, want) = (tables.resample(one), plainly(&all, &names, other));
                assert_eq!(got.map(f64::to_bits), want.map(f64::to_bits), "{seeds} seeds");
                missed += usize::from(got.is_none());
            }
            assert!(missed > 0, "no draw of {seeds} seeds missed one");
        }
    }
}
