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
use toxiclip_shared::defenses::Defense;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::checkpoints;
use super::verify::{Report, Run};
use crate::benchmark::Utility;
use crate::evaluate::task::{Asked, attacked};
use crate::evaluate::{Embeddings, judge_utility};
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::pipeline::Plan;
use crate::pipeline::set::Set;
use crate::prepared::Prepared;

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
    let askable = |run: &Run<'_>| !matches!(plan.defenses[run.cell.defense], Defense::Probe(_));
    let all = runs.iter().flat_map(|run| run.evidence.iter().map(move |j| (run, j)));
    let (asked, rest): (Vec<_>, Vec<_>) =
        all.partition(|(run, j)| askable(run) && is_asked(j.task));
    let places = how.seed(bundle).stream().sample(asked.len(), how.draws);
    // A model is opened once, and once asked what all runs of it are asked.
    let mut models: BTreeMap<(Digest, usize), BTreeMap<Digest, Question<'_>>> = BTreeMap::new();
    for (run, judgement) in places.into_iter().map(|place| asked[place]) {
        let of_model = models.entry((run.weights, run.cell.dataset)).or_default();
        of_model.entry(run.id).or_insert_with(|| (run, Vec::new())).1.push(judgement);
    }
    let mut known = match &how.checkpoints {
        Some(dir) => checkpoints::below(dir)?,
        None => BTreeMap::new(),
    };
    known.extend(checkpoints::below(unpacked)?);
    let prepared = Prepared::default();
    let bar = how.lab.progress.stage("replay", models.len() as u64, "models");
    let (mut agreed, mut worst, mut absent) = (0_usize, 0.0_f32, 0_usize);
    let mut missing: BTreeSet<Digest> = BTreeSet::new();
    for ((weights, dataset), questions) in &models {
        let count: usize = questions.values().map(|(_, drawn)| drawn.len()).sum();
        match known.get(weights) {
            None => {
                missing.insert(*weights);
                absent += count;
            }
            Some(dir) => {
                let set = (&plan.sets[*dataset], &prepared);
                worst = worst.max(compare(
                    how,
                    &open(dir, *weights)?.on(&how.lab.executor),
                    set,
                    questions,
                )?);
                agreed += count;
            }
        }
        bar.advance(1);
    }
    bar.finish();
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
    report.replayed = agreed;
    let missed = (1.0 - SHARE).powi(i32::try_from(agreed).unwrap_or(i32::MAX));
    report.passed.push(format!(
        "{agreed} of {} judgements, drawn by the bundle's hash, are what their checkpoints say (cosines differ by {worst:.1e} at most); were {:.0} % forged, all of those would have been missed with probability {missed:.3}",
        asked.len(),
        100.0 * SHARE,
    ));
    if !rest.is_empty() {
        report.skipped.push(format!(
            "{} judgements of detectors, audits, screens, shifts and probes are not asked again",
            rest.len()
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

/// A run and those of its judgements that were drawn.
type Question<'a> = (&'a Run<'a>, Vec<&'a Judgement>);

/// The checkpoint in a folder, which must have these weights.
pub(super) fn open(dir: &Path, weights: Digest) -> Result<Model> {
    let (model, _) = Model::load(dir, None)?;
    if model.weights.digest() != weights {
        let why = "its weights are not those that it says it has";
        return Err(Failure::failed(format!("{}: {why}", dir.display())));
    }
    Ok(model)
}

/// Asks a model what its runs were asked; the largest difference of a cosine.
fn compare(
    how: &Replay,
    model: &Model,
    (set, prepared): (&Set, &Prepared),
    questions: &BTreeMap<Digest, Question<'_>>,
) -> Result<f32> {
    let splits = Splits { train: None, val: None, test: Arc::clone(&set.test), utility: None };
    let (splits, templates, lab) = (&splits, &set.templates, &how.lab);
    let asked = Asked { model, splits, templates, prepared, lab };
    let plain = asked.embed(&*set.test, templates)?;
    let ordinary = ordinary(&asked, set, &plain, questions)?;
    let mut worst = 0.0_f32;
    for (run, drawn) in questions.values() {
        let own = match drawn.iter().all(|j| utility(j.task).is_some()) {
            true => Vec::new(),
            false => attacked(&asked, &run.armed, &plain, run.cell.seed)?,
        };
        let answers: BTreeMap<Key<'_>, &Judgement> =
            ordinary.iter().chain(&own).map(|j| (key(j), j)).collect();
        for said in drawn {
            let own = answers.get(&key(said)).ok_or_else(|| "nobody asks that".to_owned());
            let difference = own.and_then(|own| difference(said, own)).map_err(|why| {
                let (id, task, sample) = (run.id.short(), said.task.name(), &said.sample);
                Failure::failed(format!("the bundle: run {id}, {task} of {sample}: {why}"))
            })?;
            worst = worst.max(difference);
        }
    }
    Ok(worst)
}

/// The answers about utility, as far as any of them was drawn; `plain` are the embeddings of the test split.
fn ordinary(
    asked: &Asked<'_>,
    set: &Set,
    plain: &Embeddings,
    questions: &BTreeMap<Digest, Question<'_>>,
) -> Result<Vec<Judgement>> {
    let drawn = |task: Utility| {
        questions.values().flat_map(|(_, drawn)| drawn).any(|j| utility(j.task) == Some(task))
    };
    let tasks: Vec<Utility> =
        [Utility::ZeroShot, Utility::Retrieval].into_iter().filter(|task| drawn(*task)).collect();
    if tasks.is_empty() || Arc::ptr_eq(&set.test, &set.utility) {
        return judge_utility(&*set.test, plain, &tasks);
    }
    judge_utility(&*set.utility, &asked.embed(&*set.utility, &set.templates)?, &tasks)
}

/// What a judgement about a model's use is about; `None` for those about an attack.
fn utility(task: Task) -> Option<Utility> {
    match task {
        Task::ZeroShot => Some(Utility::ZeroShot),
        Task::ImageRetrieval | Task::TextRetrieval => Some(Utility::Retrieval),
        _ => None,
    }
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
