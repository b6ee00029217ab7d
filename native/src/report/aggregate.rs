//! From rows of single seeds to one estimate per (data set, encoder, attack, against, defense, metric).
//!
//! The mean is over seeds, the interval a hierarchical bootstrap over seeds and samples from the
//! evidence. Every value is recomputed from its evidence on the way; a difference is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde_json::Value;
use toxiclip_shared::digest::{Digest, canonical_json};
use toxiclip_shared::metrics::interval::{Clusters, Interval, hierarchical};
use toxiclip_shared::metrics::{self, Judgement, Metric, Unit};

use super::{missing, mixtures};
use crate::benchmark::{brief, is_given, plain};
use crate::evidence;
use crate::row::{self, Row};

/// How far a value may lie from what its evidence gives: rounding of a sum, nothing more.
const TOLERANCE: f64 = 1e-9;

/// What is aggregated over seeds. Attacks and defenses go by labels that are unique in the results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Data-set name.
    pub dataset: String,
    /// Encoder name.
    pub encoder: String,
    /// Attack label; `none` is the control.
    pub attack: String,
    /// On control rows, the label of the attack whose goals were scored.
    pub against: Option<String>,
    /// Defense label.
    pub defense: String,
    /// A name of the metric registry.
    pub metric: String,
}

/// A value over all seeds of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Mean over seeds.
    pub value: f64,
    /// 95 % interval over seeds and samples.
    pub interval: Interval,
    /// Judgements per seed (the smallest, if they differ).
    pub n: u64,
    /// The seeds that have a value.
    pub seeds: Vec<u64>,
    /// Items ranked per query; `None` without evidence.
    pub gallery: Option<u32>,
}

/// All estimates of one or several run directories.
#[derive(Debug, Default)]
pub struct Results {
    /// The rows behind the estimates, in file order; failed rows that were repeated are left out.
    pub rows: Vec<Row>,
    /// Keys in order of first appearance.
    pub keys: Vec<Key>,
    /// Estimates by key; a key whose seeds all failed has none.
    pub estimates: BTreeMap<Key, Estimate>,
    /// Why a key lacks some or all of its seeds.
    pub failures: BTreeMap<Key, Vec<String>>,
    /// What a reader must know: torn files, missing evidence, mixed columns.
    pub notes: Vec<String>,
    labels: BTreeMap<String, String>,
    evidence: Files,
    by_key: BTreeMap<Key, Vec<usize>>,
}

impl Results {
    /// Reads and aggregates run directories.
    ///
    /// # Errors
    /// If there are no rows, a (cell, metric, seed) has two values, a value differs from its evidence, or
    /// rows that are not comparable would share a column and `allow_mixed` is off.
    pub fn load(dirs: &[&Path], allow_mixed: bool) -> Result<Self> {
        let mut results = Self::default();
        let mut located = Vec::new();
        for dir in dirs {
            let kept = row::read(&dir.join("rows.jsonl"))?;
            results.notes.extend(kept.note);
            located.extend(kept.rows.into_iter().map(|row| (row, dir.to_path_buf())));
        }
        if located.is_empty() {
            bail!("no rows in {}; run the benchmark first", list(dirs));
        }
        results.notes.extend(mixtures::refuse(&located, allow_mixed)?);
        results.labels = labels(&located);
        let located = results.without_duplicates(located)?;
        results.aggregate(&located)?;
        results.rows = located.into_iter().map(|(row, _)| row).collect();
        for (place, row) in results.rows.iter().enumerate() {
            results.by_key.entry(results.key(row)).or_default().push(place);
        }
        results.notes.extend(missing::seeds(&results));
        Ok(results)
    }

    /// The rows of a key, one per seed.
    pub fn rows_of(&self, key: &Key) -> impl Iterator<Item = &Row> {
        self.by_key.get(key).into_iter().flatten().map(|place| &self.rows[*place])
    }

    /// The judgements behind a row, if its evidence file was there.
    pub fn evidence(&self, row: &Row) -> Option<&[Judgement]> {
        self.evidence.get(row.run)
    }

    /// The estimate of `metric` for a cell, if there is one.
    pub fn get(&self, key: &Key) -> Option<&Estimate> {
        self.estimates.get(key)
    }

