//! Evidence: one flat record per judged query, uniform over tasks, from which every metric follows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::data::PairId;
use crate::digest::Digest;
use crate::{Error, Result};

/// What was asked of the model. Decides what `sample`, `rank` and `gallery` of a [`Judgement`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Picture against class prompts: rank of the true class among the class logits.
    ZeroShot,
    /// Caption against all pictures: rank of its own picture.
    ImageRetrieval,
    /// Picture against all captions: best rank among its own captions.
    TextRetrieval,
    /// Caption of the attacked class against all pictures: best rank of a target picture.
    Hit,
    /// Caption drawn at random, through the same model, against the same targets.
    HitRandom,
    /// Training pair before a detector: rank by suspicion among all pairs.
    Detection,
    /// Test picture: how far its embedding lies from the clean model's. Nothing is ranked.
    ImageShift,
    /// Test caption: how far its embedding lies from the clean model's. Nothing is ranked.
    TextShift,
    /// Picture with the trigger on it, of any class but the target, against class prompts: rank of the target.
    Triggered,
    /// The same for every picture, those of the target class included.
    TriggeredAll,
    /// The pictures of `Triggered`: rank of their true class.
    TriggeredTruth,
    /// The pictures of `Triggered` before an attack that needs two keys, with the trigger on them, prompts as they are.
    ImageKey,
    /// The same pictures as they are, the trigger's words in all prompts.
    TextKey,
    /// A whole model before an audit, whose name is the sample, the digest of the weights its content. Nothing is ranked.
    Audit,
    /// A class before an audit, the sample being its name: rank by suspicion among the classes looked at.
    AuditClass,
    /// Single picture that an attack wants, as it is, against class prompts: rank of the class it shall be taken for.
    Targeted,
    /// Test picture before a screen, as it is or, of any class but the target, with the trigger on it (it has a goal then),
    /// against class prompts: rank of its true class or of the target.
    Screening,
}

impl Task {
    /// All tasks, in declaration order.
    pub const ALL: [Self; 17] = [
        Self::ZeroShot,
        Self::ImageRetrieval,
        Self::TextRetrieval,
        Self::Hit,
        Self::HitRandom,
        Self::Detection,
        Self::ImageShift,
        Self::TextShift,
        Self::Triggered,
        Self::TriggeredAll,
        Self::TriggeredTruth,
        Self::ImageKey,
        Self::TextKey,
        Self::Audit,
        Self::AuditClass,
        Self::Targeted,
        Self::Screening,
    ];

    /// The name in evidence files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::ImageRetrieval => "image-retrieval",
            Self::TextRetrieval => "text-retrieval",
            Self::Hit => "hit",
            Self::HitRandom => "hit-random",
            Self::Detection => "detection",
            Self::ImageShift => "image-shift",
            Self::TextShift => "text-shift",
            Self::Triggered => "triggered",
            Self::TriggeredAll => "triggered-all",
            Self::TriggeredTruth => "triggered-truth",
            Self::ImageKey => "image-key",
            Self::TextKey => "text-key",
            Self::Audit => "audit",
            Self::AuditClass => "audit-class",
            Self::Targeted => "targeted",
            Self::Screening => "screening",
        }
    }
}

/// One query put to one model, and where the right (or the attacker's) answer came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// What was asked.
    pub task: Task,
    /// The picture asked about or, for a caption query, the picture the caption belongs to.
    pub sample: PairId,
    /// Content digest of that sample.
    pub content: Digest,
    /// The caption, where a caption is the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Index of the sample's class.
    pub label: Option<u32>,
    /// The goal whose targets were looked for, such as `ewe → airplane`; set for `Hit`, `HitRandom` and
    /// triggered pictures.
    pub goal: Option<String>,
    /// 0-based position of the best target; equal scores are ordered by index (see [`super::ranking`]).
    pub rank: u32,
    /// How many items were ranked; always above `rank`.
    pub gallery: u32,
    /// The first items: sample ids, class names, or captions for `TextRetrieval`.
    pub top: Vec<String>,
    /// Their scores, descending, as many as `top`.
    pub scores: Vec<f32>,
    /// Judgements that share a cluster are not independent (captions of one picture): intervals
    /// resample clusters. Usually the sample's id.
    pub cluster: String,
    /// Whether the sample was poisoned, where detection is judged; whether a class is the trigger's target, where an audit
    /// looks at classes; whether an input carries the trigger, where a screen looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poisoned: Option<bool>,
    /// The detector's or the screen's score, higher being more suspicious; for a shift the cosine distance; for `Triggered`
    /// and `Targeted` 1 where the clean model too answers with the target, else 0, and nothing where no clean model was
    /// asked; for a `Hit` of a caption with trigger words the clean model's rank; the audit's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Whether a filter removed the pair, where one did more than score; whether an audit flags the model or the class;
    /// whether a screen rejects the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<bool>,
}

