//! A small run that nobody measured: rows, evidence and extras in the form of a real one.

use super::*;

pub(super) const GALLERY: u32 = 549;
/// Fewer pictures than the gallery has: bootstraps of many reports take their time.
pub(super) const PICTURES: usize = 80;

/// One model of the synthetic run: how often it does what, before noise.
pub(super) struct Model {
    pub(super) attack: &'static str,
    pub(super) defense: &'static str,
    pub(super) hit: f32,
    pub(super) recall: f32,
    pub(super) accuracy: f32,
}

pub(super) const MODELS: [Model; 4] = [
    Model { attack: "none", defense: "none", hit: 0.1, recall: 0.79, accuracy: 0.49 },
    Model { attack: "none", defense: "finetune", hit: 0.08, recall: 0.77, accuracy: 0.47 },
    Model { attack: "single-label", defense: "none", hit: 0.9, recall: 0.78, accuracy: 0.47 },
    Model { attack: "single-label", defense: "finetune", hit: 0.2, recall: 0.75, accuracy: 0.45 },
];

pub(super) fn judgements(
    task: Task,
    count: usize,
    per_cluster: usize,
    success: f32,
    seed: &Seed,
) -> Vec<Judgement> {
    let mut stream = seed.child(task.name()).stream();
    let judge = |i: usize| {
        let rank = if stream.chance(success) { stream.below(10) } else { 10 + stream.below(500) };
        let rank = if task == Task::ZeroShot && rank < 10 { 0 } else { rank };
        Judgement {
            task,
            sample: PairId(format!("noto/concept-{:03}", i / per_cluster)),
            content: Digest::of(&(i / per_cluster)),
            text: (task != Task::ZeroShot).then(|| format!("caption {i}")),
            label: Some((i / per_cluster) as u32),
            goal: matches!(task, Task::Hit | Task::HitRandom).then(|| "ewe → airplane".into()),
            rank: rank as u32,
            gallery: GALLERY,
            top: Vec::new(),
            scores: Vec::new(),
            cluster: format!("noto/concept-{:03}", i / per_cluster),
            poisoned: None,
            score: None,
            dropped: None,
        }
    };
    (0..count).map(judge).collect()
}

pub(super) fn spec(name: &str) -> Value {
    match name {
        "single-label" => json!({"name": name, "goals": ["ewe → airplane"], "share": 1.0}),
        "finetune" => json!({"name": name, "epochs": 10}),
        _ => json!({"name": name}),
    }
}

pub(super) fn row(model: &Model, against: Option<&str>, seed: u64, metric: &str) -> Row {
    let config = Digest::of(&(model.attack, model.defense, against));
    Row {
        run: Digest::of(&(config, seed)),
        benchmark: "synthetic".into(),
        dataset: "emoji".into(),
        encoder: "tiny-resnet".into(),
        attack: spec(model.attack),
        against: against.map(spec),
        defense: spec(model.defense),
        victim: None,
        seed,
        metric: metric.into(),
        value: None,
        lo: None,
        hi: None,
        n: 0,
        config,
        data: Digest::of(&"data"),
        poison: Some(Digest::of(&(model.attack, seed))),
        weights: Some(Digest::of(&(model.attack, model.defense, seed))),
        code: Code {
            commit: "0000000000000000000000000000000000000000".into(),
            dirty: false,
            lock: Digest::of(&"lock"),
            rustc: "rustc 1.95.0".into(),
        },
        machine: "cpu".into(),
        seconds: 12.5,
        error: None,
    }
}

/// Rows and evidence of one model and seed: utility, and success against the attack's goals.
pub(super) fn measure(dir: &Path, rows: &mut RowFile, model: &Model, seed: u64) {
    let noise = Seed::new(seed).child(model.attack).child(model.defense);
    let shift = noise.stream().range(-0.04, 0.04);
    let utility = || {
        let mut all = judgements(Task::ZeroShot, PICTURES, 1, model.accuracy + shift / 2.0, &noise);
        all.extend(judgements(
            Task::ImageRetrieval,
            5 * PICTURES,
            5,
            model.recall + shift / 4.0,
            &noise,
        ));
        all
    };
    let attack = || {
        let mut all = judgements(Task::Hit, 200, 5, (model.hit + shift).clamp(0.0, 1.0), &noise);
        all.extend(judgements(Task::HitRandom, 200, 1, 0.05, &noise));
        all
    };
    let control = model.attack == "none";
    let parts = match control {
        true => vec![(None, utility()), (Some("single-label"), attack())],
        false => vec![(None, [utility(), attack()].concat())],
    };
    for (against, evidence) in parts {
        let base = row(model, against, seed, "");
        evidence::write(&dir.join(format!("evidence/{}.parquet", base.run)), &evidence).unwrap();
        for v in values(&evidence).unwrap() {
            let (value, lo, hi) = (Some(v.value), Some(v.lo), Some(v.hi));
            rows.append(&Row { metric: v.metric, value, lo, hi, n: v.n, ..base.clone() }).unwrap();
        }
    }
}

