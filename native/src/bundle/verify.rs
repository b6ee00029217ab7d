//! What follows from a bundle: its numbers are recomputed, its questions and samples compared with the benchmark's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toxiclip_shared::attacks::Armed;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::ClipConfig;
use toxiclip_shared::metrics::Judgement;

use super::replay::{Replay, replay};
use super::unpack::{lay_out, unpack};
use super::{Contents, ENCODERS, PROTOCOL, data};
use crate::benchmark::{Benchmark, Cell, Form, Protocol, called};
use crate::catalogue;
use crate::failure::{Failure, Result};
use crate::manifest;
use crate::pipeline::Plan;
use crate::published::{self, Coverage};
use crate::report::aggregate::Results;
use crate::report::numbers::seeds;
use crate::row::Row;
use crate::strict;

/// What was checked, and what could not be.
#[derive(Debug, Default)]
pub struct Report {
    /// A line for each check that was passed.
    pub passed: Vec<String>,
    /// A line for each check that could not be made here, with the reason.
    pub skipped: Vec<String>,
    /// Judgements that were put to their checkpoints again, and answered as before.
    pub replayed: usize,
}

/// A run of a bundle beside what the benchmark asks in it.
pub(super) struct Run<'a> {
    /// Its name.
    pub(super) id: Digest,
    /// The model.
    pub(super) cell: Cell,
    /// Its weights, as its rows say.
    pub(super) weights: Digest,
    /// Whose goals it is scored against.
    pub(super) armed: Armed,
    /// What its values follow from.
    pub(super) evidence: &'a [Judgement],
}