    /// The key of a row.
    pub fn key(&self, row: &Row) -> Key {
        let label = |spec: &Value| {
            self.labels.get(&canonical_json(spec)).cloned().unwrap_or_else(|| name(spec).to_owned())
        };
        Key {
            dataset: row.dataset.clone(),
            encoder: encoder(row),
            attack: label(&row.attack),
            against: row.against.as_ref().map(label),
            defense: label(&row.defense),
            metric: row.metric.clone(),
        }
    }

    /// A failed row is replaced by a later try; two values for the same thing are refused.
    fn without_duplicates(&self, rows: Vec<(Row, PathBuf)>) -> Result<Vec<(Row, PathBuf)>> {
        let mut kept: Vec<(Row, PathBuf)> = Vec::new();
        let mut places: BTreeMap<(Key, u64), usize> = BTreeMap::new();
        for (row, dir) in rows {
            let place = (self.key(&row), row.seed);
            let Some(&at) = places.get(&place) else {
                places.insert(place, kept.len());
                kept.push((row, dir));
                continue;
            };
            if kept[at].0.value.is_some() && row.value.is_some() {
                bail!(
                    "{} × {}, {}, seed {}: two values ({} and {}); remove one of the runs",
                    place.0.attack,
                    place.0.defense,
                    row.metric,
                    row.seed,
                    kept[at].1.display(),
                    dir.display()
                );
            }
            if row.value.is_some() {
                kept[at] = (row, dir);
            }
        }
        Ok(kept)
    }

    fn aggregate(&mut self, rows: &[(Row, PathBuf)]) -> Result<()> {
        let mut by_key: BTreeMap<Key, Vec<&(Row, PathBuf)>> = BTreeMap::new();
        for located in rows {
            let key = self.key(&located.0);
            if !by_key.contains_key(&key) {
                self.keys.push(key.clone());
            }
            by_key.entry(key).or_default().push(located);
        }
        by_key.values_mut().for_each(|rows| rows.sort_by_key(|(row, _)| row.seed));
        let files = Files::read(rows)?;
        let estimates: Vec<Option<Estimate>> =
            by_key.par_iter().map(|(_, rows)| estimate(rows, &files)).collect::<Result<_>>()?;
        for ((key, rows), estimate) in by_key.into_iter().zip(estimates) {
            let failed = rows.iter().filter_map(|(row, _)| {
                row.error.as_ref().map(|error| format!("seed {}: {error}", row.seed))
            });
            let failed: Vec<String> = failed.collect();
            if !failed.is_empty() {
                self.failures.insert(key.clone(), failed);
            }
            if let Some(estimate) = estimate {
                self.estimates.insert(key, estimate);
            }
        }
        let known = |row: &Row| row.value.is_some() && metrics::find(&row.metric).is_ok();
        let missing = rows.iter().filter(|(row, _)| known(row) && files.get(row.run).is_none());
        let missing = missing.count();
        self.evidence = files;
        if missing > 0 {
            self.notes.push(format!(
                "{missing} values have no evidence file: their intervals are means of the seeds' own"
            ));
        }
        Ok(())
    }
}

/// Evidence by run, each file read once; one that is not there has no entry. Values twice for one run are refused,
/// so that a run's evidence lies in one directory.
#[derive(Debug, Default)]
struct Files(BTreeMap<Digest, Vec<Judgement>>);

impl Files {
    fn read(rows: &[(Row, PathBuf)]) -> Result<Self> {
        let valued = rows.iter().filter(|(row, _)| row.value.is_some());
        let places: BTreeSet<(Digest, &PathBuf)> = valued.map(|(r, dir)| (r.run, dir)).collect();
        let folders: BTreeSet<&PathBuf> = places.iter().map(|(_, dir)| *dir).collect();
        let mut all = BTreeMap::new();
        for file in folders.iter().map(|dir| dir.join(evidence::ALL)).filter(|f| f.exists()) {
            all.extend(evidence::read_all(&file)?);
        }
        let read = |(run, dir): (Digest, &PathBuf)| {
            let path = dir.join("evidence").join(format!("{run}.parquet"));
            let found = path.exists().then(|| evidence::read(&path)).transpose()?;
            Ok(found.map(|evidence| (run, evidence)))
        };
        let read: Result<Vec<_>> = places.into_par_iter().map(read).collect();
        all.extend(read?.into_iter().flatten());
        Ok(Self(all))
    }

    fn get(&self, run: Digest) -> Option<&[Judgement]> {
        self.0.get(&run).map(Vec::as_slice)
    }
}

