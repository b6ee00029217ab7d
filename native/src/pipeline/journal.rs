//! Rows and evidence of a run, written as they come.
//!
//! The first run of a folder appends to `rows.jsonl` itself, so that a kill leaves all rows so far. A later run
//! writes beside it and replaces it at its end: the folder never holds a row twice, and never fewer rows than before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::defenses::Defense;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Task};

use super::{Evidence, Plan, Score};
use crate::benchmark::{Cell, Utility};
use crate::evidence;
use crate::failure::{Failure, Result};
use crate::provenance::Code;
use crate::row::{self, Row, RowFile};

/// An open run folder.
pub(super) struct Journal {
    file: RowFile,
    out: PathBuf,
    /// Where rows go until [`Journal::finish`], if not to their final place.
    beside: Option<PathBuf>,
    code: Code,
    /// Device and executor.
    machine: String,
}

impl Journal {
    /// Makes the folder.
    ///
    /// # Errors
    /// If it cannot be written, or holds rows of other cells than these.
    pub(super) fn open(plan: &Plan<'_>, out: &Path, machine: &str) -> Result<Self> {
        let rows = out.join("rows.jsonl");
        let beside = rows.exists().then(|| out.join("rows.next.jsonl"));
        if rows.exists() {
            refuse_strangers(plan, out, &rows)?;
        }
        if let Some(beside) = beside.as_ref().filter(|b| b.exists()) {
            fs::remove_file(beside).map_err(|e| Failure::io(beside, &e))?;
        }
        fs::create_dir_all(out).map_err(|e| Failure::io(out, &e))?;
        let (file, _) = RowFile::open(beside.as_ref().unwrap_or(&rows)).map_err(refused)?;
        let (out, machine, code) = (out.to_owned(), machine.to_owned(), Code::of_this_build());
        Ok(Self { file, out, beside, code, machine })
    }

    /// `armed/<digest>.json` for every attack with a goal; rows name it in `poison`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn arm(&self, plan: &Plan<'_>) -> Result<()> {
        for prepared in plan.all_drawn().filter(|p| !p.armed.is_control() && p.complete()) {
            let name = format!("armed/{}.json", Digest::of(&prepared.armed).short());
            let json = serde_json::to_vec(&prepared.armed).map_err(Failure::failed)?;
            crate::files::write_whole(&self.out.join(name), &json)?;
        }
        Ok(())
    }

    /// Writes a finished cell, evidence first, so that every row has its own.
    pub(super) fn score(&mut self, plan: &Plan<'_>, cell: &Cell, score: &Score) -> Result<()> {
        for Evidence { against, judgements, values } in &score.evidence {
            let (weights, seconds) = (Some(score.weights), score.seconds);
            let row = Row { weights, seconds, ..self.row(plan, cell, *against) };
            let path = self.out.join("evidence").join(format!("{}.parquet", row.run));
            evidence::write(&path, judgements)?;
            for v in values {
                self.file.append(&row.valued(v))?;
            }
        }
        Ok(self.file.sync()?)
    }

    /// One row for a cell that has no values; returns the metric it stands under, the first that was due.
    pub(super) fn failure(&mut self, plan: &Plan<'_>, cell: &Cell, error: &str) -> Result<String> {
        let tasks = &plan.sets[cell.dataset].tasks;
        let due = |task: Task| match task {
            Task::ZeroShot => tasks.contains(&Utility::ZeroShot),
            Task::ImageRetrieval | Task::TextRetrieval => tasks.contains(&Utility::Retrieval),
            Task::Hit | Task::HitRandom => true,
            Task::Triggered | Task::TriggeredAll | Task::TriggeredTruth => false,
            Task::Targeted | Task::ImageKey | Task::TextKey => false,
            Task::Detection | Task::ImageShift | Task::TextShift => false,
            Task::Audit | Task::AuditClass | Task::Screening => false,
        };
        let wanted = &plan.benchmark.eval.metrics;
        let first = metrics::all()
            .find(|m| due(m.task) && (wanted.is_empty() || wanted.iter().any(|w| w == m.name)));
        let metric = first.map_or("ca", |m| m.name).to_owned();
        let row = self.row(plan, cell, None);
        self.file.append(&Row { metric: metric.clone(), error: Some(error.to_owned()), ..row })?;
        self.file.sync()?;
        Ok(metric)
    }

    /// Puts the rows in their place.
    pub(super) fn finish(self) -> Result<()> {
        match &self.beside {
            None => Ok(()),
            Some(beside) => {
                let rows = self.out.join("rows.jsonl");
                fs::rename(beside, &rows).map_err(|e| Failure::io(&rows, &e))
            }
        }
    }

    /// A row without its value.
    fn row(&self, plan: &Plan<'_>, cell: &Cell, against: Option<usize>) -> Row {
        let benchmark = plan.benchmark;
        let attack = |index: usize| benchmark.attacks[index].spec().clone();
        Row {
            run: plan.run_id(cell, against),
            benchmark: benchmark.name.clone(),
            dataset: benchmark.datasets[cell.dataset].clone(),
            encoder: benchmark.encoders[cell.encoder].name.clone(),
            attack: attack(cell.attack),
            against: against.map(attack),
            defense: benchmark.defenses[cell.defense].spec().clone(),
            victim: Some(&benchmark.victims[cell.victim])
                .filter(|v| !v.plain())
                .map(|v| v.spec.clone()),
            seed: cell.seed,
            metric: String::new(),
            value: None,
            lo: None,
            hi: None,
            n: 0,
            config: benchmark.config(cell),
            data: plan.data_digest(cell),
            poison: Some(Digest::of(&plan.attack(cell).armed)),
            weights: None,
            code: self.code.clone(),
            machine: self.machine.clone(),
            seconds: 0.0,
            error: None,
        }
    }
}