/// Checks a bundle; `data_root` is where its data lie if they do not come with the program. With `again`, some of its
/// judgements are put to their checkpoints too.
///
/// # Errors
/// With the first reason why its numbers do not follow.
pub fn verify(bytes: &[u8], data_root: Option<&Path>, again: Option<&Replay>) -> Result<Report> {
    let asked = |plan: &Plan<'_>, runs: &[Run<'_>], place: (Digest, &Path), report: &mut Report| {
        again.map_or(Ok(()), |how| replay(how, place, plan, runs, report))
    };
    checked(bytes, data_root, again.is_some().then_some(&asked as Then<'_>))
}

/// What needs checkpoints, once everything else has been checked: the bundle's digest and where its members lie.
pub(super) type Then<'a> =
    &'a dyn Fn(&Plan<'_>, &[Run<'_>], (Digest, &Path), &mut Report) -> Result<()>;

/// As [`verify`], with something else than a replay at the end.
///
/// # Errors
/// As [`verify`], and those of `then`; also if it cannot be asked because the data are not here.
pub(super) fn checked(
    bytes: &[u8],
    data_root: Option<&Path>,
    then: Option<Then<'_>>,
) -> Result<Report> {
    let forged = |why: String| Failure::failed(format!("the bundle {why}"));
    let (contents, members) = unpack(bytes).map_err(forged)?;
    let place =
        tempfile::tempdir().map_err(|e| Failure::failed(format!("no folder for it: {e}")))?;
    lay_out(&members, place.path()).map_err(|e| Failure::io(place.path(), &e))?;
    let mut report = Report::default();
    let count = members.len();
    report.passed.push(format!("{count} members are what its table of contents says"));
    let refused = |e: anyhow::Error| Failure::failed(format!("the bundle: {e:#}"));
    let results = Results::load(&[place.path()], false).map_err(refused)?;
    rows(&contents, &results, &mut report)?;
    let Some(spec) = members.get("benchmark.toml") else {
        return Err(forged("has no benchmark.toml".to_owned()));
    };
    let text = std::str::from_utf8(spec)
        .map_err(|e| forged(format!("benchmark.toml is no text ({e})")))?;
    strict::text(text).map_err(|why| forged(format!("benchmark.toml: {why}")))?;
    // A definition that lies beside the benchmark's file comes with the bundle.
    let spelled = place.path().join(ENCODERS).join("benchmark.toml");
    let benchmark = Benchmark::parse(&spelled, text, Form::Laptop, &[], &[])?;
    encoders(&benchmark, &members, &mut report).map_err(forged)?;
    let wanted = &benchmark.eval.metrics;
    published::every_value(place.path(), &results, wanted).map_err(refused)?;
    let values = results.rows.iter().filter(|row| row.value.is_some()).count();
    report.passed.push(format!("{values} values and their intervals follow from their evidence"));
    same_benchmark(&contents, spec, &mut report);
    // Data that are not here cannot be looked at; whatever else is wrong with a benchmark is no excuse.
    let absent =
        benchmark.datasets.iter().find_map(|name| crate::data::named(name, data_root).err());
    match absent {
        Some(why) => {
            report.skipped.push(format!("questions, samples and poison: {why}"));
            if then.is_some() {
                return Err(forged(format!("cannot be replayed: {why}")));
            }
        }
        None => {
            let protocol = Protocol::of(&benchmark, data_root)?;
            meaning(&contents, &members, &protocol, &mut report).map_err(forged)?;
            let plan = Plan::new(&benchmark, data_root)?;
            let runs = samples(&plan, &results, place.path(), &mut report)?;
            if let Some(then) = then {
                then(&plan, &runs, (Digest::of_bytes(bytes), place.path()), &mut report)?;
            }
        }
    }
    Ok(report)
}

/// Rows are of the program and the benchmark that the contents name, and none failed.
fn rows(contents: &Contents, results: &Results, report: &mut Report) -> Result<()> {
    let forged = |why: String| Err(Failure::failed(format!("the bundle: {why}")));
    if let Some(note) = results.notes.first() {
        return forged(note.clone());
    }
    for row in &results.rows {
        let id = row.run.short();
        if let Err(why) = published::plain_names(row) {
            return forged(why);
        }
        if row.benchmark != contents.benchmark {
            return forged(format!("run {id} is of benchmark {}", row.benchmark));
        }
        if row.code != contents.code {
            return forged(format!("run {id} is of another program than the bundle says"));
        }
        if let Some(error) = &row.error {
            return forged(format!("run {id} failed ({error})"));
        }
    }
    let mut models = BTreeMap::new();
    for row in &results.rows {
        if *models.entry(row.run).or_insert(row.weights) != row.weights {
            return forged(format!("the rows of run {} are of two models", row.run.short()));
        }
    }
    let weights: BTreeSet<Digest> = results.rows.iter().filter_map(|row| row.weights).collect();
    if !weights.iter().eq(&contents.checkpoints) {
        return forged("its rows are of other weights than it says".to_owned());
    }
    match contents.code.dirty {
        true => report.skipped.push("the program was built from changed sources".to_owned()),
        false => report.passed.push(format!(
            "rows of one program, commit {}",
            contents.code.commit.get(..12).unwrap_or(&contents.code.commit)
        )),
    }
    Ok(())
}

/// The definitions that come with the bundle are those of its benchmark; older bundles have none.
fn encoders(
    benchmark: &Benchmark,
    members: &BTreeMap<String, Vec<u8>>,
    report: &mut Report,
) -> std::result::Result<(), String> {
    let mut told = 0;
    for encoder in &benchmark.encoders {
        let name = format!("{ENCODERS}/{}.json", encoder.name);
        let Some(json) = members.get(&name) else { continue };
        let config = serde_json::from_slice::<ClipConfig>(json);
        if config.map_err(|e| format!("{name}: {e}"))? != encoder.config {
            return Err(format!("has a {name} that is not its benchmark's encoder"));
        }
        told += 1;
    }
    match told == benchmark.encoders.len() {
        true => report.passed.push(format!("{told} encoders are those of its benchmark")),
        false => report.skipped.push("it does not define its encoders".to_owned()),
    }
    Ok(())
}

/// What the numbers mean is what the bundle says, and what its benchmark means here and today.
fn meaning(
    contents: &Contents,
    members: &BTreeMap<String, Vec<u8>>,
    own: &Protocol,
    report: &mut Report,
) -> std::result::Result<(), String> {
    let (said, json) = match (contents.protocol, members.get(PROTOCOL)) {
        (Some(said), Some(json)) => (said, json),
        (None, None) => {
            report.skipped.push("it does not say by which protocol it was measured".to_owned());
            return Ok(());
        }
        _ => return Err(format!("has only one of `protocol` and {PROTOCOL}")),
    };
    let written = Protocol::read(json).map_err(|e| format!("has a damaged {PROTOCOL} ({e})"))?;
    if written.digest() != said {
        return Err(format!("is of another protocol than its {PROTOCOL}"));
    }
    match written.differences(own)[..] {
        [] => report.passed.push(format!("its protocol {} is today's", called(said))),
        ref parts => report.skipped.push(format!(
            "its protocol {} differs from today's {} in {}: it is not ranked beside today's",
            called(said),
            called(own.digest()),
            parts.join(", ")
        )),
    }
    Ok(())
}

/// Whether the benchmark is the one that lies here under its name.
fn same_benchmark(contents: &Contents, text: &[u8], report: &mut Report) {
    let name = &contents.benchmark;
    let here = catalogue::benchmarks_folder().join(format!("{name}.toml"));
    match std::fs::read(here) {
        Ok(own) if own == text => {
            report.passed.push(format!("the benchmark is {name} as it is here"));
        }
        Ok(_) => report.skipped.push(format!("the benchmark is another version of {name}")),
        Err(e) => report.skipped.push(format!("no benchmark {name} here to compare with ({e})")),
    }
}

/// Whether a row says of itself what the benchmark asks of its cell.
fn is_of(plan: &Plan<'_>, cell: &Cell, against: Option<usize>, row: &Row) -> bool {
    let rival = against.map(|attack| plan.benchmark.attacks[attack].spec());
    published::names_cell(plan.benchmark, cell, row) && row.against.as_ref() == rival
}

/// The attack that came out of a search: the one that its row names, and within what it may change.
fn searched(dir: &Path, poison: Digest, drawn: &Armed) -> Result<Armed> {
    let name = format!("armed/{}.json", poison.short());
    let armed = manifest::armed(&dir.join(&name))?;
    if Digest::of(&armed) != poison {
        return Err(Failure::failed(format!("{name} is not the attack that its row names")));
    }
    let (changed, budget) = (armed.poison.edits.len(), drawn.poison.edits.len());
    if changed > budget {
        let why = format!("{name} changes {changed} pairs, its budget is {budget}");
        return Err(Failure::failed(why));
    }
    Ok(armed)
}

/// Every model that the benchmark asks for is there, scored on exactly its samples, poisoned as the attack is drawn here.
fn samples<'a>(
    plan: &Plan<'_>,
    results: &'a Results,
    dir: &Path,
    report: &mut Report,
) -> Result<Vec<Run<'a>>> {
    let forged = |why: String| Failure::failed(format!("the bundle: {why}"));
    let found: BTreeSet<_> = results.rows.iter().map(published::answered).collect();
    let Coverage { asked, left_out } = published::coverage(plan, &found);
    // Ours may grow by seeds; of others nobody knows why they stopped.
    if !left_out.seeds.is_empty() {
        let seeds = seeds(&left_out.seeds);
        return Err(forged(format!("models are missing: all of seeds {seeds}")));
    }
    let without = left_out.attacks;
    if let Some((_, _, seed, _)) = asked.difference(&found).next() {
        let missing = asked.difference(&found).count();
        return Err(forged(format!(
            "{missing} of {} models are missing, one of them of seed {seed}, or have another config or other data",
            asked.len()
        )));
    }
    if found.len() > asked.len() {
        return Err(forged("it has models that its benchmark does not ask for".to_owned()));
    }
    let (mut runs, mut drawn) = (Vec::new(), 0);
    let attacks = &plan.benchmark.attacks;
    let there = |cell: &&Cell| !without.contains(&attacks[cell.attack].label(attacks));
    for cell in plan.works.iter().map(|work| &work.cell).filter(there) {
        let control = plan.attack(cell).armed.is_control();
        let rivals = control.then(|| plan.known_rivals(cell)).into_iter().flatten();
        for against in std::iter::once(None).chain(rivals.map(Some)) {
            let id = plan.run_id(cell, against);
            let mut rows = results.rows.iter().filter(|row| row.run == id);
            let Some(row) = rows.next() else {
                return Err(forged(format!(
                    "run {} is missing, or is another version's",
                    id.short()
                )));
            };
            if let Some(other) =
                std::iter::once(row).chain(rows).find(|r| !is_of(plan, cell, against, r))
            {
                let metric = &other.metric;
                return Err(forged(format!(
                    "run {}, {metric}: its row names another cell",
                    id.short()
                )));
            }
            let prepared = plan.drawn(cell, against.unwrap_or(cell.attack));
            let own = Digest::of(&plan.attack(cell).armed);
            if plan.attack(cell).complete() && row.poison != Some(own) {
                return Err(forged(format!(
                    "run {} is poisoned otherwise than its attack",
                    id.short()
                )));
            }
            drawn += usize::from(plan.attack(cell).complete());
            let armed = match prepared.complete() {
                true => prepared.armed.clone(),
                // What was searched for through an encoder is in the bundle.
                false => match row.poison.filter(|_| against.is_none()) {
                    Some(poison) => searched(dir, poison, &prepared.armed)
                        .map_err(|e| e.during(format!("the bundle: run {}", id.short())))?,
                    None => continue,
                },
            };
            let set = &plan.sets[cell.dataset];
            let Some(evidence) = results.evidence(row) else {
                return Err(forged(format!("run {} has no evidence", id.short())));
            };
            data::check(evidence, &*set.test, &*set.utility, &armed)
                .map_err(|why| forged(format!("run {}: {why}", id.short())))?;
            let Some(weights) = row.weights else {
                return Err(forged(format!("run {} is of no weights", id.short())));
            };
            runs.push(Run { id, cell: *cell, weights, armed, evidence });
        }
    }
    let those = if without.is_empty() { "" } else { " with the attacks that it has" };
    let count = asked.len();
    report.passed.push(format!("all {count} models that the benchmark asks for{those} are there"));
    if !without.is_empty() {
        report.skipped.push(format!("attacks of the benchmark left out: {}", without.join(", ")));
    }
    let checked = runs.len();
    report.passed.push(format!("{checked} runs judge exactly the samples of the data"));
    report.passed.push(format!("{drawn} runs are poisoned as their attack is drawn here"));
    Ok(runs)
}