fn estimate(rows: &[&(Row, PathBuf)], files: &Files) -> Result<Option<Estimate>> {
    let mut values = Vec::new();
    let mut clusters: Vec<Clusters> = Vec::new();
    let mut gallery = None;
    for (row, _) in rows {
        let Some(value) = row.value else { continue };
        values.push((value, row));
        let Ok(metric) = metrics::find(&row.metric) else { continue };
        let Some(evidence) = files.get(row.run) else { continue };
        clusters.push(verified(row, value, metric, evidence)?);
        gallery =
            gallery.max(evidence.iter().filter(|j| j.task == metric.task).map(|j| j.gallery).max());
    }
    if values.is_empty() {
        return Ok(None);
    }
    let mean = |f: &dyn Fn(&Row) -> Option<f64>| {
        values.iter().map(|(v, row)| f(row).unwrap_or(*v)).sum::<f64>() / values.len() as f64
    };
    let own = Interval { lo: mean(&|row| row.lo), hi: mean(&|row| row.hi) };
    let resampled = if clusters.len() == values.len() && values.len() > 1 {
        hierarchical(&clusters.iter().collect::<Vec<_>>())
    } else {
        None
    };
    // Where every seed and sample agrees a bootstrap has no width, though the samples are finite.
    let is_rate = metrics::find(&values[0].1.metric).is_ok_and(|m| m.unit == Unit::Rate);
    let interval = resampled.filter(|i| !is_rate || i.lo < i.hi).unwrap_or(own);
    Ok(Some(Estimate {
        value: mean(&|row| row.value),
        interval,
        n: values.iter().map(|(_, row)| row.n).min().unwrap_or(0),
        seeds: values.iter().map(|(_, row)| row.seed).collect(),
        gallery,
    }))
}

/// The outcomes behind a row, if they give its value.
fn verified(row: &Row, value: f64, metric: &Metric, evidence: &[Judgement]) -> Result<Clusters> {
    let clusters = metric.clusters(evidence);
    let again = clusters.mean().with_context(|| {
        format!("{} of seed {}: its evidence {} has nothing on it", row.metric, row.seed, row.run)
    })?;
    if (again - value).abs() > TOLERANCE * value.abs().max(1.0) || clusters.n() != row.n {
        bail!(
            "{} of seed {}: the row says {value} (n {}), its evidence {} gives {again} (n {})",
            row.metric,
            row.seed,
            row.n,
            row.run.short(),
            clusters.n()
        );
    }
    Ok(clusters)
}

/// The encoder, and after it how its victim trains where that differs: two victims never share a column.
fn encoder(row: &Row) -> String {
    let victim = row.victim.as_ref().and_then(Value::as_object).into_iter().flatten();
    let part = |(k, v): (&String, &Value)| format!(", {k}={}", v.to_string().trim_matches('"'));
    row.encoder.clone() + &victim.map(part).collect::<String>()
}

fn name(spec: &Value) -> &str {
    spec.get("name").and_then(Value::as_str).unwrap_or("?")
}

/// A short label per distinct attack or defense: its name, with the parameters that tell it from
/// others of the same name.
fn labels(rows: &[(Row, PathBuf)]) -> BTreeMap<String, String> {
    let specs =
        rows.iter().flat_map(|(r, _)| [Some(&r.attack), r.against.as_ref(), Some(&r.defense)]);
    let distinct: BTreeMap<String, &Value> =
        specs.flatten().map(|spec| (canonical_json(spec), spec)).collect();
    let label = |spec: &Value, written: fn(&Value) -> String| {
        let namesakes = distinct.values().filter(|other| name(other) == name(spec));
        let mut differing = Vec::new();
        for (key, value) in spec.as_object().into_iter().flatten() {
            let differs = namesakes.clone().any(|other| other.get(key) != Some(value));
            // A parameter that is not given tells by its absence.
            if differs && is_given(value) {
                differing.push(format!("{key}={}", written(value)));
            }
        }
        match differing.is_empty() {
            true => name(spec).to_owned(),
            false => format!("{}:{}", name(spec), differing.join(",")),
        }
    };
    let unique = |spec: &Value| {
        let short = label(spec, brief);
        let twice = distinct.values().filter(|other| label(other, brief) == short).count() > 1;
        if twice { label(spec, plain) } else { short }
    };
    distinct.iter().map(|(json, spec)| (json.clone(), unique(spec))).collect()
}

fn list(dirs: &[&Path]) -> String {
    dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", ")
}
