//! Screens of inputs against NumPy, SciPy and scikit-learn (golden/screens.py), asked through a stand-in for a model.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![cfg(feature = "cpu")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use toxiclip_shared::Result;
use toxiclip_shared::data::PairId;
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task, values};
use toxiclip_shared::registry::find;
use toxiclip_shared::screen::{Deployed, Scene, Screen};
use toxiclip_shared::seed::Seed;

#[derive(Clone, Deserialize)]
struct Golden {
    edge: usize,
    width: usize,
    scale: f32,
    alpha: f32,
    encoder: Vec<f32>,
    classes: Vec<f32>,
    references: Vec<f32>,
    pictures: Vec<f32>,
    strip: Vec<f64>,
    scale_up: Vec<f64>,
    bdetclip: Vec<f64>,
    k: usize,
    dao_input: Vec<f64>,
    metrics: Metrics,
}

#[derive(Clone, Deserialize)]
struct Metrics {
    scores: Vec<f32>,
    stamped: Vec<bool>,
    ranks: Vec<u32>,
    threshold: f32,
    expect: BTreeMap<String, f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/screens.json")).unwrap()
}

impl Golden {
    fn each(&self) -> usize {
        self.edge * self.edge * 3
    }

    fn references(&self) -> usize {
        self.references.len() / self.each()
    }
}

fn unit(vectors: &mut [f32], width: usize) {
    for v in vectors.chunks_mut(width) {
        let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
    }
}

/// What golden/screens.py embeds with.
impl Deployed for Golden {
    fn images(&self, pictures: &[f32]) -> Result<Vec<f32>> {
        let row = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
        let pictures = pictures.chunks(self.each());
        let mut all: Vec<f32> =
            pictures.flat_map(|x| self.encoder.chunks(self.each()).map(|w| row(x, w))).collect();
        unit(&mut all, self.width);
        Ok(all)
    }

    fn texts(&self, texts: &[String]) -> Result<Vec<f32>> {
        let mut all = vec![0.0; texts.len() * self.width];
        for (vector, text) in all.chunks_mut(self.width).zip(texts) {
            text.bytes().enumerate().for_each(|(i, b)| vector[i % self.width] += f32::from(b));
        }
        unit(&mut all, self.width);
        Ok(all)
    }
}

fn screen(name: &str, parameters: Value) -> Box<dyn Screen> {
    match *(find("defense", DEFENSES, name).unwrap().parse)(parameters).unwrap() {
        Defense::Screen(screen) => screen,
        _ => panic!("{name} is no screen"),
    }
}

fn names(golden: &Golden) -> Vec<String> {
    (0..golden.classes.len() / golden.width).map(|c| format!("class {c}")).collect()
}

/// Suspicion of the golden pictures, `part` of them at a time.
fn suspicion(golden: &Golden, screen: &dyn Screen, part: usize, seed: u64) -> Result<Vec<f32>> {
    let names = names(golden);
    let scene = Scene {
        model: golden,
        edge: golden.edge,
        names: &names,
        classes: &golden.classes,
        scale: golden.scale,
        references: &golden.references,
    };
    let scorer = screen.look(&scene, &Seed::new(seed))?;
    let parts = golden.pictures.chunks(part * golden.each()).map(scorer);
    Ok(parts.collect::<Result<Vec<_>>>()?.concat())
}

/// Says by how much they differ.
fn compare(suspicion: &[f32], expected: impl Iterator<Item = f64>) -> Result<(), String> {
    let expected: Vec<f64> = expected.collect();
    let pairs = suspicion.iter().zip(&expected);
    let worst = pairs.map(|(s, e)| (f64::from(*s) - e).abs()).fold(0.0, f64::max);
    match suspicion.len() == expected.len() && worst < 1e-5 {
        true => Ok(()),
        false => Err(format!("{suspicion:?} instead of {expected:?}")),
    }
}

fn strip(golden: &Golden) -> Box<dyn Screen> {
    screen("strip", json!({"overlays": golden.references(), "alpha": golden.alpha}))
}

#[test]
fn strip_agrees_with_scipy() {
    let golden = golden();
    let got = suspicion(&golden, &*strip(&golden), 4, 0).unwrap();
    compare(&got, golden.strip.iter().map(|entropy| -entropy)).unwrap();
    let moved = golden.strip.iter().enumerate().map(|(i, e)| if i == 3 { 1e-4 - e } else { -e });
    assert!(compare(&got, moved).is_err());
    let other = screen("strip", json!({"overlays": golden.references(), "alpha": 0.4}));
    let got = suspicion(&golden, &*other, 4, 0).unwrap();
    assert!(compare(&got, golden.strip.iter().map(|entropy| -entropy)).is_err());
}

#[test]
fn scale_up_agrees_with_numpy() {
    let golden = golden();
    let got = suspicion(&golden, &*screen("scale-up", json!({})), 5, 0).unwrap();
    assert!(golden.scale_up.iter().any(|spc| *spc > 0.0 && *spc < 1.0), "some labels change");
    compare(&got, golden.scale_up.iter().copied()).unwrap();
    let moved = golden.scale_up.iter().enumerate().map(|(i, s)| if i == 4 { s + 0.2 } else { *s });
    assert!(compare(&got, moved).is_err());
}

#[test]
fn bdetclip_agrees_with_numpy() {
    let golden = golden();
    let got = suspicion(&golden, &*screen("bdetclip", json!({})), 5, 0).unwrap();
    compare(&got, golden.bdetclip.iter().map(|omega| -omega)).unwrap();
    assert!(compare(&got, golden.bdetclip.iter().copied()).is_err());
}