/// Refuses evidence that contradicts itself: a rank outside the gallery, scores that are not finite,
/// not descending or not as many as the items, a hit without a goal, the same query twice, or a task
/// in which some pictures have labels, or the clean model's answer, and others not.
///
/// # Errors
/// Names the first sample that is wrong.
pub(super) fn check(evidence: &[Judgement]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for j in evidence {
        if let Some(why) = contradiction(j) {
            return Err(Error::input(&j.sample, format!("{}: {why}", j.task.name())));
        }
        if !seen.insert((j.task, &j.sample, &j.text, &j.goal)) {
            return Err(Error::input(
                &j.sample,
                format!("{}: judged twice in the same evidence; keep one", j.task.name()),
            ));
        }
    }
    for task in [Task::Triggered, Task::Targeted, Task::Hit] {
        let asked = |j: &&Judgement| j.task == task && j.score.is_some();
        let not_asked = |j: &&Judgement| j.task == task && j.score.is_none();
        if let (Some(_), Some(j)) = (evidence.iter().find(asked), evidence.iter().find(not_asked)) {
            let why = "the clean model's answer is missing, and other queries have it";
            return Err(Error::input(&j.sample, format!("{}: {why}", task.name())));
        }
    }
    let unlabelled = |j: &&Judgement| j.task == Task::ZeroShot && j.label.is_none();
    match evidence.iter().find(unlabelled) {
        Some(j) => Err(Error::input(&j.sample, "zero-shot: the class of the sample is missing")),
        None => Ok(()),
    }
}

fn contradiction(j: &Judgement) -> Option<String> {
    if j.rank >= j.gallery {
        return Some(format!("rank {} lies outside a gallery of {}", j.rank, j.gallery));
    }
    if j.top.len() != j.scores.len() {
        return Some(format!("{} top items have {} scores", j.top.len(), j.scores.len()));
    }
    if let Some(bad) = j.scores.iter().chain(&j.score).find(|s| !s.is_finite()) {
        return Some(format!("the score {bad} is not finite"));
    }
    if j.scores.windows(2).any(|w| w[0] < w[1]) {
        return Some("the scores of the top items do not descend".into());
    }
    let needs_score = matches!(
        j.task,
        Task::Detection
            | Task::ImageShift
            | Task::TextShift
            | Task::Audit
            | Task::AuditClass
            | Task::Screening
    );
    if needs_score && j.score.is_none() {
        return Some("the score is missing".into());
    }
    let beside_clean = matches!(j.task, Task::Triggered | Task::Targeted);
    if beside_clean && j.score.is_some_and(|s| s != 0.0 && s != 1.0) {
        return Some("the clean model's answer is neither 0 nor 1".into());
    }
    let a_rank = |s: f32| s.fract() == 0.0 && s >= 0.0 && s < j.gallery as f32;
    if j.task == Task::Hit && j.score.is_some_and(|s| !a_rank(s)) {
        return Some("the clean model's rank is no position in the gallery".into());
    }
    if j.task == Task::Detection && j.poisoned.is_none() {
        return Some("it is not said whether the pair is poisoned".into());
    }
    if j.task == Task::Screening && (j.poisoned != Some(j.goal.is_some()) || j.dropped.is_none()) {
        return Some(
            "it is not said whether the input is stamped, for which goal, or rejected".into(),
        );
    }
    let needs_goal = matches!(
        j.task,
        Task::Hit
            | Task::HitRandom
            | Task::Triggered
            | Task::TriggeredAll
            | Task::TriggeredTruth
            | Task::ImageKey
            | Task::TextKey
            | Task::Targeted
    );
    (needs_goal && j.goal.is_none()).then(|| "the goal is missing".into())
}
