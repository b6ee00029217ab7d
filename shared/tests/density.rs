//! Local densities against NumPy, SciPy and scikit-learn (`golden/density.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use serde::Deserialize;
use toxiclip_shared::density::{Neighbours, Rule, among};

#[derive(Deserialize)]
struct Case {
    dim: usize,
    k: usize,
    vectors: Vec<f32>,
    formula: BTreeMap<String, Vec<f64>>,
    released: BTreeMap<String, Vec<f64>>,
}

fn golden() -> Vec<Case> {
    serde_json::from_str(include_str!("golden/density.json")).unwrap()
}

fn score(name: &str, of: &Neighbours, all: &[Neighbours], rule: Rule) -> f64 {
    match name {
        "k_distance" => of.k_distance(rule),
        "lid" => of.lid(),
        "moments" => of.lid_by_moments(),
        "slof" => of.slof(all, rule),
        "dao" => of.dao(all, rule),
        other => panic!("no density called {other}"),
    }
}

/// The largest relative deviation.
fn deviation(case: &Case, name: &str, golden: &[f64], rule: Rule) -> f64 {
    let all = among(&case.vectors, case.dim, case.k).unwrap();
    assert_eq!(all.len(), golden.len());
    let apart =
        |(n, g): (&Neighbours, &f64)| (score(name, n, &all, rule) - g).abs() / g.abs().max(1e-9);
    all.iter().zip(golden).map(apart).fold(0.0, f64::max)
}

fn every(check: impl Fn(&Case, &str, &[f64], Rule)) {
    for case in &golden() {
        for (rule, scores) in [(Rule::Formula, &case.formula), (Rule::Released, &case.released)] {
            assert!(scores.len() >= 3);
            scores.iter().for_each(|(name, golden)| check(case, name, golden, rule));
        }
    }
}

#[test]
fn densities_are_those_of_numpy() {
    every(|case, name, golden, rule| {
        let deviation = deviation(case, name, golden, rule);
        assert!(deviation < 1e-6, "{name}, {rule:?}: {deviation}");
    });
}

#[test]
fn the_comparison_can_fail() {
    every(|case, name, golden, rule| {
        let mut moved = golden.to_vec();
        moved[2] *= 1.0 + 1e-5;
        assert!(deviation(case, name, &moved, rule) > 1e-6, "{name}, {rule:?}: moved");
        let other = if rule == Rule::Formula { Rule::Released } else { Rule::Formula };
        if !["lid", "moments"].contains(&name) {
            assert!(deviation(case, name, golden, other) > 1e-3, "{name}: both rules agree");
        }
        let wider = Case {
            k: case.k + 1,
            vectors: case.vectors.clone(),
            formula: BTreeMap::new(),
            released: BTreeMap::new(),
            ..*case
        };
        assert!(deviation(&wider, name, golden, rule) > 1e-3, "{name}: k does not matter");
    });
}
