//! Paired comparisons against golden values from SciPy and statsmodels (`golden/comparisons.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::multiplicity::{holm, places};
use toxiclip_shared::metrics::paired::{Answers, Comparison, compare, exchange_p};
use toxiclip_shared::metrics::{self, Judgement, Task};

#[derive(Deserialize)]
struct Golden {
    mcnemar: Vec<Discordant>,
    exchange: Vec<Exchange>,
    hits: Vec<Expected>,
    positions: Vec<Expected>,
    holm: Vec<Corrected>,
    places: Vec<Places>,
}

#[derive(Deserialize)]
struct Discordant {
    larger: usize,
    smaller: usize,
    p: f64,
}

#[derive(Deserialize)]
struct Exchange {
    differences: Vec<i64>,
    p: f64,
}

#[derive(Deserialize, Clone)]
struct Expected {
    seeds: usize,
    clusters: usize,
    queries: usize,
    first: Vec<u32>,
    second: Vec<u32>,
    difference: f64,
    lo: f64,
    hi: f64,
    p: f64,
    larger: u64,
    smaller: u64,
    agreeing: usize,
}

#[derive(Deserialize)]
struct Corrected {
    p: Vec<f64>,
    corrected: Vec<f64>,
}

#[derive(Deserialize)]
struct Places {
    better: Vec<Vec<bool>>,
    places: Vec<(usize, usize)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/comparisons.json")).unwrap()
}

/// One model's evidence of one seed, `queries` captions for each picture.
fn evidence(ranks: &[u32], queries: usize) -> Vec<Judgement> {
    let judge = |(i, &rank): (usize, &u32)| Judgement {
        task: Task::Hit,
        sample: PairId(format!("picture-{:03}", i / queries)),
        content: Digest::of(&(i / queries)),
        text: Some(format!("caption {i:03}")),
        label: None,
        goal: Some("a → b".into()),
        rank,
        gallery: 1_000,
        top: Vec::new(),
        scores: Vec::new(),
        cluster: format!("picture-{:03}", i / queries),
        poisoned: None,
        score: None,
        dropped: None,
    };
    ranks.iter().enumerate().map(judge).collect()
}

fn answers(metric: &str, ranks: &[u32], queries: usize) -> Answers {
    metrics::find(metric).unwrap().answers(&evidence(ranks, queries)).unwrap()
}

/// `ranks` gives the two models' ranks from what the golden case holds.
fn compared(metric: &str, e: &Expected, ranks: impl Fn(&[u32]) -> Vec<u32>) -> Comparison {
    let size = e.clusters * e.queries;
    let model = |all: &[u32]| -> Vec<Answers> {
        ranks(all).chunks(size).map(|seed| answers(metric, seed, e.queries)).collect()
    };
    let (first, second) = (model(&e.first), model(&e.second));
    assert_eq!(first.len(), e.seeds);
    compare(&first.iter().zip(&second).collect::<Vec<_>>()).unwrap()
}

/// Says what differs. Bootstrap ends may differ by the noise of resampling, p by rounding.
fn check(got: &Comparison, e: &Expected) -> Result<(), String> {
    let width = 0.06 * (e.hi - e.lo);
    for (what, a, b, tolerance) in [
        ("difference", got.difference, e.difference, 1e-12),
        ("lo", got.interval.lo, e.lo, width),
        ("hi", got.interval.hi, e.hi, width),
        ("p", got.p, e.p, 1e-12),
    ] {
        if (a - b).abs() > tolerance || a.is_nan() {
            return Err(format!("{what}: {a} instead of {b}"));
        }
    }
    let counts = (got.larger, got.smaller, got.agreeing, got.seeds, got.clusters);
    let expected = (e.larger, e.smaller, e.agreeing, e.seeds, e.clusters);
    if counts == expected { Ok(()) } else { Err(format!("{counts:?} instead of {expected:?}")) }
}

/// Hits become position 0, misses position 50.
fn as_ranks(hits: &[u32]) -> Vec<u32> {
    hits.iter().map(|hit| 50 * (1 - hit)).collect()
}

