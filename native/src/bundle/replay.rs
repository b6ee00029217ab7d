//! Some judgements are put to their checkpoints again: what a table of ranks says of itself cannot show that a model gave them.
//!
//! The bundle's own hash draws them, so that whoever makes one cannot know which before everything in it is fixed. Who packs
//! many bundles and keeps the one whose draws suit him is met by many draws, or by a seed that the verifier keeps to himself.
//! What needs more than one checkpoint is left out and counted: detectors, audits, screens, shifts, a classifier of the
//! defender's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toxiclip_shared::data::{PairId, Splits};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::checkpoints;
use super::verify::{Report, Run};
use crate::benchmark::Utility;
use crate::evaluate::task::{self, Asked};
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::pipeline::Plan;

/// How many judgements to ask again, and of which models.
pub struct Replay {
    /// Judgements to draw.
    pub draws: usize,
    /// A folder with checkpoints, at most two folders below it; those that come with the bundle need none.
    pub checkpoints: Option<PathBuf>,
    /// Mixed into the draws.
    pub seed: u64,
    /// Bars and Ctrl-C.
    pub lab: Lab,
}

/// How far a cosine may lie from that of another machine, whose sums have another order.
const TOLERANCE: f32 = 1e-4;
/// The share of forged judgements for which the report says how likely all of them would have been missed.
const SHARE: f64 = 0.01;

/// Draws, asks and compares; `unpacked` is where the members of the bundle lie.
///
/// # Errors
/// With the first judgement that its checkpoint does not give; if no drawn one could be asked again.
pub(super) fn replay(
    how: &Replay,
    (bundle, unpacked): (Digest, &Path),
    plan: &Plan<'_>,
    runs: &[Run<'_>],
    report: &mut Report,
) -> Result<()> {
    let all: usize = runs.iter().map(|run| run.evidence.len()).sum();
    let mut asked = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let probed = matches!(
            *plan.benchmark.defenses[run.cell.defense].make(DEFENSES).map_err(Failure::request)?,
            Defense::Probe(_)
        );
        let own = run.evidence.iter().enumerate().filter(|(_, j)| !probed && is_asked(j.task));
        asked.extend(own.map(|(place, _)| (at, place)));
    }
    let mut drawn: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in how.seed(bundle).stream().sample(asked.len(), how.draws) {
        let (run, judgement) = asked[place];
        drawn.entry(run).or_default().push(judgement);
    }
    let mut known = how.checkpoints.as_deref().map(checkpoints::below).unwrap_or_default();
    known.extend(checkpoints::below(unpacked));
    let bar = how.lab.progress.stage("replay", drawn.len() as u64, "runs");
    let (mut agreed, mut worst, mut absent) = (0_usize, 0.0_f32, 0_usize);
    for (at, places) in &drawn {
        let run = &runs[*at];
        match known.get(&run.weights) {
            None => absent += places.len(),
            Some(dir) => {
                worst = worst.max(compare(how, plan, run, places, dir)?);
                agreed += places.len();
            }
        }
        bar.advance(1);
    }
    bar.finish();
    let missing: BTreeSet<Digest> =
        drawn.keys().map(|at| runs[*at].weights).filter(|w| !known.contains_key(w)).collect();
    if let Some(first) = missing.first() {
        let some = format!("{} of their checkpoints, such as {}", missing.len(), first.short());
        let why = match &how.checkpoints {
            Some(dir) => format!("{some}, are not below {} (--checkpoints)", dir.display()),
            None => format!("{some}, are not in it; give their folder with --checkpoints"),
        };
        if agreed == 0 {
            return Err(Failure::failed(format!("the bundle cannot be replayed: {why}")));
        }
        report.skipped.push(format!("{absent} drawn judgements were not asked again: {why}"));
    }
    let missed = (1.0 - SHARE).powi(i32::try_from(agreed).unwrap_or(i32::MAX));
    report.passed.push(format!(
        "{agreed} of {} judgements, drawn by the bundle's hash, are what their checkpoints say (cosines differ by {worst:.1e} at most); were {:.0} % forged, all of those would have been missed with probability {missed:.3}",
        asked.len(),
        100.0 * SHARE,
    ));
    if all > asked.len() {
        report.skipped.push(format!(
            "{} judgements of detectors, audits, screens, shifts and probes are not asked again",
            all - asked.len()
        ));
    }
    Ok(())
}

impl Replay {
    /// Known to nobody before the bundle is.
    fn seed(&self, bundle: Digest) -> Seed {
        Seed::new(self.seed).child("replay").child(bundle)
    }
}

/// Whether one checkpoint alone answers it.
fn is_asked(task: Task) -> bool {
    match task {
        Task::ZeroShot | Task::ImageRetrieval | Task::TextRetrieval => true,
        Task::Hit | Task::HitRandom | Task::Targeted => true,
        Task::Triggered | Task::TriggeredAll | Task::TriggeredTruth => true,
        Task::ImageKey | Task::TextKey => true,
        Task::Detection | Task::ImageShift | Task::TextShift => false,
        Task::Audit | Task::AuditClass | Task::Screening => false,
    }
}

/// A query: nobody is asked the same twice.
type Key<'a> = (Task, &'a PairId, Option<&'a str>, Option<&'a str>);

fn key(j: &Judgement) -> Key<'_> {
    (j.task, &j.sample, j.text.as_deref(), j.goal.as_deref())
}

