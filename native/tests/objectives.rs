//! Trainings towards other objectives: their names, and what the trainer brings to a loss.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use toxiclip::data;
use toxiclip::pipeline::fit::Fit;
use toxiclip::pipeline::origin::Origin;
use toxiclip::pipeline::pairs::Pairs;
use toxiclip::train::{Batch, Outcome, Trainer};
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::objectives::{Bank, Objective, Repel, SelfSupervised};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const PAIRS: usize = 4;
const REPEL: Objective = Objective::Repel(Repel { limit: 2.15, weight: 0.5 });

fn fit(objective: Objective) -> Fit {
    let data = Pairs::Whole(data::named("emoji", None).unwrap().train.unwrap());
    let start = Origin::Scratch(library::find("tiny-resnet").unwrap());
    let (recipe, said) = (TrainConfig::default(), Provenance::default());
    let said = Provenance { recipe: json!({ "seed": 3 }), ..said };
    Fit::new("train", start, data, recipe, 3, said).unwrap().towards(objective)
}

/// Caches, published results and checkpoints know trainings by this form.
#[test]
fn a_training_towards_clips_own_objective_keeps_its_name() {
    let plain = fit(Objective::Contrastive);
    let known = json!({
        "start": plain.start.key(),
        "data": plain.data.key(),
        "recipe": plain.recipe,
        "seed": 3,
    });
    assert_eq!(plain.key(), Digest::of(&known));
    assert_eq!(plain.provenance.recipe, json!({ "seed": 3 }));
    let other = fit(REPEL);
    assert_ne!(other.key(), plain.key());
    let said = json!({ "name": "repel", "limit": 2.15, "weight": 0.5 });
    assert_eq!(other.provenance.recipe, json!({ "seed": 3, "objective": said }));
}

/// `views` pictures and captions of each pair.
fn batch(clip: &Clip, views: usize, seed: u64) -> Batch {
    let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let mut stream = Seed::new(seed).stream();
    let rows = views * PAIRS;
    Batch {
        pixels: (0..rows * vision.image_size.pow(2) * 3).map(|_| stream.normal()).collect(),
        ids: (0..rows * text.context_length)
            .map(|_| stream.below(text.vocab_size) as u32)
            .collect(),
        end: vec![text.context_length as u32 - 1; rows],
    }
}

/// Outcomes of some steps, and the weights after them.
fn steps(objective: Objective, views: usize, count: u64) -> (Vec<Outcome>, Weights) {
    let clip = Clip::build(&library::find("tiny-resnet").unwrap());
    let weights = Weights::init(&clip.params(), &Seed::new(3));
    let config = TrainConfig { batch: PAIRS, warmup: 0.0, ..TrainConfig::default() };
    let trainer = Trainer::new(clip.clone(), weights, &config, count);
    let mut trainer = trainer.with_objective(objective, 2);
    let outcomes = (0..count).map(|i| trainer.step(&batch(&clip, views, i)).unwrap()).collect();
    (outcomes, trainer.into_weights())
}

fn term(outcome: &Outcome, name: &str) -> Option<f32> {
    outcome.terms.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

#[test]
fn a_second_view_takes_part_in_the_loss() {
    let rule = |within| Objective::SelfSupervised(SelfSupervised { between: 1.0, within });
    let (with, weights) = steps(rule(1.0), 2, 2);
    let (between, within) = (term(&with[0], "between").unwrap(), term(&with[0], "within").unwrap());
    assert!((with[0].loss - between - within).abs() < 1e-5 && within > 0.1);
    assert_ne!(weights.digest(), steps(rule(0.5), 2, 2).1.digest());
}

/// Captions know no batch statistics: before the first step they are where they started.
#[test]
fn distances_are_from_the_start() {
    let (outcomes, weights) = steps(REPEL, 1, 3);
    let texts: Vec<f32> = outcomes.iter().map(|o| term(o, "text").unwrap()).collect();
    assert!(texts[0] < 1e-9 && texts[1] > 1e-6 && texts[2] > 1e-6, "{texts:?}");
    let start =
        Weights::init(&Clip::build(&library::find("tiny-resnet").unwrap()).params(), &Seed::new(3));
    assert_eq!(weights.data("logit_scale"), start.data("logit_scale"), "a constant");
}

/// Two steps an epoch: the second epoch takes captions from the bank.
#[test]
fn every_second_epoch_asks_the_bank() {
    let rule = Objective::Bank(Bank { every: 2, size: 6, strong: false });
    let (outcomes, _) = steps(rule, 1, 4);
    let asked: Vec<bool> = outcomes.iter().map(|o| term(o, "nearest").is_some()).collect();
    assert_eq!(asked, [false, false, true, true]);
}
