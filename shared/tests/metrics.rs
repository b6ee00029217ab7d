//! Metrics against golden values from NumPy and SciPy (`golden/metrics.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use std::collections::BTreeMap;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::interval::wilson;
use toxiclip_shared::metrics::{Judgement, Task, ranking, values};

#[derive(Deserialize)]
struct Golden {
    ranks: Vec<RankCase>,
    wilson: Vec<WilsonCase>,
    retrieval: Retrieval,
    zero_shot: ZeroShot,
}

#[derive(Deserialize)]
struct RankCase {
    scores: Vec<f32>,
    targets: Vec<usize>,
    rank: u32,
    k: usize,
    top: Vec<usize>,
}

#[derive(Deserialize)]
struct WilsonCase {
    hits: f64,
    n: f64,
    lo: f64,
    hi: f64,
}

#[derive(Deserialize, Clone)]
struct Expected {
    value: f64,
    lo: f64,
    hi: f64,
    n: u64,
}

#[derive(Deserialize)]
struct Retrieval {
    images: usize,
    captions: usize,
    similarity: Vec<f32>,
    queries: Vec<usize>,
    targets: Vec<usize>,
    random: Vec<usize>,
    expect: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct ZeroShot {
    classes: usize,
    labels: Vec<usize>,
    logits: Vec<f32>,
    expect: BTreeMap<String, Expected>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/metrics.json")).unwrap()
}

fn judge(
    task: Task,
    sample: usize,
    text: Option<usize>,
    scores: &[f32],
    targets: &[usize],
) -> Judgement {
    let best = ranking::rank_of_best(scores, targets).unwrap();
    let top = ranking::top_k(scores, 5).unwrap();
    Judgement {
        task,
        sample: PairId(format!("picture-{sample:03}")),
        content: Digest::of(&sample),
        text: text.map(|t| format!("caption {t}")),
        label: None,
        goal: matches!(task, Task::Hit | Task::HitRandom).then(|| "a → b".to_owned()),
        rank: best.rank,
        gallery: scores.len() as u32,
        scores: top.iter().map(|&i| scores[i]).collect(),
        top: top.iter().map(|i| format!("item-{i:03}")).collect(),
        cluster: format!("picture-{sample:03}"),
        poisoned: None,
        score: None,
        dropped: None,
    }
}

fn retrieval_evidence(r: &Retrieval) -> Vec<Judgement> {
    let row = |q: usize| &r.similarity[q * r.images..(q + 1) * r.images];
    let texts = r.images * r.captions;
    let mut out = Vec::new();
    for q in 0..texts {
        let own = q / r.captions;
        out.push(judge(Task::ImageRetrieval, own, Some(q), row(q), &[own]));
    }
    for image in 0..r.images {
        let column: Vec<f32> = (0..texts).map(|q| row(q)[image]).collect();
        let own: Vec<usize> = (0..texts).filter(|q| q / r.captions == image).collect();
        out.push(judge(Task::TextRetrieval, image, None, &column, &own));
    }
    for &q in &r.queries {
        out.push(judge(Task::Hit, q / r.captions, Some(q), row(q), &r.targets));
    }
    for &q in &r.random {
        out.push(judge(Task::HitRandom, q / r.captions, Some(q), row(q), &r.targets));
    }
    out
}

fn zero_shot_evidence(z: &ZeroShot) -> Vec<Judgement> {
    let judge_one = |(i, &label): (usize, &usize)| Judgement {
        label: Some(label as u32),
        ..judge(Task::ZeroShot, i, None, &z.logits[i * z.classes..(i + 1) * z.classes], &[label])
    };
    z.labels.iter().enumerate().map(judge_one).collect()
}

/// Compares all values with the golden ones; says what differs. Bootstrap ends may differ by the
/// noise of resampling, everything else only by rounding.
fn compare(evidence: &[Judgement], expect: &BTreeMap<String, Expected>) -> Result<(), String> {
    let got = values(evidence).map_err(|e| e.to_string())?;
    let names: Vec<_> = got.iter().map(|v| v.metric.as_str()).collect();
    if names.len() != expect.len() {
        return Err(format!("{} values instead of {}: {names:?}", names.len(), expect.len()));
    }
    for v in &got {
        let e = expect.get(&v.metric).ok_or_else(|| format!("{} is not golden", v.metric))?;
        let bootstrapped = v.metric.starts_with("min-rank");
        let width = if bootstrapped { 0.06 * (e.hi - e.lo) } else { 1e-9 };
        for (what, a, b, tolerance) in [
            ("value", v.value, e.value, 1e-12),
            ("lo", v.lo, e.lo, width),
            ("hi", v.hi, e.hi, width),
        ] {
            if (a - b).abs() > tolerance || a.is_nan() {
                return Err(format!("{} {what}: {a} instead of {b}", v.metric));
            }
        }
        if v.n != e.n {
            return Err(format!("{} n: {} instead of {}", v.metric, v.n, e.n));
        }
    }
    Ok(())
}

#[test]
fn ranks_and_top_k_agree_with_stable_argsort() {
    let cases = golden().ranks;
    let mut ties = 0;
    for c in &cases {
        let best = ranking::rank_of_best(&c.scores, &c.targets).unwrap();
        assert_eq!(best.rank, c.rank, "{:?} {:?}", c.scores, c.targets);
        assert_eq!(ranking::top_k(&c.scores, c.k).unwrap(), c.top);
        ties += best.ties;
    }
    assert!(ties > 50, "the golden cases should contain ties, found {ties}");
}

#[test]
fn wilson_agrees_with_scipy() {
    for c in golden().wilson {
        let got = wilson(c.hits / c.n, c.n);
        assert!((got.lo - c.lo).abs() < 1e-9 && (got.hi - c.hi).abs() < 1e-9, "{got:?}");
    }
}

#[test]
fn retrieval_and_attack_metrics_agree_with_numpy() {
    let r = golden().retrieval;
    compare(&retrieval_evidence(&r), &r.expect).unwrap();
}

#[test]
fn zero_shot_metrics_agree_with_numpy() {
    let z = golden().zero_shot;
    compare(&zero_shot_evidence(&z), &z.expect).unwrap();
}

#[test]
fn the_comparison_can_fail() {
    let r = golden().retrieval;
    let evidence = retrieval_evidence(&r);
    for (name, expected) in &r.expect {
        let mut moved = r.expect.clone();
        moved.insert(name.clone(), Expected { value: expected.value + 1e-6, ..expected.clone() });
        assert!(compare(&evidence, &moved).unwrap_err().starts_with(name), "{name}");
        let mut wide = r.expect.clone();
        let lo = expected.lo - 0.2 * (expected.hi - expected.lo);
        wide.insert(name.clone(), Expected { lo, ..expected.clone() });
        assert!(compare(&evidence, &wide).is_err(), "{name} lo");
    }
}

#[test]
fn the_order_of_evidence_does_not_matter() {
    let g = golden();
    let mut evidence = retrieval_evidence(&g.retrieval);
    evidence.extend(zero_shot_evidence(&g.zero_shot));
    let before = values(&evidence).unwrap();
    evidence.reverse();
    evidence.rotate_left(137);
    assert_eq!(values(&evidence).unwrap(), before, "bit for bit");
}