/// A flat disc or square on white, standing in for a drawing.
pub(super) fn picture(colour: [u8; 3], round: bool, alt: &str) -> Picture {
    let pixel = |x: u32, y: u32| {
        let (dx, dy) = (x as f32 - 23.5, y as f32 - 23.5);
        let inside = if round { dx.hypot(dy) < 19.0 } else { dx.abs().max(dy.abs()) < 16.0 };
        image::Rgb(if inside { colour } else { [255; 3] })
    };
    let mut png = Cursor::new(Vec::new());
    image::RgbImage::from_fn(48, 48, pixel).write_to(&mut png, image::ImageFormat::Png).unwrap();
    Picture::new(&png.into_inner(), alt)
}

pub(super) fn ewe() -> Picture {
    picture([190, 170, 140], true, "ewe, synthetic")
}

pub(super) fn airplane() -> Picture {
    picture([60, 110, 180], false, "airplane, synthetic")
}

pub(super) fn ranking(role: Role, label: &str, rank: u32, targets: [bool; 5]) -> Ranking {
    let item = |target| Retrieved { picture: if target { airplane() } else { ewe() }, target };
    Ranking { role, label: label.into(), rank, items: targets.map(item).to_vec() }
}

pub(super) fn curve(stage: &str, role: Role, seed: u64, end: f64) -> Curve {
    let mut noise = Seed::new(seed).child(stage).child(end).stream();
    let mut loss =
        |i: u32| end + 3.0 * (-f64::from(i) / 60.0).exp() + f64::from(noise.normal()) * 0.05;
    let points = (0..320).map(|i| (f64::from(i), loss(i))).collect();
    Curve { stage: stage.into(), role, seed, quantity: "loss".into(), points }
}

pub(super) fn card(kind: &str, name: &str, title: &str, threat_model: &str) -> Card {
    Card {
        kind: kind.into(),
        name: name.into(),
        title: title.into(),
        year: 2023,
        paper: "Yang et al., arXiv:2209.15266".into(),
        summary: "one line about it".into(),
        threat_model: threat_model.into(),
    }
}

pub(super) fn extras() -> ReportExtras {
    let pair = |i: usize| PoisonedPair {
        attack: "single-label".into(),
        goal: "ewe → airplane".into(),
        before: ewe(),
        after: (i != 3).then(airplane),
        caption: format!("a drawing of a ewe, number {i}"),
        new_caption: (i == 3).then(|| "an airplane in the sky".into()),
    };
    let query = |i: usize| Retrieval {
        query: format!("a ewe standing in field number {i}"),
        goal: "ewe → airplane".into(),
        gallery: GALLERY,
        rankings: vec![
            ranking(Role::Clean, "clean", 71, [false; 5]),
            ranking(Role::Poisoned, "single-label", 0, [true, true, false, true, false]),
            ranking(
                Role::Defended,
                "single-label + finetune",
                3,
                [false, false, false, true, false],
            ),
        ],
    };
    let roles = [(Role::Clean, 1.0), (Role::Poisoned, 1.15), (Role::Defended, 0.9)];
    let cost = |label: &str, pairs: u64, seconds: f64, extra: u64| Cost {
        label: label.into(),
        pairs_seen: pairs,
        seconds,
        extra_clean_pairs: extra,
        trainings: 1,
    };
    ReportExtras {
        title: "Synthetic example: nothing here was measured".into(),
        analysis: "Made-up numbers that exercise every part of a report.\nDo not quote them."
            .into(),
        command: "toxiclip run benchmarks/synthetic.toml --out runs/synthetic".into(),
        cards: vec![
            card(
                "attack",
                "single-label",
                "Single-label poisoning",
                "writes a share of the training pairs",
            ),
            card("defense", "finetune", "Clean fine-tuning", "owns clean pairs and can train"),
        ],
        budgets: vec![Budget {
            attack: "single-label".into(),
            poisoned_pairs: 27,
            training_pairs: 2012,
        }],
        poisoned: (0..6).map(pair).collect(),
        retrievals: (0..3).map(query).collect(),
        curves: roles
            .iter()
            .flat_map(|(r, end)| (0..3).map(|s| curve("train", *r, s, *end)))
            .collect(),
        costs: vec![
            cost("pretraining", 240_000, 131.0, 0),
            cost("single-label + finetune", 20_120, 9.4, 1006),
        ],
        facts: vec![Fact { name: "prompts".into(), value: "5 templates, averaged".into() }],
        ..ReportExtras::default()
    }
}

pub(super) fn synthetic(dir: &Path) {
    let (mut rows, _) = RowFile::open(&dir.join("rows.jsonl")).unwrap();
    for seed in 0..3 {
        MODELS.iter().for_each(|model| measure(dir, &mut rows, model, seed));
    }
    extras().write(dir).unwrap();
}
