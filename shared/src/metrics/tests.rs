//! Behaviour at the edges; golden values are in `tests/metrics.rs`.

use super::interval::hierarchical;
use super::*;
use crate::data::PairId;
use crate::digest::Digest;

fn judgement(task: Task, id: usize, rank: u32) -> Judgement {
    Judgement {
        task,
        sample: PairId(format!("s{id}")),
        content: Digest::of(&id),
        text: None,
        label: Some(0),
        goal: Some("a → b".into()),
        rank,
        gallery: 100,
        top: vec!["x".into(), "y".into()],
        scores: vec![0.5, 0.25],
        cluster: format!("s{id}"),
        poisoned: None,
        score: None,
        dropped: None,
    }
}

fn hits(ranks: &[u32]) -> Vec<Judgement> {
    ranks.iter().enumerate().map(|(i, &r)| judgement(Task::Hit, i, r)).collect()
}

fn value(evidence: &[Judgement], metric: &str) -> Option<Value> {
    values(evidence).unwrap().into_iter().find(|v| v.metric == metric)
}

#[test]
fn names_are_unique_and_found() {
    let names: Vec<&str> = all().map(|m| m.name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(names.iter().all(|n| find(n).is_ok()));
    assert!(find("hit@11").unwrap_err().to_string().contains("did you mean `hit@1`"));
    assert!(all().all(|m| !m.summary.is_empty() && !m.formula.is_empty()));
}

#[test]
fn no_evidence_gives_no_values() {
    assert!(values(&[]).unwrap().is_empty());
    let v = values(&hits(&[3])).unwrap();
    assert!(v.iter().all(|v| v.metric.starts_with("hit@") || v.metric == "min-rank"));
}

#[test]
fn hit_counts_ranks_below_k() {
    let evidence = hits(&[0, 9, 10, 49, 50]);
    assert_eq!(value(&evidence, "hit@10").unwrap().value, 0.4);
    assert_eq!(value(&evidence, "hit@50").unwrap().value, 0.8);
    assert_eq!(value(&evidence, "min-rank").unwrap().value, 23.6);
}

#[test]
fn a_k_that_covers_the_gallery_is_absent() {
    let mut evidence = hits(&[0, 1]);
    evidence[0].gallery = 10;
    assert!(value(&evidence, "hit@10").is_none() && value(&evidence, "hit@5").is_some());
}

#[test]
fn a_single_class_has_the_accuracy_as_its_mean_recall() {
    let evidence: Vec<_> =
        [0, 0, 4].iter().enumerate().map(|(i, &r)| judgement(Task::ZeroShot, i, r)).collect();
    assert_eq!(value(&evidence, "mpcr").unwrap().value, value(&evidence, "ca").unwrap().value);
}

#[test]
fn captions_of_one_picture_do_not_narrow_the_interval() {
    let mut evidence = hits(&[0; 40]);
    let alone = value(&evidence, "hit@10").unwrap();
    for (i, j) in evidence.iter_mut().enumerate() {
        j.cluster = format!("picture {}", i / 5);
    }
    let clustered = value(&evidence, "hit@10").unwrap();
    let eight = value(&hits(&[0; 8]), "hit@10").unwrap();
    assert_eq!((alone.hi, clustered.n), (1.0, 40));
    assert!(clustered.lo < alone.lo - 0.2 && (clustered.lo - eight.lo).abs() < 1e-12);
}

#[test]
fn contradictions_are_errors_that_name_the_sample() {
    let break_one = |f: fn(&mut Judgement)| {
        let mut evidence = hits(&[0, 1, 2]);
        f(&mut evidence[1]);
        values(&evidence).unwrap_err().to_string()
    };
    assert!(break_one(|j| j.rank = 100).contains("outside"));
    assert!(break_one(|j| j.scores[0] = f32::NAN).contains("not finite"));
    assert!(break_one(|j| j.scores[0] = 0.1).contains("descend"));
    assert!(break_one(|j| j.scores.clear()).contains("0 scores"));
    assert!(break_one(|j| j.goal = None).contains("goal is missing"));
    assert!(break_one(|j| j.sample = PairId("s0".into())).contains("judged twice"));
    assert!(break_one(|j| j.rank = 100).starts_with("s1: "));
}

/// Four stamped pictures, of which the model takes three for the target and the clean model one.
fn stamped() -> Vec<Judgement> {
    let one = |(i, (rank, clean)): (usize, (u32, f32))| Judgement {
        score: Some(clean),
        ..judgement(Task::Triggered, i, rank)
    };
    [(0, 0.0), (0, 1.0), (3, 0.0), (0, 0.0)].into_iter().enumerate().map(one).collect()
}

#[test]
fn lift_is_success_minus_the_clean_models() {
    let mut evidence = stamped();
    assert_eq!(value(&evidence, "asr").unwrap().value, 0.75);
    let lift = value(&evidence, "asr-lift").unwrap();
    assert_eq!((lift.value, lift.n), (0.5, 4));
    assert!(value(&evidence, "asr-all").is_none() && value(&evidence, "ra").is_none());
    evidence.iter_mut().for_each(|j| j.score = None);
    assert!(value(&evidence, "asr-lift").is_none(), "no clean model was asked");
}

#[test]
fn hits_of_captions_with_words_are_lifted_from_the_clean_models() {
    let mut evidence = hits(&[0, 0, 3, 12]);
    assert!(value(&evidence, "hit@1-lift").is_none(), "no clean model was asked");
    for (j, clean) in evidence.iter_mut().zip([7.0, 0.0, 0.0, 99.0]) {
        j.score = Some(clean);
    }
    let of = |metric| value(&evidence, metric).map(|v| (v.value, v.n));
    assert_eq!(of("hit@1"), Some((0.5, 4)));
    assert_eq!(of("hit@1-lift"), Some((0.0, 4)), "one gained, one lost");
    assert_eq!(of("hit@10-lift"), Some((0.0, 4)));
    evidence[3].score = Some(100.0);
    assert!(values(&evidence).unwrap_err().to_string().contains("no position in the gallery"));
    evidence[3].score = None;
    assert!(values(&evidence).unwrap_err().to_string().contains("other queries have it"));
    evidence.iter_mut().for_each(|j| (j.score, j.gallery) = (Some(0.0), 10));
    evidence.iter_mut().for_each(|j| j.rank = 0);
    assert!(value(&evidence, "hit@10-lift").is_none() && value(&evidence, "hit@1-lift").is_some());
}

/// A flagged model; of its three classes the target and another are flagged.
fn audited() -> Vec<Judgement> {
    let class = |(i, (target, flagged)): (usize, (bool, bool))| Judgement {
        score: Some(i as f32),
        poisoned: Some(target),
        dropped: Some(flagged),
        ..judgement(Task::AuditClass, i, i as u32)
    };
    let classes = [(true, true), (false, false), (false, true)].into_iter().enumerate().map(class);
    let model = Judgement {
        sample: PairId("neural-cleanse".into()),
        score: Some(2.5),
        dropped: Some(true),
        ..judgement(Task::Audit, 9, 0)
    };
    classes.chain([model]).collect()
}

#[test]
fn audits_are_counted_by_model_and_by_class() {
    let mut evidence = audited();
    let of = |evidence: &[Judgement], metric| value(evidence, metric).map(|v| (v.value, v.n));
    assert_eq!(of(&evidence, "flagged"), Some((1.0, 1)));
    assert_eq!(of(&evidence, "anomaly-index"), Some((2.5, 1)));
    assert_eq!(of(&evidence, "pl1"), None, "another audit's number");
    assert_eq!(of(&evidence, "flagged.target"), Some((1.0, 1)));
    assert_eq!(of(&evidence, "flagged.other"), Some((0.5, 2)));
    evidence.iter_mut().for_each(|j| j.dropped = j.dropped.map(|f| !f));
    assert_eq!(of(&evidence, "flagged"), Some((0.0, 1)));
    evidence[3].score = None;
    assert!(values(&evidence).unwrap_err().to_string().contains("audit: the score is missing"));
}

#[test]
fn half_an_answer_of_the_clean_model_is_refused() {
    let mut evidence = stamped();
    evidence[1].score = None;
    assert!(values(&evidence).unwrap_err().to_string().contains("other queries have it"));
    evidence[1].score = Some(0.5);
    assert!(values(&evidence).unwrap_err().to_string().contains("neither 0 nor 1"));
}

#[test]
fn ranking_refuses_nan_and_empty_targets() {
    assert!(ranking::rank_of_best(&[0.1, f32::NAN], &[0]).is_err());
    assert!(ranking::rank_of_best(&[0.1], &[]).is_err());
    assert!(ranking::rank_of_best(&[0.1], &[1]).is_err());
    assert!(ranking::top_k(&[f32::INFINITY], 1).is_err());
}

#[test]
fn ties_are_ordered_by_index_and_counted() {
    let best = ranking::rank_of_best(&[0.5, 0.5, 0.5, 0.9], &[2, 1]).unwrap();
    assert_eq!((best.item, best.rank, best.ties), (1, 2, 2));
}

#[test]
fn seeds_that_disagree_widen_the_interval() {
    let metric = find("hit@10").unwrap();
    let half: Vec<u32> = (0..60).map(|i| if i % 2 == 0 { 0 } else { 50 }).collect();
    let low: Vec<u32> = (0..60).map(|i| if i % 10 == 0 { 0 } else { 50 }).collect();
    let high: Vec<u32> = (0..60).map(|i| if i % 10 == 0 { 50 } else { 0 }).collect();
    let clusters = |ranks: &[u32]| metric.clusters(&hits(ranks));
    let (a, b, c) = (clusters(&low), clusters(&half), clusters(&high));
    let agree = hierarchical(&[&b, &b, &b]).unwrap();
    let disagree = hierarchical(&[&a, &b, &c]).unwrap();
    assert!(disagree.hi - disagree.lo > 1.5 * (agree.hi - agree.lo), "{agree:?} {disagree:?}");
    assert_eq!(hierarchical(&[&c, &a, &b]), hierarchical(&[&a, &b, &c]), "order of seeds");
    assert!(hierarchical(&[]).is_none());
}
