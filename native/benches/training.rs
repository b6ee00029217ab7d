//! The whole training step, both towers, and the preparation of a batch.

use std::time::Duration;

use criterion::Criterion;
use toxiclip::encode::{pictures, tokens};
use toxiclip::model::Model;
use toxiclip::prepared::Prepared;
use toxiclip::train::{Batch, Batches, Trainer};
use toxiclip_shared::data::{Dataset, emoji};
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

fn clip(encoder: &str) -> Clip {
    Clip::build(&library::find(encoder).unwrap_or_else(|e| panic!("{e}")))
}

/// Random pixels and texts of full length.
fn random_batch(clip: &Clip, batch: usize) -> Batch {
    let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let mut stream = Seed::new(0).child("batch").stream();
    let pixels = batch * vision.image_size * vision.image_size * 3;
    Batch {
        pixels: (0..pixels).map(|_| stream.normal()).collect(),
        ids: (0..batch * text.context_length)
            .map(|_| stream.below(text.vocab_size) as u32)
            .collect(),
        end: vec![text.context_length as u32 - 1; batch],
    }
}

fn steps(c: &mut Criterion) {
    for (encoder, batch) in
        [("tiny-resnet", 128), ("tiny-rn", 64), ("tiny-vit", 64), ("small-clip", 32)]
    {
        let clip = clip(encoder);
        let weights = Weights::init(&clip.params(), &Seed::new(0));
        let pairs = random_batch(&clip, batch);
        let config = TrainConfig { batch, ..TrainConfig::default() };
        let mut trainer = Trainer::new(clip, weights, &config, 1_000_000);
        c.bench_function(&format!("training step {encoder}, {batch} pairs"), |b| {
            b.iter(|| trainer.step(&pairs));
        });
    }
}

/// As evaluation runs them, normalisation included.
fn towers(c: &mut Criterion) {
    let test = emoji::open("emoji").unwrap_or_else(|e| panic!("{e}")).test;
    let tokenizer = emoji::tokenizer().unwrap_or_else(|e| panic!("{e}"));
    let prepared = Prepared::default();
    let texts: Vec<String> =
        test.examples().iter().flat_map(|e| e.captions.first()).take(128).cloned().collect();
    let ready = prepared.tokens(&texts, &tokenizer).unwrap_or_else(|e| panic!("{e}"));
    for encoder in ["tiny-resnet", "tiny-rn", "tiny-vit"] {
        let clip = clip(encoder);
        let size = clip.config.vision_cfg.image_size;
        let images = prepared.pictures(&*test, size).ok().flatten();
        let images = images.unwrap_or_else(|| panic!("the test pictures fit in memory"));
        let model = Model::init(clip, tokenizer.clone(), &Seed::new(0));
        c.bench_function(&format!("image tower {encoder}, 128 pictures"), |b| {
            b.iter(|| pictures(&model, &images[..128]));
        });
        c.bench_function(&format!("text tower {encoder}, 128 captions"), |b| {
            b.iter(|| tokens(&model, &ready));
        });
    }
}

fn batches(c: &mut Criterion) {
    let splits = emoji::open("emoji").unwrap_or_else(|e| panic!("{e}"));
    let train = splits.train.unwrap_or_else(|| panic!("emoji has a training split"));
    let tokenizer = emoji::tokenizer().unwrap_or_else(|e| panic!("{e}"));
    let data: &dyn Dataset = &*train;
    let config = TrainConfig::default();
    for size in [32, 64] {
        let mut source = Batches::new(data, size, &tokenizer, &config, &Seed::new(0))
            .unwrap_or_else(|e| panic!("{e}"));
        let mut batch = Batch::default();
        let mut step = 0;
        c.bench_function(&format!("augmented batch of 128 at {size} px"), |b| {
            b.iter(|| {
                source.fill(step, &mut batch).unwrap_or_else(|e| panic!("{e}"));
                step += 1;
            });
        });
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
        .configure_from_args()
}

fn main() {
    let mut c = short();
    steps(&mut c);
    towers(&mut c);
    batches(&mut c);
    c.final_summary();
}
