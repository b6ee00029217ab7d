//! Paired comparisons: which differences between models that answered the same queries are more than chance, and
//! which places that leaves each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rayon::prelude::*;
use toxiclip_shared::metrics::multiplicity::{holm, places};
use toxiclip_shared::metrics::paired::{Answers, Comparison, compare};
use toxiclip_shared::metrics::{self, Metric};

use super::aggregate::{Estimate, Key, Results};
use super::extras::Role;
use super::lines::{HIT, UTILITY, model_name, role};

/// What models are compared by: attack success as rate and as position, and utility.
const COMPARED: [&str; 3] = [HIT, "min-rank", UTILITY];
/// The chance of even one false finding in a table.
pub(super) const ALPHA: f64 = 0.05;

/// All models that were asked the same queries, and all pairs of them.
pub(super) struct Family {
    /// Data-set name.
    pub(super) dataset: String,
    /// Encoder label.
    pub(super) encoder: String,
    /// What is compared.
    pub(super) metric: &'static Metric,
    /// The attack that a control is scored against.
    scored: Option<String>,
    /// The models, controls first.
    pub(super) models: Vec<Model>,
    /// Every pair, the later model first.
    pub(super) pairs: Vec<Pair>,
    /// Queries per seed.
    pub(super) queries: usize,
}

/// One model of a family.
pub(super) struct Model {
    /// Attack label.
    pub(super) attack: String,
    /// Defense label.
    pub(super) defense: String,
    /// Colour and shape.
    pub(super) role: Role,
    /// Its value.
    pub(super) estimate: Estimate,
    /// The places it could have, 1 being best for whoever deploys the model.
    pub(super) places: RangeInclusive<usize>,
    answers: BTreeMap<u64, Answers>,
}

/// Two models of a family.
pub(super) struct Pair {
    /// Position of the one.
    pub(super) first: usize,
    /// Position of the one it is compared with.
    pub(super) second: usize,
    /// First minus second.
    pub(super) comparison: Comparison,
    /// Whether it answers a benchmark's question: a comparison with the clean model, or of a defense with the attack
    /// that it answers. These stand in a table of their own and are corrected for it alone.
    pub(super) main: bool,
    /// Holm's corrected p within its table.
    pub(super) corrected: f64,
}

impl Model {
    /// `clean`, `single-label + finetune`.
    pub(super) fn name(&self) -> String {
        model_name(&self.attack, &self.defense)
    }
}

impl Pair {
    /// Whether the queries and the seeds both say that the models differ.
    pub(super) fn clear(&self) -> bool {
        self.clear_at(self.corrected)
    }

    /// The corrected test is at most [`ALPHA`] and the interval over seeds and clusters leaves out 0.
    fn clear_at(&self, corrected: f64) -> bool {
        let i = self.comparison.interval;
        corrected <= ALPHA && (i.lo > 0.0 || i.hi < 0.0)
    }
}

impl Family {
    /// The attacks whose goals the queries are about, where the metric is about an attack; rates and the like, which
    /// ask the same, are left out.
    pub(super) fn about(&self) -> Option<String> {
        if self.metric.name == UTILITY {
            return None;
        }
        let attacks = self.models.iter().filter(|m| m.attack != "none").map(|m| m.attack.as_str());
        let labels: BTreeSet<&str> = attacks.collect();
        let mut names: Vec<&str> = labels.iter().filter_map(|l| l.split(':').next()).collect();
        names.dedup();
        // Attacks that share goals differ in what their names leave out; one alone is told by its whole label.
        if labels.len() == 1 {
            names = labels.into_iter().collect();
        }
        Some(if names.is_empty() { self.scored.clone()? } else { names.join(", ") })
    }
}

/// See [`Pair::main`].
fn is_main(first: &Model, second: &Model) -> bool {
    second.defense == "none" && (second.attack == "none" || second.attack == first.attack)
}

/// All families with at least two models.
pub(super) fn families(results: &Results) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for metric in COMPARED.iter().filter_map(|name| metrics::find(name).ok()) {
        for key in results.keys.iter().filter(|key| key.metric == metric.name) {
            if let Some(model) = model(results, key, metric) {
                join(&mut families, key, metric, model);
            }
        }
    }
    families.retain(|family| family.models.len() > 1);
    families.iter_mut().for_each(judge);
    families
}

