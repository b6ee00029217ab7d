//! Whether a folder of results may be shown: its rows follow from their evidence, are all there, and answer the
//! benchmark as it is committed today.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rayon::prelude::*;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics;

use super::ROWS;
use super::coverage::{Asked, Coverage, LeftOut, answered, asked_of, coverage};
use crate::benchmark::{Benchmark, Cell, Form};
use crate::bundle::check_samples;
use crate::pipeline::Plan;
use crate::pipeline::known::Known;
use crate::report::aggregate::Results;
use crate::row::Row;
use crate::strict;

/// How far a number may lie from what evidence gives: rounding of a sum, nothing more.
const TOLERANCE: f64 = 1e-9;

/// Results that answer a benchmark.
#[derive(Debug)]
pub(super) struct Answered {
    /// Rows and estimates.
    pub(super) results: Results,
    /// What the run does not have of it.
    pub(super) left_out: LeftOut,
    /// What the benchmark tells without a training.
    pub(super) known: Known,
}

/// The benchmark, and the results in `dir`, which must be a run of `benchmarks/NAME.toml` from unchanged sources by today's
/// protocol, complete but for what [`coverage`] lets it leave out.
///
/// # Errors
/// With the first reason why not.
pub(super) fn verified(root: &Path, name: &str, dir: &Path) -> Result<(Benchmark, Answered)> {
    match looked_at(root, name, dir)? {
        (benchmark, Ok(answered)) => Ok((benchmark, answered)),
        (_, Err(why)) => Err(why),
    }
}

/// As [`verified`]; that the models are other ones than the benchmark asks for today, which is nobody's fault, is told
/// apart from everything that is wrong.
///
/// # Errors
/// With the first thing that is wrong.
pub(super) fn looked_at(
    root: &Path,
    name: &str,
    dir: &Path,
) -> Result<(Benchmark, Result<Answered>)> {
    let results = fit(name, dir)?;
    let place = dir.display();
    let benchmark = benchmark(root, name)?;
    let plan = Plan::new(&benchmark, None)?;
    let found: BTreeSet<Asked> = results.rows.iter().map(answered).collect();
    let Coverage { asked, left_out } = coverage(&plan, &found);
    // Whatever it is a run of, rows that are of a cell must be what they say of it.
    samples(&plan, &results).with_context(|| place.to_string())?;
    let known = Known::of(&plan)?;
    drop(plan);
    if found != asked {
        let (same, all) = (found.intersection(&asked).count(), asked.len());
        let why = anyhow!(
            "{place}: {same} of {all} models are those of benchmarks/{name}.toml as it is now; run it again and publish that"
        );
        return Ok((benchmark, Err(why)));
    }
    every_value(dir, &results, &benchmark.eval.metrics)?;
    Ok((benchmark, Ok(Answered { results, left_out, known })))
}

/// Rows name the cells that their configurations are of, and judge exactly the samples of the data; what an attack that is
/// searched for stamps is not known here, and its samples are not counted.
fn samples(plan: &Plan<'_>, results: &Results) -> Result<()> {
    let benchmark = plan.benchmark;
    let mut by_cell: BTreeMap<Asked, Vec<&Row>> = BTreeMap::new();
    for row in &results.rows {
        by_cell.entry(answered(row)).or_default().push(row);
    }
    for cell in plan.works.iter().map(|work| &work.cell) {
        let control = plan.attack(cell).armed.is_control();
        let rivals = control.then(|| plan.rivals(cell)).into_iter().flatten();
        for against in std::iter::once(None).chain(rivals.map(Some)) {
            let rows = by_cell.get(&asked_of(plan, cell, against)).into_iter().flatten();
            for row in rows.clone() {
                let (id, metric) = (row.run.short(), &row.metric);
                ensure!(
                    names_cell(benchmark, cell, row),
                    "run {id}, {metric}: its row names another cell than its config"
                );
            }
            let prepared = plan.drawn(cell, against.unwrap_or(cell.attack));
            let evidence = rows.clone().next().and_then(|row| results.evidence(row));
            if let Some(evidence) = evidence.filter(|_| prepared.complete()) {
                let set = &plan.sets[cell.dataset];
                check_samples(evidence, &*set.test, &*set.utility, &prepared.armed)
                    .map_err(|why| anyhow!("{}: {why}", benchmark.label(cell)))?;
            }
        }
    }
    Ok(())
}

/// Whether a row says of itself what the benchmark asks of its cell.
pub(crate) fn names_cell(benchmark: &Benchmark, cell: &Cell, row: &Row) -> bool {
    let victim = &benchmark.victims[cell.victim];
    row.dataset == benchmark.datasets[cell.dataset]
        && row.encoder == benchmark.encoders[cell.encoder].name
        && row.attack == *benchmark.attacks[cell.attack].spec()
        && row.defense == *benchmark.defenses[cell.defense].spec()
        && row.victim.as_ref() == Some(&victim.spec).filter(|_| !victim.plain())
}

