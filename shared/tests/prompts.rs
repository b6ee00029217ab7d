//! Prompts in an image transformer: embeddings, RVPT's loss, gradients of prompts and steps of SGD against PyTorch's
//! (`golden/prompts.py`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "cpu")]

mod deviation;

use std::path::PathBuf;

use deviation::{Deviation, floor};
use toxiclip_shared::checkpoint::container::{self, Container};
use toxiclip_shared::checkpoint::{read_safetensors, write_safetensors};
use toxiclip_shared::encoders::{Clip, ClipConfig, Prompts};
use toxiclip_shared::exec::cpu::{Arena, Frozen, backward_from, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::ParamSpec;
use toxiclip_shared::optim::{Sgd, State};
use toxiclip_shared::prompting::{self, Asked, Loss, Prompting, Seen};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const VALUE: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;
/// Of the script.
const SCALE: f32 = 14.0;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(name)).unwrap()
}

fn floats(file: &Container<'_>, key: &str) -> Vec<f32> {
    let chunks = file.tensors[key].bytes.as_chunks::<4>().0;
    chunks.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn how() -> Prompting {
    let prompts = Prompts { from: 0, length: 3 };
    Prompting { prompts, weight: 2.0, momentum: 0.9, template: "{}".into() }
}

/// The tower of the script without prompts and with the script's, its pictures, their classes.
struct Case {
    start: (Clip, Weights),
    clip: Clip,
    weights: Weights,
    pixels: Vec<f32>,
    labels: Vec<usize>,
    classes: Vec<f32>,
}

fn prompts_of(file: &Container<'_>, part: &str, clip: &Clip) -> Vec<(String, Vec<f32>)> {
    let key = |spec: &ParamSpec| {
        let block = spec.name.split('.').nth(3).unwrap();
        (spec.name.clone(), floats(file, &format!("{part}/{block}")))
    };
    prompting::tuned(clip).iter().map(key).collect()
}

impl Case {
    fn read() -> Self {
        let json = String::from_utf8(file("vit.json")).unwrap();
        let plain = Clip::build(&ClipConfig::parse(&json, "vit").unwrap());
        let start = read_safetensors(&file("vit.start.safetensors"), &plain, "start").unwrap();
        let (clip, mut weights) = how().install(&plain, &start, &Seed::new(0)).unwrap();
        let bytes = file("prompts.safetensors");
        let golden = container::parse(&bytes).unwrap();
        for (name, values) in prompts_of(&golden, "prompts", &clip) {
            weights.get_mut(&name).unwrap().data = values;
        }
        let bytes = file("vit.values.safetensors");
        let planes = floats(&container::parse(&bytes).unwrap(), "pixels");
        let area = plain.config.vision_cfg.image_size.pow(2);
        let one = |picture: &[f32]| -> Vec<f32> {
            (0..area).flat_map(|at| [0, 1, 2].map(|c| picture[c * area + at])).collect()
        };
        let pixels = planes.chunks(3 * area).flat_map(one).collect();
        let labels = golden.tensors["labels"].bytes.as_chunks::<8>().0;
        let labels = labels.iter().map(|b| i64::from_le_bytes(*b) as usize).collect();
        let classes = floats(&golden, "classes");
        Self { start: (plain, start), clip, weights, pixels, labels, classes }
    }

    fn embed(&self) -> Vec<f32> {
        let tower = Frozen::new(&self.clip.image, &self.weights);
        tower.embed(Inputs::Pixels(&self.pixels), &mut Arena::default()).to_vec()
    }

    /// The loss, the embeddings, and the gradients of all prompts.
    fn walk(&self) -> (Loss, Vec<f32>, Vec<Vec<f32>>) {
        let (pixels, mode) = (Inputs::Pixels(&self.pixels), Mode::TrainFrozenStatistics);
        let (mut arena, size) = (Arena::default(), self.labels.len());
        let (plain, start) = &self.start;
        let pass = forward(&plain.image, &params_of(&plain.image, start), pixels, mode, &mut arena);
        let blocks = how().blocks(&plain.image);
        let before = prompting::class_tokens(&pass, &plain.image, &blocks, size);
        let graph = &self.clip.image;
        let params = params_of(graph, &self.weights);
        let pass = forward(graph, &params, pixels, mode, &mut arena);
        let blocks = how().blocks(graph);
        let tokens = prompting::class_tokens(&pass, graph, &blocks, size);
        let embeddings = pass.embeddings().to_vec();
        let width = self.clip.config.embed_dim;
        let asked = Asked { classes: &self.classes, width, scale: SCALE };
        let labels = &self.labels;
        let seen = Seen { embeddings: &embeddings, labels, tokens: &tokens, before: &before };
        let loss = prompting::loss(seen, asked, how().weight);
        let inner = prompting::spread(&pass, graph, &blocks, &loss.d_tokens);
        let found =
            backward_from(graph, &params, pass, (&loss.d_embeddings, &inner), false, &mut arena);
        let all = graph.params().iter().zip(&found.params);
        let own = all.filter(|(spec, _)| spec.name.ends_with(".prompts"));
        (loss, embeddings, own.map(|(_, g)| g.to_vec()).collect())
    }
}

fn first_step(case: &Case) -> Vec<Deviation> {
    let bytes = file("prompts.safetensors");
    let golden = container::parse(&bytes).unwrap();
    let (loss, embeddings, gradients) = case.walk();
    let of = |key: &str, ours: &[f32], tolerance: f64| {
        Deviation::of(key, ours, &floats(&golden, key), 0.0, tolerance)
    };
    let mut all = vec![
        of("embeddings", &embeddings, VALUE),
        of("class", &[loss.class], VALUE),
        of("likeness", &[loss.likeness], VALUE),
    ];
    let expected = prompts_of(&golden, "gradients", &case.clip);
    let floor = floor(expected.iter().map(|(_, g)| &g[..]));
    for ((name, expected), ours) in expected.iter().zip(&gradients) {
        all.push(Deviation::of(name, ours, expected, floor, GRADIENT));
    }
    assert_eq!(gradients.len(), expected.len());
    all
}

#[test]
fn the_first_step_is_pytorchs() {
    let case = Case::read();
    deviation::check("prompts", &first_step(&case));
    assert_eq!(case.embed(), case.walk().1, "the frozen walk gives the same bits");
}

#[test]
fn steps_of_sgd_are_pytorchs() {
    let mut case = Case::read();
    let bytes = file("prompts.safetensors");
    let golden = container::parse(&bytes).unwrap();
    let tuned = prompting::tuned(&case.clip);
    let mut velocity = State::new(&tuned).first;
    let mut losses = Vec::new();
    for _ in 0..floats(&golden, "losses").len() {
        let (loss, _, gradients) = case.walk();
        losses.push(loss.whole);
        let given: Vec<(&ParamSpec, &[f32])> =
            tuned.iter().zip(&gradients).map(|(spec, g)| (spec, &g[..])).collect();
        let sgd = Sgd { lr: 0.1, momentum: 0.9 };
        sgd.step(&mut velocity, &mut case.weights, &given).unwrap();
    }
    let mut all = vec![Deviation::of("losses", &losses, &floats(&golden, "losses"), 0.0, GRADIENT)];
    for (name, expected) in prompts_of(&golden, "end", &case.clip) {
        all.push(Deviation::of(&name, case.weights.data(&name), &expected, 0.0, GRADIENT));
    }
    deviation::check("prompts after SGD", &all);
    for (name, tensor) in case.start.1.iter() {
        assert_eq!(case.weights.data(name), tensor.data, "{name} moved");
    }
}

#[test]
fn a_moved_prompt_fails() {
    let mut case = Case::read();
    let name = "visual.transformer.resblocks.1.prompts";
    case.weights.get_mut(name).unwrap().data[4] += 0.05;
    let wrong = first_step(&case).iter().filter(|d| !d.within()).count();
    assert!(wrong > 3, "{wrong}");
}

#[test]
fn prompts_travel_with_the_weights() {
    let case = Case::read();
    let json = serde_json::to_string(&case.clip.config).unwrap();
    let again = Clip::build(&ClipConfig::parse(&json, "again").unwrap());
    let bytes = write_safetensors(&case.clip, &case.weights, "");
    let read = read_safetensors(&bytes, &again, "again").unwrap();
    assert_eq!(read.digest(), case.weights.digest());
    let lost = read_safetensors(&bytes, &case.start.0, "lost").unwrap_err().to_string();
    assert!(lost.contains("prompts") && !lost.contains('\n'), "{lost}");
    let twice = how().install(&case.clip, &case.weights, &Seed::new(0)).unwrap_err().to_string();
    assert!(twice.contains("has prompts already"), "{twice}");
}