/// Asks a run's model again; the largest difference of a cosine.
fn compare(
    how: &Replay,
    plan: &Plan<'_>,
    run: &Run<'_>,
    places: &[usize],
    dir: &Path,
) -> Result<f32> {
    let (model, _) = Model::load(dir, None)?;
    if model.weights.digest() != run.weights {
        let why = "its weights are not those that it says it has";
        return Err(Failure::failed(format!("{}: {why}", dir.display())));
    }
    let judgements: Vec<&Judgement> = places.iter().map(|place| &run.evidence[*place]).collect();
    let answers = answers(how, plan, run, &model, &judgements)?;
    let answers: BTreeMap<Key<'_>, &Judgement> = answers.iter().map(|j| (key(j), j)).collect();
    let mut worst = 0.0_f32;
    for said in judgements {
        let own = answers.get(&key(said)).ok_or_else(|| "nobody asks that".to_owned());
        let difference = own.and_then(|own| difference(said, own)).map_err(|why| {
            let (id, task, sample) = (run.id.short(), said.task.name(), &said.sample);
            Failure::failed(format!("the bundle: run {id}, {task} of {sample}: {why}"))
        })?;
        worst = worst.max(difference);
    }
    Ok(worst)
}

/// What the model says to everything of the kinds that were drawn.
fn answers(
    how: &Replay,
    plan: &Plan<'_>,
    run: &Run<'_>,
    model: &Model,
    drawn: &[&Judgement],
) -> Result<Vec<Judgement>> {
    let set = &plan.sets[run.cell.dataset];
    let utility = (!Arc::ptr_eq(&set.test, &set.utility)).then(|| Arc::clone(&set.utility));
    let splits = Splits { train: None, val: None, test: Arc::clone(&set.test), utility };
    let asked = Asked { model, splits: &splits, templates: &set.templates, lab: &how.lab };
    let retrieval = |j: &&Judgement| matches!(j.task, Task::ImageRetrieval | Task::TextRetrieval);
    let mut all = Vec::new();
    if drawn.iter().any(retrieval) {
        all.extend(task::measure(&asked, task::Task::Retrieval, None, run.cell.seed)?);
    }
    if !drawn.iter().all(retrieval) {
        let first = match set.tasks.contains(&Utility::ZeroShot) {
            true => task::Task::ZeroShot,
            false => task::Task::Retrieval,
        };
        all.extend(task::measure(&asked, first, Some(&run.armed), run.cell.seed)?);
    }
    Ok(all)
}

/// The largest difference of two answers' cosines; the first thing in which they differ by more than they may.
///
/// Where every cosine has the same bits, so has the whole order. Where they have not, neighbours may have changed places:
/// a rank may then differ by one, and by one more for every thousand items.
fn difference(said: &Judgement, own: &Judgement) -> std::result::Result<f32, String> {
    if said.gallery != own.gallery || said.scores.len() != own.scores.len() {
        return Err(format!("{} items are ranked, here {}", said.gallery, own.gallery));
    }
    let pairs = said.scores.iter().zip(&own.scores);
    // In the order of all floats what is no number comes last, and so is too far.
    let worst = pairs.map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap_or(0.0);
    if worst.is_nan() || worst > TOLERANCE {
        let (theirs, ours) = (&said.scores, &own.scores);
        return Err(format!("its cosines are {theirs:?}, its checkpoint's {ours:?}"));
    }
    let slack = if said.scores == own.scores { 0 } else { 1 + said.gallery / 1000 };
    if said.rank.abs_diff(own.rank) > slack {
        return Err(format!("its rank is {}, its checkpoint's {}", said.rank, own.rank));
    }
    if slack == 0 && said.top != own.top {
        return Err(format!("it finds {:?}, its checkpoint {:?}", said.top, own.top));
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rank: u32, scores: [f32; 2]) -> Judgement {
        Judgement {
            task: Task::ZeroShot,
            sample: PairId("a".to_owned()),
            content: Digest::of(&"a"),
            text: None,
            label: Some(0),
            goal: None,
            rank,
            gallery: 1500,
            top: vec!["x".to_owned(), "y".to_owned()],
            scores: scores.to_vec(),
            cluster: "a".to_owned(),
            poisoned: None,
            score: None,
            dropped: None,
        }
    }

    #[test]
    fn answers_agree_within_what_machines_may_differ_by() {
        let own = answer(3, [0.5, 0.4]);
        assert_eq!(difference(&own, &own), Ok(0.0));
        assert!(difference(&answer(5, [0.500_01, 0.4]), &own).is_ok_and(|worst| worst > 0.0));
        let wrong = |said: &Judgement| difference(said, &own).unwrap_err();
        assert!(wrong(&answer(4, [0.5, 0.4])).contains("its rank is 4, its checkpoint's 3"));
        assert!(wrong(&answer(6, [0.500_01, 0.4])).contains("its rank is 6"));
        assert!(wrong(&answer(3, [0.6, 0.4])).contains("its cosines are [0.6, 0.4]"));
        assert!(wrong(&answer(3, [f32::NAN, 0.4])).contains("its cosines"));
        assert!(wrong(&Judgement { gallery: 9, ..own.clone() }).contains("9 items"));
        let top = vec!["y".to_owned(), "x".to_owned()];
        assert!(wrong(&Judgement { top, ..own.clone() }).contains("it finds"));
    }
}