/// Results that need not be those of today's benchmark: rows follow from their evidence, whatever was asked.
///
/// # Errors
/// With the first row that does not follow.
pub(super) fn recomputed(name: &str, dir: &Path) -> Result<Results> {
    let results = fit(name, dir)?;
    let wanted: BTreeSet<String> = results.rows.iter().map(|row| row.metric.clone()).collect();
    every_value(dir, &results, &wanted.into_iter().collect::<Vec<_>>())?;
    Ok(results)
}

/// A benchmark of the repository.
///
/// # Errors
/// If there is none of that name, or it is damaged.
pub(super) fn benchmark(root: &Path, name: &str) -> Result<Benchmark> {
    let spec = root.join(format!("benchmarks/{name}.toml"));
    Ok(Benchmark::read(&spec, Form::Laptop, &[], &[])?)
}

/// Rows of one benchmark, of one unchanged program, none of them failed, that nobody can read in two ways.
fn fit(name: &str, dir: &Path) -> Result<Results> {
    let place = dir.display();
    let rows = dir.join(ROWS);
    let text = fs::read(&rows).with_context(|| rows.display().to_string())?;
    strict::check_lines(&text).map_err(|why| anyhow!("{}: {why}", rows.display()))?;
    let results = Results::load(&[dir], false)?;
    if let Some(note) = results.notes.first() {
        bail!("{place}: {note}");
    }
    for row in &results.rows {
        plain_names(row).map_err(|why| anyhow!("{place}: {why}"))?;
        ensure!(row.benchmark == name, "{place}: a row is of benchmark {}", row.benchmark);
        ensure!(
            !row.code.dirty,
            "{place}: its program was built from changed sources; commit, then run again"
        );
        if let Some(error) = &row.error {
            bail!("{place}: a cell failed ({error}); run the benchmark again");
        }
    }
    Ok(results)
}

/// Whether a row names what it is about in plain words.
///
/// # Errors
/// With the first name that is none.
pub(crate) fn plain_names(row: &Row) -> std::result::Result<(), String> {
    strict::name("dataset", &row.dataset)?;
    strict::name("encoder", &row.encoder)?;
    for spec in [Some(&row.attack), row.against.as_ref(), Some(&row.defense)].into_iter().flatten()
    {
        let name = spec["name"].as_str().ok_or("an attack or defense of a row has no name")?;
        strict::name("attack or defense", name)?;
    }
    let id = row.run.short();
    metrics::find(&row.metric).map(drop).map_err(|e| format!("run {id}: {e}"))
}

/// Rows and evidence say the same: no value is missing, added or moved, and neither is an end of an interval.
///
/// # Errors
/// With the first that is not what evidence gives.
pub(crate) fn every_value(dir: &Path, results: &Results, wanted: &[String]) -> Result<()> {
    let mut by_run: BTreeMap<Digest, BTreeMap<&str, &Row>> = BTreeMap::new();
    for row in &results.rows {
        by_run.entry(row.run).or_default().insert(&row.metric, row);
    }
    // All are judged before the first error is told, which then does not depend on threads.
    let judged: Vec<Result<()>> = by_run
        .into_par_iter()
        .map(|(run, rows)| every_value_of_run(dir, results, wanted, run, rows))
        .collect();
    judged.into_iter().collect()
}

/// The same of the rows of one run, by metric.
fn every_value_of_run(
    dir: &Path,
    results: &Results,
    wanted: &[String],
    run: Digest,
    mut rows: BTreeMap<&str, &Row>,
) -> Result<()> {
    let place = format!("{}, run {}", dir.display(), run.short());
    // A note on values without evidence has been refused before.
    let Some(judgements) = rows.values().next().and_then(|row| results.evidence(row)) else {
        bail!("{place}: no evidence");
    };
    for value in metrics::values(judgements)? {
        if !wanted.is_empty() && !wanted.contains(&value.metric) {
            continue;
        }
        let Some(row) = rows.remove(value.metric.as_str()) else {
            bail!("{place}: its evidence gives {}, and no row does", value.metric);
        };
        let near = |a: Option<f64>, b: f64| {
            a.is_some_and(|a| (a - b).abs() <= TOLERANCE * b.abs().max(1.0))
        };
        ensure!(
            near(row.value, value.value)
                && near(row.lo, value.lo)
                && near(row.hi, value.hi)
                && row.n == value.n,
            "{place}: its row on {} is not what its evidence gives",
            value.metric
        );
    }
    if let Some(metric) = rows.keys().next() {
        bail!("{place}: its evidence has nothing on {metric}");
    }
    Ok(())
}
