//! Embeddings, loss, gradients and optimiser steps against PyTorch and open_clip.
//!
//! The files in `golden/` are PyTorch's double precision, so each deviation is our rounding alone;
//! `golden/encoders.py` prints PyTorch's own single-precision rounding beside it.
//! `cargo test --release -p toxiclip-shared --features cpu --test golden -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deviation;

use std::path::PathBuf;

use deviation::{Deviation, floor};
use toxiclip_shared::checkpoint::container::{self, Container};
use toxiclip_shared::checkpoint::{load_dir, read_safetensors};
use toxiclip_shared::encoders::{Clip, ClipConfig, LOGIT_SCALE};
use toxiclip_shared::exec::cpu::contrastive::{Contrastive, contrastive};
use toxiclip_shared::exec::cpu::{self, Arena, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Graph, ParamSpec, Role, Step};
use toxiclip_shared::optim::{AdamW, State, global_norm};
use toxiclip_shared::weights::{Tensor, Weights};

const NAMES: [&str; 5] = ["rn", "vit", "odd", "long", "basic"];
const EMBEDDING: f64 = 1e-5;
const LOSS: f64 = 1e-6;
const GRADIENT: f64 = 1e-4;
const WEIGHT: f64 = 1e-4;
const BLOCK: f64 = 1e-4;

/// One golden definition with its inputs.
struct Golden {
    name: &'static str,
    clip: Clip,
    start: Weights,
    pixels: Vec<f32>,
    ids: Vec<u32>,
    end: Vec<u32>,
}

fn path(name: &str, kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.{kind}"))
}

/// An f32 tensor of `NAME.values.safetensors`.
fn value(name: &str, key: &str) -> Vec<f32> {
    let file = std::fs::read(path(name, "values.safetensors")).unwrap();
    floats(&container::parse(&file).unwrap(), key)
}

fn floats(file: &Container<'_>, key: &str) -> Vec<f32> {
    let chunks = file.tensors[key].bytes.as_chunks::<4>().0;
    chunks.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A file that has the form of a state dict: start, gradients, end.
fn state(name: &str, clip: &Clip, kind: &str) -> Weights {
    let file = std::fs::read(path(name, &format!("{kind}.safetensors"))).unwrap();
    read_safetensors(&file, clip, kind).unwrap()
}

impl Golden {
    fn read(name: &'static str) -> Self {
        let json = std::fs::read_to_string(path(name, "json")).unwrap();
        let clip = Clip::build(&ClipConfig::parse(&json, name).unwrap());
        let start = state(name, &clip, "start");
        let file = std::fs::read(path(name, "values.safetensors")).unwrap();
        Self::new(name, clip, start, &file)
    }

    /// With the inputs of a values file.
    fn new(name: &'static str, clip: Clip, start: Weights, file: &[u8]) -> Self {
        let file = container::parse(file).unwrap();
        let tokens = file.tensors["tokens"].bytes.as_chunks::<8>().0;
        let ids: Vec<u32> = tokens.iter().map(|b| i64::from_le_bytes(*b) as u32).collect();
        let text = &clip.config.text_cfg;
        let last = text.vocab_size as u32 - 1;
        let end = |row: &[u32]| row.iter().position(|&id| id == last).unwrap() as u32;
        let end = ids.chunks(text.context_length).map(end).collect();
        let pixels =
            channels_last(&floats(&file, "pixels"), 3, clip.config.vision_cfg.image_size.pow(2));
        Self { name, clip, start, pixels, ids, end }
    }

    fn tokens(&self) -> Inputs<'_> {
        Inputs::Tokens { ids: &self.ids, end: &self.end }
    }

    /// Embeddings of one tower, not normalised.
    fn embed(&self, graph: &Graph, inputs: Inputs<'_>) -> Vec<f32> {
        cpu::Frozen::new(graph, &self.start).embed(inputs, &mut Arena::default()).to_vec()
    }

    /// The same with the statistics of the batch.
    fn embed_in_training(&self, graph: &Graph, inputs: Inputs<'_>) -> Vec<f32> {
        let (params, mut arena) = (params_of(graph, &self.start), Arena::default());
        cpu::forward(graph, &params, inputs, Mode::Train, &mut arena).embeddings().to_vec()
    }

    /// What the blocks of one tower give for the first examples; of captions, the rows that anybody reads.
    fn blocks(&self, graph: &Graph, inputs: Inputs<'_>) -> Vec<Deviation> {
        let (params, mut arena) = (params_of(graph, &self.start), Arena::default());
        let pass = cpu::forward(graph, &params, inputs, Mode::TrainFrozenStatistics, &mut arena);
        let file = std::fs::read(path(self.name, "values.safetensors")).unwrap();
        let golden = container::parse(&file).unwrap();
        let mut all = Vec::new();
        for (key, view) in golden.tensors.iter().filter(|(key, _)| key.starts_with("blocks/")) {
            let scope = format!("{}.", key.trim_start_matches("blocks/"));
            let within = |step: &Step| step.path.starts_with(&scope);
            let Some(last) = graph.steps().iter().rposition(within) else { continue };
            let ours = pass.value(last);
            let mut theirs = floats(&golden, key);
            let (shown, columns) = (view.shape[0], graph.steps()[last].columns());
            if view.shape.len() == 4 {
                theirs = channels_last(&theirs, columns, view.shape[2] * view.shape[3]);
            }
            let batch = self.end.len();
            let [rows, given] = [ours.len() / batch, theirs.len() / shown];
            // Of the last block we compute the row alone that is read.
            let text = matches!(inputs, Inputs::Tokens { .. }) && rows == columns;
            let first = |b: usize| if text { self.end[b] as usize * columns } else { 0 };
            let part = |(b, one): (usize, &[f32])| one[first(b)..][..rows].to_vec();
            let theirs: Vec<f32> = theirs.chunks(given).enumerate().flat_map(part).collect();
            all.push(Deviation::of(key, &ours[..rows * shown], &theirs, 0.0, BLOCK));
        }
        all
    }

    fn deviation(&self, key: &str, ours: &[f32], tolerance: f64) -> Deviation {
        Deviation::of(key, ours, &value(self.name, key), 0.0, tolerance)
    }

    fn embeddings(&self) -> Vec<Deviation> {
        let pixels = Inputs::Pixels(&self.pixels);
        let image = self.embed(&self.clip.image, pixels);
        let trained = self.embed_in_training(&self.clip.image, pixels);
        let text = self.embed(&self.clip.text, self.tokens());
        vec![
            self.deviation("image_eval", &image, EMBEDDING),
            self.deviation("image_train", &trained, EMBEDDING),
            self.deviation("text", &text, EMBEDDING),
        ]
    }
}