#[test]
fn dao_agrees_with_numpy() {
    let golden = golden();
    let dao =
        |k: usize| suspicion(&golden, &*screen("dao-input", json!({ "k": k })), 5, 0).unwrap();
    compare(&dao(golden.k), golden.dao_input.iter().copied()).unwrap();
    assert!(compare(&dao(golden.k + 1), golden.dao_input.iter().copied()).is_err());
}

#[test]
fn a_score_depends_on_its_picture_and_the_seed_alone() {
    let golden = golden();
    for (name, seeded) in
        [("strip", true), ("scale-up", false), ("bdetclip", false), ("dao-input", false)]
    {
        let parameters = match name {
            "strip" => json!({"overlays": 5}),
            "dao-input" => json!({"k": 4}),
            _ => json!({}),
        };
        let of = |part, seed| {
            suspicion(&golden, &*screen(name, parameters.clone()), part, seed).unwrap()
        };
        assert_eq!(of(1, 0), of(16, 0), "{name}: batches");
        assert_eq!(of(16, 0) != of(16, 1), seeded, "{name}: seeds");
    }
}

#[test]
fn thresholds_are_given_on_the_papers_scale_or_chosen() {
    let given = screen("strip", json!({"threshold": 1.5}));
    assert_eq!(given.threshold(&[]).unwrap(), -1.5, "low entropy is suspicious");
    let paper = screen("scale-up", json!({}));
    assert_eq!(paper.threshold(&[]).unwrap(), 0.5, "half of the labels stay");
    let chosen = screen("scale-up", json!({"threshold": null, "fpr": 0.5}));
    assert!(chosen.threshold(&[0.2, 0.4]).unwrap() > 0.2);
    let chosen = screen("strip", json!({"fpr": 0.25}));
    let threshold = chosen.threshold(&[-3.0, -2.0, -1.0, -0.5]).unwrap();
    assert!(threshold > -1.0 && threshold <= -0.5);
    let error = chosen.threshold(&[0.0; 4]).err().unwrap().to_string();
    assert!(error.contains("all 4 held pictures are equally suspicious"), "{error}");
}

#[test]
fn numbers_that_mean_nothing_are_one_line() {
    let nan = |values: Vec<f32>| vec![f32::NAN; values.len()];
    let broken =
        Golden { classes: nan(golden().classes), encoder: nan(golden().encoder), ..golden() };
    let all = ["scale-up", "bdetclip"].map(|name| screen(name, json!({})));
    for screen in all.into_iter().chain([strip(&broken), screen("dao-input", json!({"k": 3}))]) {
        let error = suspicion(&broken, &*screen, 9, 0).unwrap_err().to_string();
        assert!(error.contains("an input's number is NaN") && !error.contains('\n'), "{error}");
    }
    let alone = Golden { classes: golden().classes[..golden().width].to_vec(), ..golden() };
    let error = suspicion(&alone, &*strip(&alone), 9, 0).unwrap_err().to_string();
    assert!(error.contains("fewer than 2"), "{error}");
}

fn evidence(m: &Metrics) -> Vec<Judgement> {
    let one = |i: usize| Judgement {
        task: Task::Screening,
        sample: PairId(format!("picture-{i:03}")),
        content: Digest::of(&i),
        text: None,
        label: Some(1),
        goal: m.stamped[i].then(|| "→ b".to_owned()),
        rank: m.ranks[i],
        gallery: 10,
        top: Vec::new(),
        scores: Vec::new(),
        cluster: format!("picture-{i:03}"),
        poisoned: Some(m.stamped[i]),
        score: Some(m.scores[i]),
        dropped: Some(m.scores[i] >= m.threshold),
    };
    (0..m.scores.len()).map(one).collect()
}

/// Says which value differs.
fn agree(evidence: &[Judgement], expect: &BTreeMap<String, f64>) -> Result<(), String> {
    let got = values(evidence).map_err(|e| e.to_string())?;
    let got: BTreeMap<String, f64> = got.into_iter().map(|v| (v.metric, v.value)).collect();
    let same = got.keys().eq(expect.keys())
        && got.iter().all(|(metric, value)| (value - expect[metric]).abs() < 1e-12);
    if same { Ok(()) } else { Err(format!("{got:?} instead of {expect:?}")) }
}

#[test]
fn metrics_agree_with_scikit_learn() {
    let m = golden().metrics;
    agree(&evidence(&m), &m.expect).unwrap();
    for metric in m.expect.keys() {
        let mut moved = m.expect.clone();
        moved.insert(metric.clone(), m.expect[metric] + 1e-6);
        assert!(agree(&evidence(&m), &moved).is_err(), "{metric}");
    }
}

#[test]
fn without_a_trigger_only_clean_pictures_have_values() {
    let m = golden().metrics;
    let mut clean = evidence(&m);
    clean.retain(|j| j.poisoned == Some(false));
    let expect = ["screen.fpr", "ca-passed"].map(|name| (name.to_owned(), m.expect[name]));
    agree(&clean, &BTreeMap::from(expect)).unwrap();
    clean[0].dropped = None;
    assert!(values(&clean).unwrap_err().to_string().contains("it is not said whether the input"));
}

#[test]
fn scores_that_are_all_equal_tell_nothing() {
    let mut m = golden().metrics;
    m.scores = vec![0.5; m.scores.len()];
    let got = values(&evidence(&m)).unwrap();
    let of = |metric: &str| got.iter().find(|v| v.metric == metric).map(|v| v.value);
    assert_eq!((of("screen.auroc"), of("screen.tpr@fpr0.01")), (Some(0.5), Some(0.0)));
}