impl Plan<'_> {
    /// Attacks that a control is scored against: they want something, and of a probe, which no text tower stands behind, they
    /// want it of pictures.
    pub fn rivals(&self, cell: &Cell) -> impl Iterator<Item = usize> {
        let probed = matches!(self.defenses[cell.defense], Defense::Probe(_));
        let met = |attack: &usize| self.benchmark.meet(*attack, cell.defense);
        let asks = move |attack: &usize| {
            let armed = &self.drawn(cell, *attack).armed;
            let of_pictures = !armed.aims().is_empty() || !armed.pictures.is_empty();
            if probed { of_pictures } else { !armed.is_control() }
        };
        (0..self.benchmark.attacks.len()).filter(met).filter(asks)
    }

    /// Those of them that are complete: a search that failed leaves nothing to be scored against.
    pub fn known_rivals(&self, cell: &Cell) -> impl Iterator<Item = usize> {
        self.rivals(cell).filter(|attack| self.drawn(cell, *attack).complete())
    }

    /// Clean training and test data of a cell.
    pub fn data_digest(&self, cell: &Cell) -> Digest {
        let set = &self.sets[cell.dataset];
        if Arc::ptr_eq(&set.test, &set.utility) {
            return Digest::of(&(set.train.digest(), set.test.digest()));
        }
        Digest::of(&(set.train.digest(), set.test.digest(), set.utility.digest()))
    }

    /// Digest of everything that is known before a cell runs; names its evidence.
    pub fn run_id(&self, cell: &Cell, against: Option<usize>) -> Digest {
        let mut known = json!({
            "config": self.benchmark.config(cell),
            "against": against.map(|a| self.benchmark.attacks[a].spec()),
            "data": self.data_digest(cell),
            "seed": cell.seed,
            "stages": [super::fit::VERSION, crate::evaluate::VERSION],
        });
        // Stages that few cells have; the names of the others do not speak of them.
        if self.searched(against.unwrap_or(cell.attack)) {
            known["arm"] = super::arm::VERSION.into();
        }
        if let Some((stage, version)) = super::look::version(self, cell) {
            known[stage] = version.into();
        }
        Digest::of(&known)
    }
}

/// A folder with results of something else is not overwritten.
fn refuse_strangers(plan: &Plan<'_>, out: &Path, rows: &Path) -> Result<()> {
    let mut own = BTreeSet::new();
    for work in &plan.works {
        own.insert(plan.run_id(&work.cell, None));
        own.extend(plan.rivals(&work.cell).map(|a| plan.run_id(&work.cell, Some(a))));
    }
    let kept = row::read(rows).map_err(refused)?;
    match kept.rows.iter().find(|row| !own.contains(&row.run)) {
        None => Ok(()),
        Some(row) => Err(Failure::request(format!(
            "{} holds other results (of {}, run {}); choose another --out or remove it",
            out.display(),
            row.benchmark,
            row.run.short()
        ))),
    }
}

/// Nothing has been written yet.
#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn refused(error: anyhow::Error) -> Failure {
    Failure::request(format!("{error:#}"))
}