/// (batch, C, H, W) to (batch, H, W, C).
fn channels_last(planes: &[f32], channels: usize, area: usize) -> Vec<f32> {
    let pixel = |image: &[f32], at: usize| (0..channels).map(|c| image[c * area + at]).collect();
    let one = |image: &[f32]| (0..area).flat_map(|at| -> Vec<f32> { pixel(image, at) }).collect();
    planes.chunks(channels * area).flat_map(|image| -> Vec<f32> { one(image) }).collect()
}

/// Loss, and what one forward and backward walk from `weights` makes of every tensor: its gradient, or
/// where it is no parameter its next value, as the golden file has them.
fn walk(golden: &Golden, weights: &Weights) -> (f32, Weights) {
    let (clip, mut arena) = (&golden.clip, Arena::default());
    let mut out = weights.clone();
    let towers = [(&clip.image, Inputs::Pixels(&golden.pixels)), (&clip.text, golden.tokens())];
    let params = towers.map(|(graph, _)| params_of(graph, weights));
    let passes =
        [0, 1].map(|i| cpu::forward(towers[i].0, &params[i], towers[i].1, Mode::Train, &mut arena));
    let scale = weights.data(LOGIT_SCALE)[0];
    let width = clip.config.embed_dim;
    let Contrastive { loss, d_image, d_text, d_logit_scale } =
        contrastive(passes[0].embeddings(), passes[1].embeddings(), width, scale);
    let given = [d_image, d_text];
    for (i, pass) in passes.into_iter().enumerate() {
        let graph = towers[i].0;
        for (mean, var, seen) in pass.statistics() {
            for (id, new) in [(mean, &seen.mean), (var, &seen.var)] {
                let old = out.get_mut(&graph.params()[id.index()].name).unwrap();
                // PyTorch's momentum of 0.1.
                old.data.iter_mut().zip(new).for_each(|(x, n)| *x = 0.9 * *x + 0.1 * n);
            }
        }
        let grads = cpu::backward(graph, &params[i], pass, &given[i], false, &mut arena);
        for (spec, grad) in graph.params().iter().zip(&grads.params) {
            match spec.role {
                Role::Statistic => {}
                Role::Counter => out.get_mut(&spec.name).unwrap().data[0] += 1.0,
                _ => out.get_mut(&spec.name).unwrap().data.copy_from_slice(grad),
            }
        }
    }
    out.get_mut(LOGIT_SCALE).unwrap().data[0] = d_logit_scale;
    (loss, out)
}

