//! Metrics: pure functions of evidence. Nothing here knows a model, a file or a clock, so that anyone
//! who holds the evidence can recompute every number.
//!
//! A metric takes the [`Judgement`]s of one [`Task`], turns each into a weighted [`Outcome`] and is the
//! weighted mean of the outcomes. One file per family; the definitions are in its module text.
#![deny(dead_code)]

mod asr;
mod audit;
mod ca;
mod detection;
mod evidence;
mod hit;
pub mod interval;
mod ir;
mod min_rank;
mod mpcr;
pub mod multiplicity;
pub mod paired;
pub mod ranking;
mod screen;
mod shift;
mod targeted;
mod tr;

use serde::{Deserialize, Serialize};

pub use self::evidence::{Judgement, Task};
use self::interval::{Clusters, Interval, Outcome};
use crate::registry::unknown;
use crate::{Error, Result};

/// What a metric's number counts, which also decides how its interval is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A share in [0, 1]; interval after Wilson.
    Rate,
    /// A mean 0-based position in a gallery; interval by bootstrap.
    Rank,
    /// A mean cosine distance in [0, 2]; interval by bootstrap.
    Distance,
    /// A difference of two shares in [−1, 1]; interval by bootstrap over pairs.
    Difference,
    /// A number on a scale of its own; interval by bootstrap.
    Score,
}

/// A registered metric: its definition for people, and the function from judgements to outcomes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Metric {
    /// The name in rows, such as `hit@10`.
    pub name: &'static str,
    /// One line: what it says about a model.
    pub summary: &'static str,
    /// The definition as a formula.
    pub formula: &'static str,
    /// Where the definition comes from.
    pub reference: &'static str,
    /// Share, rank or distance.
    pub unit: Unit,
    /// From the view of whoever deploys the model: high accuracy is good, a high hit rate of an attack is not.
    pub higher_is_better: bool,
    /// The evidence it reads.
    pub task: Task,
    #[serde(skip)]
    outcomes: fn(&[&Judgement]) -> Vec<Outcome>,
}

/// A metric's value over one set of evidence, with its 95 % interval over samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// A name of the registry.
    pub metric: String,
    /// The value; rates in [0, 1], ranks 0-based.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub lo: f64,
    /// Upper end of the 95 % interval.
    pub hi: f64,
    /// Judgements counted: queries or pictures, not clusters.
    pub n: u64,
}

/// All families, in the order in which tables print them.
static FAMILIES: &[&[Metric]] = &[
    &ca::METRICS,
    &mpcr::METRICS,
    &ir::METRICS,
    &tr::METRICS,
    &hit::METRICS,
    &min_rank::METRICS,
    &asr::METRICS,
    &detection::METRICS,
    &shift::METRICS,
    &audit::METRICS,
    &targeted::METRICS,
    &screen::METRICS,
];

/// Every registered metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    FAMILIES.iter().copied().flatten()
}

/// The metric called `name`, or an error that says which was probably meant.
///
/// # Errors
/// If there is no such metric.
pub fn find(name: &str) -> Result<&'static Metric> {
    all().find(|m| m.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|m| m.name).collect();
        Error::Request(unknown("metric", name, &names))
    })
}

/// The values of all metrics whose evidence is present, in registry order. The order of `evidence`
/// does not matter; no evidence gives no values.
///
/// # Errors
/// If a judgement contradicts itself, or the same query is judged twice; names the sample.
pub fn values(evidence: &[Judgement]) -> Result<Vec<Value>> {
    evidence::check(evidence)?;
    Ok(all().filter_map(|metric| metric.value(evidence)).collect())
}

impl Metric {
    /// The weighted outcomes by cluster, from which the value follows as a mean; empty where
    /// `evidence` has nothing for this metric. Reports resample these over seeds.
    pub fn clusters(&self, evidence: &[Judgement]) -> Clusters {
        let mine: Vec<&Judgement> = evidence.iter().filter(|j| j.task == self.task).collect();
        Clusters::new((self.outcomes)(&mine))
    }

    /// The value with its interval, or `None` without evidence.
    fn value(&self, evidence: &[Judgement]) -> Option<Value> {
        let clusters = self.clusters(evidence);
        let value = clusters.mean()?;
        let Interval { lo, hi } = match self.unit {
            Unit::Rate => clusters.wilson()?,
            Unit::Rank | Unit::Distance | Unit::Difference | Unit::Score => clusters.bootstrap()?,
        };
        Some(Value { metric: self.name.to_owned(), value, lo, hi, n: clusters.n() })
    }
}

/// One outcome per judgement: 1 where the best target is among the first `K`, else 0.
///
/// Nothing at all where a gallery has no more than `K` items: the rate would be 1 by construction.
fn within<const K: u32>(judgements: &[&Judgement]) -> Vec<Outcome> {
    if judgements.iter().any(|j| j.gallery <= K) {
        return Vec::new();
    }
    judgements.iter().map(|j| Outcome::new(j, if j.rank < K { 1.0 } else { 0.0 })).collect()
}

#[cfg(test)]
mod tests;
