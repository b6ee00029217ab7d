//! The optimiser reaches every parameter of every encoder: a tensor that training silently leaves out shows here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use toxiclip::train::{Batch, Trainer};
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const PAIRS: usize = 4;

fn random_batch(clip: &Clip, seed: &Seed) -> Batch {
    let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let mut stream = seed.stream();
    Batch {
        pixels: (0..PAIRS * vision.image_size.pow(2) * 3).map(|_| stream.normal()).collect(),
        ids: (0..PAIRS * text.context_length)
            .map(|_| stream.below(text.vocab_size) as u32)
            .collect(),
        end: vec![text.context_length as u32 - 1; PAIRS],
    }
}

/// Names of tensors that are the same after two steps without weight decay. Two, because an output matrix that
/// starts at zero hides what lies below it from the first.
fn unmoved(clip: &Clip, config: &TrainConfig) -> Vec<String> {
    let seed = Seed::new(3);
    let start = Weights::init(&clip.params(), &seed);
    let mut trainer = Trainer::new(clip.clone(), start.clone(), config, 2);
    for step in 0..2 {
        trainer.step(&random_batch(clip, &seed.child(step))).unwrap();
    }
    let end = trainer.into_weights();
    let same = |name: &&str| start.data(name) == end.data(name);
    let names: Vec<&str> = start.iter().map(|(name, _)| name).collect();
    names.iter().copied().filter(|name| same(name)).map(str::to_owned).collect()
}

/// Published encoders of each family; the others are wider or deeper, and take minutes.
const PUBLISHED: [&str; 2] = ["rn50", "vit-b-32"];

#[test]
fn two_steps_move_every_parameter_of_every_encoder() {
    let config = TrainConfig { batch: PAIRS, wd: 0.0, warmup: 0.0, ..TrainConfig::default() };
    for name in library::small().chain(PUBLISHED) {
        let clip = Clip::build(&library::find(name).unwrap());
        let mut left = unmoved(&clip, &config);
        // A key's bias shifts all scores of a query alike, and the softmax takes that out again.
        left.retain(|parameter| parameter != "visual.attnpool.k_proj.bias");
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn a_tower_that_is_left_out_would_be_seen() {
    use toxiclip_shared::recipe::Freeze;
    let config =
        TrainConfig { batch: PAIRS, wd: 0.0, freeze: Freeze::Text, ..TrainConfig::default() };
    let left = unmoved(&Clip::build(&library::find("tiny-vit").unwrap()), &config);
    assert!(left.contains(&"token_embedding.weight".to_owned()), "{left:?}");
    assert!(left.iter().all(|name| !name.starts_with("visual.")), "{left:?}");
}