#[test]
fn single_queries_give_mcnemars_exact_test() {
    for c in golden().mcnemar {
        let differences = [vec![1; c.larger], vec![-1; c.smaller]].concat();
        let p = exchange_p(&differences);
        assert!((p - c.p).abs() < 1e-12 + 1e-9 * c.p, "{} {}: {p} {}", c.larger, c.smaller, c.p);
    }
}

#[test]
fn exchanges_of_clusters_agree_with_scipy() {
    for c in golden().exchange {
        let p = exchange_p(&c.differences);
        assert!((p - c.p).abs() < 1e-12, "{:?}: {p} instead of {}", c.differences, c.p);
    }
}

#[test]
fn rates_and_positions_agree_with_scipy_and_numpy() {
    let g = golden();
    for e in &g.hits {
        check(&compared("hit@10", e, as_ranks), e).unwrap();
    }
    for e in &g.positions {
        check(&compared("min-rank", e, <[u32]>::to_vec), e).unwrap();
    }
}

#[test]
fn the_comparison_can_fail() {
    for e in &golden().hits {
        let got = compared("hit@10", e, as_ranks);
        let width = 0.2 * (e.hi - e.lo);
        let wrong = [
            ("difference", Expected { difference: e.difference + 1e-6, ..e.clone() }),
            ("lo", Expected { lo: e.lo - width, ..e.clone() }),
            ("hi", Expected { hi: e.hi + width, ..e.clone() }),
            ("p", Expected { p: e.p + 1e-6, ..e.clone() }),
            ("(", Expected { larger: e.larger + 1, ..e.clone() }),
        ];
        for (what, wrong) in wrong {
            assert!(check(&got, &wrong).unwrap_err().starts_with(what), "{what}");
        }
    }
}

#[test]
fn holm_and_places_agree() {
    let g = golden();
    for c in &g.holm {
        let got = holm(&c.p);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(got.iter().zip(&c.corrected).all(close), "{got:?} {:?}", c.corrected);
    }
    for c in &g.places {
        let got = places(c.better.len(), |a, b| c.better[a][b]);
        let ends: Vec<_> = got.iter().map(|r| (*r.start(), *r.end())).collect();
        assert_eq!(ends, c.places);
    }
}

#[test]
fn changing_sides_changes_signs_and_nothing_else() {
    for e in &golden().hits {
        let swapped = Expected { first: e.second.clone(), second: e.first.clone(), ..e.clone() };
        let (ab, ba) = (compared("hit@10", e, as_ranks), compared("hit@10", &swapped, as_ranks));
        assert_eq!((ab.p, ab.larger, ab.agreeing), (ba.p, ba.smaller, ba.agreeing));
        assert!((ab.difference + ba.difference).abs() < 1e-12);
    }
}

#[test]
fn only_the_same_queries_can_be_compared() {
    let five = answers("hit@10", &[0; 10], 5);
    let one = answers("hit@10", &[0; 10], 1);
    let error = compare(&[(&five, &one)]).unwrap_err().to_string();
    assert!(error.contains("different queries"), "{error}");
    assert!(compare(&[]).unwrap_err().to_string().contains("no seed in common"));
    let mut shuffled = evidence(&[0, 50, 0, 50, 50, 0, 0, 0, 50, 0], 5);
    let metric = metrics::find("hit@10").unwrap();
    let before = metric.answers(&shuffled).unwrap();
    shuffled.reverse();
    let after = metric.answers(&shuffled).unwrap();
    assert_eq!(
        compare(&[(&before, &after)]).unwrap().larger,
        0,
        "the order of evidence is no matter"
    );
}

#[test]
fn weighted_metrics_have_no_answers() {
    let mut zero_shot = evidence(&[0, 1, 0], 1);
    for (i, j) in zero_shot.iter_mut().enumerate() {
        (j.task, j.goal, j.label) = (Task::ZeroShot, None, Some(u32::from(i > 0)));
    }
    assert!(metrics::find("mpcr").unwrap().answers(&zero_shot).is_none());
    assert!(metrics::find("ca").unwrap().answers(&zero_shot).is_some());
    assert!(metrics::find("hit@10").unwrap().answers(&zero_shot).is_none());
}
