//! The CPU executor against the composition of candle primitives: two independent walks over one graph.
//!
//! candle runs in double precision, so that what is measured is the CPU executor's rounding. Weights are
//! random in every tensor: start values would leave zeros that hide a missing path.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deviation;

use candle_core::{DType, Device};
use deviation::{Deviation, floor};
use toxiclip_shared::encoders::library;
use toxiclip_shared::encoders::{Clip, Prompts};
use toxiclip_shared::exec::candle::Candle;
use toxiclip_shared::exec::cpu::{self, Arena, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Graph, Role};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const BATCH: usize = 4;
const FORWARD: f64 = 1e-5;
const BACKWARD: f64 = 1e-4;

/// Start values, moved: no gain is 0 or 1, no bias 0, no variance 1.
fn random_weights(clip: &Clip) -> Weights {
    let mut weights = Weights::init(&clip.params(), &Seed::new(0));
    for spec in clip.params() {
        let mut stream = Seed::new(1).child(&spec.name).stream();
        let Some(tensor) = weights.get_mut(&spec.name) else { panic!("{} is missing", spec.name) };
        for x in &mut tensor.data {
            *x = match (spec.role, spec.name.ends_with("running_var")) {
                (Role::Statistic, true) => stream.range(0.5, 1.5),
                (Role::Counter, _) => 0.0,
                _ if spec.shape.len() < 2 => *x + 0.2 * stream.normal(),
                _ => *x,
            };
        }
    }
    weights
}

struct Batch {
    pixels: Vec<f32>,
    ids: Vec<u32>,
    end: Vec<u32>,
}

fn random_batch(clip: &Clip) -> Batch {
    let mut stream = Seed::new(2).stream();
    let (v, t) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let pixels = (0..BATCH * v.image_size * v.image_size * 3).map(|_| stream.normal()).collect();
    let mut ids: Vec<u32> =
        (0..BATCH * t.context_length).map(|_| stream.below(t.vocab_size - 1) as u32).collect();
    let end: Vec<u32> = (0..BATCH).map(|b| ((3 + 5 * b) % t.context_length) as u32).collect();
    for (row, &end) in ids.chunks_mut(t.context_length).zip(&end) {
        row[end as usize] = t.vocab_size as u32 - 1;
    }
    Batch { pixels, ids, end }
}

/// Every comparison of one tower: embeddings, and the gradient of each parameter and of the pixels.
fn compare(graph: &Graph, weights: &Weights, inputs: Inputs<'_>, mode: Mode) -> Vec<Deviation> {
    let params = params_of(graph, weights);
    let oracle = Candle { device: Device::Cpu, dtype: DType::F64 };
    let theirs = oracle.forward(graph, &params, inputs, mode).unwrap();
    let expected = theirs.embeddings().unwrap();
    let mut stream = Seed::new(3).stream();
    let given: Vec<f32> = (0..expected.len()).map(|_| stream.normal()).collect();
    let reference = theirs.backward(&given).unwrap();

    let mut arena = Arena::default();
    let ours = cpu::forward(graph, &params, inputs, mode, &mut arena);
    let mut all = vec![Deviation::of("embeddings", ours.embeddings(), &expected, 0.0, FORWARD)];
    for ((mean, var, ours), theirs) in ours.statistics().iter().zip(theirs.statistics()) {
        assert_eq!((*mean, *var), theirs.params, "statistics in another order");
        let name = &graph.params()[mean.index()].name;
        all.push(Deviation::of(name, &ours.mean, &theirs.mean, 1e-2, FORWARD));
        all.push(Deviation::of(name, &ours.var, &theirs.var, 1e-2, FORWARD));
    }
    let pixels = matches!(inputs, Inputs::Pixels(_));
    let ours = cpu::backward(graph, &params, ours, &given, pixels, &mut arena);
    let floor = floor(reference.params.iter().flatten().map(Vec::as_slice));
    for (i, spec) in graph.params().iter().enumerate().filter(|(_, spec)| spec.trained()) {
        let Some(expected) = &reference.params[i] else { panic!("{}: no gradient", spec.name) };
        all.push(Deviation::of(&spec.name, &ours.params[i], expected, floor, BACKWARD));
    }
    if let (Some(ours), Some(expected)) = (&ours.pixels, &reference.pixels) {
        all.push(Deviation::of("pixels", ours, expected, 0.0, BACKWARD));
    }
    assert_eq!(ours.pixels.is_some(), pixels, "the gradient of the pixels was asked for");
    all
}

fn compare_encoder(name: &str, mode: Mode) -> Vec<Deviation> {
    compare_clip(&Clip::build(&library::find(name).unwrap()), mode)
}

fn compare_clip(clip: &Clip, mode: Mode) -> Vec<Deviation> {
    let (weights, batch) = (random_weights(clip), random_batch(clip));
    let mut all = compare(&clip.image, &weights, Inputs::Pixels(&batch.pixels), mode);
    let tokens = Inputs::Tokens { ids: &batch.ids, end: &batch.end };
    all.extend(compare(&clip.text, &weights, tokens, mode));
    all
}

#[test]
fn both_executors_agree_on_every_encoder() {
    for name in library::small() {
        for mode in [Mode::Train, Mode::TrainFrozenStatistics] {
            deviation::check(&format!("{name} {mode:?}"), &compare_encoder(name, mode));
        }
    }
}

#[test]
fn both_executors_agree_on_prompts() {
    let mut config = library::find("tiny-vit").unwrap();
    config.vision_cfg.prompts = Some(Prompts { from: 1, length: 5 });
    let clip = Clip::build(&config);
    for mode in [Mode::Train, Mode::TrainFrozenStatistics] {
        deviation::check(&format!("prompted {mode:?}"), &compare_clip(&clip, mode));
    }
}

#[test]
fn the_comparer_fails_when_one_number_moves() {
    let clip = Clip::build(&library::find("tiny-rn").unwrap());
    let batch = random_batch(&clip);
    let mut weights = random_weights(&clip);
    let inputs = Inputs::Pixels(&batch.pixels);
    let params = params_of(&clip.image, &weights);
    let theirs = Candle::cpu().forward(&clip.image, &params, inputs, Mode::Train).unwrap();
    let expected = theirs.embeddings().unwrap();
    // The last bias moves one embedding column by a thousandth of the largest embedding.
    let step = expected.iter().fold(0f32, |m, x| m.max(x.abs())) * 1e-3;
    let bias = weights.get_mut("visual.attnpool.c_proj.bias").unwrap();
    bias.data[0] += step;
    let params = params_of(&clip.image, &weights);
    let ours = cpu::forward(&clip.image, &params, inputs, Mode::Train, &mut Arena::default());
    let deviation = Deviation::of("embeddings", ours.embeddings(), &expected, 0.0, FORWARD);
    assert!(!deviation.within(), "{deviation:?}");
}
