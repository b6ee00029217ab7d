//! Detection metrics and embedding shift against golden values from scikit-learn and NumPy (`golden/metrics.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use serde::Deserialize;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task, values};

#[derive(Deserialize)]
struct Golden {
    detection: Vec<Detection>,
    shift: Shift,
}

#[derive(Deserialize)]
struct Detection {
    scores: Vec<f32>,
    poisoned: Vec<bool>,
    dropped: Vec<bool>,
    expect: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Shift {
    image: Vec<f32>,
    text: Vec<f32>,
    expect: BTreeMap<String, f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/metrics.json")).unwrap()
}

fn scored(task: Task, sample: usize, score: f32) -> Judgement {
    Judgement {
        task,
        sample: PairId(format!("pair-{sample:03}")),
        content: Digest::of(&sample),
        text: None,
        label: None,
        goal: None,
        rank: 0,
        gallery: 1,
        top: Vec::new(),
        scores: Vec::new(),
        cluster: format!("pair-{sample:03}"),
        poisoned: None,
        score: Some(score),
        dropped: None,
    }
}

fn evidence(case: &Detection) -> Vec<Judgement> {
    let one = |i: usize| Judgement {
        poisoned: Some(case.poisoned[i]),
        dropped: Some(case.dropped[i]),
        ..scored(Task::Detection, i, case.scores[i])
    };
    (0..case.scores.len()).map(one).collect()
}

/// Says which value differs.
fn compare(evidence: &[Judgement], expect: &BTreeMap<String, f64>) -> Result<(), String> {
    let got = values(evidence).map_err(|e| e.to_string())?;
    let found: Vec<&str> = got.iter().map(|v| v.metric.as_str()).collect();
    if found.len() != expect.len() {
        return Err(format!("found {found:?}"));
    }
    for v in &got {
        let golden = expect.get(&v.metric).ok_or_else(|| format!("{} is not golden", v.metric))?;
        if (v.value - golden).abs() > 1e-12 || !(v.lo..=v.hi).contains(&v.value) {
            return Err(format!("{}: {v:?} instead of {golden}", v.metric));
        }
    }
    Ok(())
}

#[test]
fn detection_agrees_with_scikit_learn() {
    let golden = golden();
    let poisoned = |c: &Detection| c.poisoned.iter().filter(|p| **p).count();
    assert!(golden.detection.iter().any(|c| poisoned(c) == 1), "a single poisoned pair");
    for case in &golden.detection {
        compare(&evidence(case), &case.expect).unwrap();
    }
}

#[test]
fn shifts_are_means_of_distances() {
    let Shift { image, text, expect } = golden().shift;
    let images = image.iter().enumerate().map(|(i, s)| scored(Task::ImageShift, i, *s));
    let texts = text.iter().enumerate().map(|(i, s)| scored(Task::TextShift, i, *s));
    compare(&images.chain(texts).collect::<Vec<_>>(), &expect).unwrap();
}

#[test]
fn the_comparison_can_fail() {
    let case = &golden().detection[0];
    for name in case.expect.keys() {
        let mut moved = case.expect.clone();
        *moved.get_mut(name).unwrap() += 1e-6;
        assert!(compare(&evidence(case), &moved).unwrap_err().starts_with(name), "{name}");
    }
    let mut swapped = evidence(case);
    swapped.iter_mut().for_each(|j| j.poisoned = j.poisoned.map(|p| !p));
    assert!(compare(&swapped, &case.expect).is_err(), "labels matter");
}

#[test]
fn what_cannot_be_judged_has_no_value() {
    let case = &golden().detection[0];
    let clean: Vec<Judgement> =
        evidence(case).into_iter().filter(|j| j.poisoned == Some(false)).collect();
    let names = |e: &[Judgement]| -> Vec<String> {
        values(e).unwrap().into_iter().map(|v| v.metric).collect()
    };
    assert_eq!(names(&clean), ["dropped.clean"], "a control has nothing to find");
    let mut silent = evidence(case);
    silent.iter_mut().for_each(|j| j.dropped = None);
    assert_eq!(names(&silent), ["auroc", "auprc", "tpr@fpr0.01"], "a detector only scores");
    let error = |change: fn(&mut Judgement)| {
        let mut broken = evidence(case);
        change(&mut broken[3]);
        values(&broken).unwrap_err().to_string()
    };
    assert!(error(|j| j.score = None).contains("score is missing"));
    assert!(error(|j| j.poisoned = None).contains("whether the pair is poisoned"));
    assert!(error(|j| j.score = Some(f32::NAN)).contains("not finite"));
}

#[test]
fn equal_scores_are_chance() {
    // Three of eight pairs are poisoned, and every threshold flags all or none.
    let evidence: Vec<Judgement> = (0..8)
        .map(|i| Judgement { poisoned: Some(i < 3), ..scored(Task::Detection, i, 0.25) })
        .collect();
    let chance = [("auroc", 0.5), ("auprc", 0.375), ("tpr@fpr0.01", 0.0)];
    let expect = chance.map(|(metric, value)| (metric.to_owned(), value)).into();
    compare(&evidence, &expect).unwrap();
    let poison: Vec<Judgement> =
        evidence.into_iter().map(|j| Judgement { poisoned: Some(true), ..j }).collect();
    assert!(values(&poison).unwrap().is_empty(), "nothing clean to tell poison from");
}