/// The recipe of `golden/encoders.py`: losses, gradient norms, and the last weights.
fn train(golden: &Golden) -> (Vec<f32>, Vec<f32>, Weights) {
    let specs = golden.clip.params();
    let mut weights = golden.start.clone();
    let mut state = State::new(&specs);
    let (mut losses, mut norms) = (vec![], vec![]);
    for _ in 0..value(golden.name, "losses").len() {
        let (loss, after) = walk(golden, &weights);
        let trained = specs.iter().filter(|spec| spec.trained());
        let gradients: Vec<(&ParamSpec, &[f32])> =
            trained.map(|spec| (spec, after.data(&spec.name))).collect();
        let norm = global_norm(&gradients) as f32;
        let gradient_scale = (1.0 / (norm + 1e-6)).min(1.0);
        let recipe = AdamW { lr: 1e-3, betas: (0.9, 0.98), eps: 1e-6, wd: 0.1, gradient_scale };
        state.step(&recipe, &mut weights, &gradients).unwrap();
        for spec in specs.iter().filter(|spec| !spec.trained()) {
            weights.insert(spec.name.clone(), after.get(&spec.name).unwrap().clone());
        }
        let scale = &mut weights.get_mut(LOGIT_SCALE).unwrap().data[0];
        *scale = scale.clamp(0.0, 100f32.ln());
        losses.push(loss);
        norms.push(norm);
    }
    (losses, norms, weights)
}

/// Tensor by tensor; the floor counts among gradients only.
fn compare(clip: &Clip, ours: &Weights, expected: &Weights, tolerance: f64) -> Vec<Deviation> {
    let trained = clip.params().into_iter().filter(ParamSpec::trained);
    let names: Vec<String> = trained.map(|spec| spec.name).collect();
    let floor = floor(names.iter().map(|name| expected.data(name)));
    let one = |(name, tensor): (&str, &Tensor)| {
        Deviation::of(name, &tensor.data, expected.data(name), floor, tolerance)
    };
    ours.iter().map(one).collect()
}

#[test]
fn embeddings_are_open_clips() {
    for name in NAMES {
        deviation::check(&format!("{name} embeddings"), &Golden::read(name).embeddings());
    }
}

#[test]
fn every_block_is_open_clips() {
    for name in NAMES {
        let golden = Golden::read(name);
        let mut all = golden.blocks(&golden.clip.image, Inputs::Pixels(&golden.pixels));
        let image = all.len();
        all.extend(golden.blocks(&golden.clip.text, golden.tokens()));
        assert!(image > 0 && all.len() > image, "{name}: {} blocks", all.len());
        deviation::check(&format!("{name} blocks"), &all);
    }
}

#[test]
fn embeddings_of_the_other_layout_are_transformers() {
    let folder = path("hugging_face", "json").with_extension("");
    let loaded = load_dir(&folder).unwrap();
    let file = std::fs::read(folder.join("values.safetensors")).unwrap();
    let golden = Golden::new("hugging_face", loaded.clip, loaded.weights, &file);
    let expected = container::parse(&file).unwrap();
    let compare =
        |key: &str, ours: &[f32]| Deviation::of(key, ours, &floats(&expected, key), 0.0, EMBEDDING);
    let image = golden.embed(&golden.clip.image, Inputs::Pixels(&golden.pixels));
    let text = golden.embed(&golden.clip.text, golden.tokens());
    deviation::check(
        "hugging_face embeddings",
        &[compare("image_eval", &image), compare("text", &text)],
    );
}

#[test]
fn loss_and_every_gradient_are_pytorchs() {
    for name in NAMES {
        let golden = Golden::read(name);
        let (loss, state_after) = walk(&golden, &golden.start);
        let expected = value(name, "losses")[0];
        let all = [Deviation::of("loss", &[loss], &[expected], 0.0, LOSS)];
        deviation::check(&format!("{name} loss"), &all);
        let expected = state(name, &golden.clip, "gradients");
        let all = compare(&golden.clip, &state_after, &expected, GRADIENT);
        deviation::check(&format!("{name} gradients, statistics"), &all);
    }
}

#[test]
fn twenty_steps_of_adamw_are_pytorchs() {
    for name in NAMES {
        let golden = Golden::read(name);
        let (losses, norms, weights) = train(&golden);
        let all = [
            golden.deviation("losses", &losses, WEIGHT),
            golden.deviation("gradient_norms", &norms, WEIGHT),
        ];
        deviation::check(&format!("{name} losses, norms of 20 steps"), &all);
        let expected = state(name, &golden.clip, "end");
        let all = compare(&golden.clip, &weights, &expected, WEIGHT);
        deviation::check(&format!("{name} weights after 20 steps"), &all);
    }
}

#[test]
fn a_moved_value_fails() {
    let mut golden = Golden::read("vit");
    let weight = golden.start.get_mut("visual.transformer.resblocks.0.mlp.c_fc.weight").unwrap();
    weight.data[0] += 0.01;
    let moved = |all: &[Deviation]| all.iter().filter(|d| !d.within()).count();
    assert_eq!(moved(&golden.embeddings()), 2, "both image embeddings, and not the text's");
    let golden = Golden::read("vit");
    let (_, mut gradients) = walk(&golden, &golden.start);
    let one = &mut gradients.get_mut("ln_final.weight").unwrap().data[3];
    *one *= 1.01;
    let expected = state("vit", &golden.clip, "gradients");
    assert_eq!(moved(&compare(&golden.clip, &gradients, &expected, GRADIENT)), 1);
}