fn model(results: &Results, key: &Key, metric: &Metric) -> Option<Model> {
    let rows = results.rows_of(key).filter(|row| row.value.is_some());
    let answers = rows.filter_map(|row| Some((row.seed, metric.answers(results.evidence(row)?)?)));
    let answers: BTreeMap<u64, Answers> = answers.collect();
    (!answers.is_empty()).then_some(())?;
    Some(Model {
        attack: key.attack.clone(),
        defense: key.defense.clone(),
        role: role(&key.attack, &key.defense),
        estimate: results.get(key)?.clone(),
        places: 1..=1,
        answers,
    })
}

/// Puts a model to those that were asked the same; a control comes once, though it is scored against every attack.
fn join(families: &mut Vec<Family>, key: &Key, metric: &'static Metric, model: Model) {
    let fits = |f: &&mut Family| {
        let set = (&f.dataset, &f.encoder, f.metric.name);
        set == (&key.dataset, &key.encoder, metric.name) && same_queries(&f.models[0], &model)
    };
    if let Some(family) = families.iter_mut().find(fits) {
        let known = |m: &Model| (&m.attack, &m.defense) == (&model.attack, &model.defense);
        if !family.models.iter().any(known) {
            family.models.push(model);
        }
        return;
    }
    families.push(Family {
        dataset: key.dataset.clone(),
        encoder: key.encoder.clone(),
        metric,
        scored: key.against.clone(),
        queries: model.answers.values().next().map_or(0, Answers::len),
        models: vec![model],
        pairs: Vec::new(),
    });
}

fn same_queries(a: &Model, b: &Model) -> bool {
    let mut shared = common(a, b).peekable();
    shared.peek().is_some() && shared.all(|(x, y)| x.queries() == y.queries())
}

/// Both answers, seed by seed.
fn common<'a>(a: &'a Model, b: &'a Model) -> impl Iterator<Item = (&'a Answers, &'a Answers)> {
    a.answers.iter().filter_map(|(seed, x)| Some((x, b.answers.get(seed)?)))
}

/// Compares all pairs, corrects, and gives places.
fn judge(family: &mut Family) {
    family.models.sort_by_key(|m| (m.role != Role::Clean, m.attack.clone(), m.defense != "none"));
    let models = &family.models;
    let all: Vec<(usize, usize)> = (0..models.len())
        .flat_map(|second| (second + 1..models.len()).map(move |first| (first, second)))
        .collect();
    let compared = |(first, second): (usize, usize)| {
        let seeds: Vec<_> = common(&models[first], &models[second]).collect();
        let comparison = compare(&seeds).ok()?;
        let main = is_main(&models[first], &models[second]);
        Some(Pair { first, second, comparison, main, corrected: 1.0 })
    };
    let mut pairs: Vec<Pair> = all.into_par_iter().filter_map(compared).collect();
    for table in [true, false] {
        let mut own: Vec<&mut Pair> = pairs.iter_mut().filter(|pair| pair.main == table).collect();
        let p: Vec<f64> = own.iter().map(|pair| pair.comparison.p).collect();
        for (pair, corrected) in own.iter_mut().zip(holm(&p)) {
            pair.corrected = corrected;
        }
    }
    // Places hold together only if all pairs are corrected together.
    let p: Vec<f64> = pairs.iter().map(|pair| pair.comparison.p).collect();
    let together = holm(&p);
    let upwards = family.metric.higher_is_better;
    let better = |a: usize, b: usize| {
        let between = |(pair, p): &(&Pair, &f64)| {
            (pair.first, pair.second) == (a.max(b), a.min(b)) && pair.clear_at(**p)
        };
        pairs.iter().zip(&together).find(between).is_some_and(|(pair, _)| {
            let first_larger = pair.comparison.difference > 0.0;
            (first_larger == upwards) == (pair.first == a)
        })
    };
    let ranges = places(models.len(), better);
    for (model, range) in family.models.iter_mut().zip(ranges) {
        model.places = range;
    }
    family.pairs = pairs;
}
