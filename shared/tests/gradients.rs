//! The training tests that must exist first: every parameter of every kind of encoder gets a gradient,
//! and the gradient is the slope of the loss.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "cpu")]

use toxiclip_shared::encoders::{Clip, ClipConfig};
use toxiclip_shared::exec::cpu::{Arena, Frozen, backward, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::Graph;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const BATCH: usize = 5;

fn encoders() -> Vec<(&'static str, ClipConfig)> {
    let text = r#""text_cfg":{"context_length":7,"vocab_size":20,"width":16,"heads":2,"layers":2}"#;
    let open = r#""text_cfg":{"context_length":7,"vocab_size":20,"width":16,"heads":2,"layers":2,"no_causal_mask":true}"#;
    let vit =
        r#""vision_cfg":{"image_size":12,"patch_size":4,"width":24,"layers":2,"head_width":12}"#;
    let rn = r#""vision_cfg":{"image_size":64,"layers":[1,2,1,1],"width":4,"head_width":8}"#;
    let basic = r#""vision_cfg":{"image_size":16,"layers":[1,1,2,1],"width":4,"block":"basic"}"#;
    let prompted = r#""vision_cfg":{"image_size":12,"patch_size":4,"width":24,"layers":3,"head_width":12,"prompts":{"from":1,"length":2}}"#;
    [
        ("vit", vit, text, false),
        ("modified-resnet", rn, text, true),
        ("basic-resnet", basic, open, true),
        ("prompted-vit", prompted, text, false),
    ]
    .into_iter()
    .map(|(name, vision, text, quick)| {
        let json = format!(r#"{{"embed_dim":10,"quick_gelu":{quick},{vision},{text}}}"#);
        (name, ClipConfig::parse(&json, name).unwrap())
    })
    .collect()
}

struct Case {
    weights: Weights,
    pixels: Vec<f32>,
    ids: Vec<u32>,
    end: Vec<u32>,
    direction: Vec<f32>,
}

impl Case {
    fn new(clip: &Clip) -> Self {
        let seed = Seed::new(11);
        let mut stream = seed.child("inputs").stream();
        let mut weights = Weights::init(&clip.params(), &seed);
        // Start values hide mistakes: gains of exactly 0 or 1, biases of 0.
        for spec in clip.params() {
            let tensor = weights.get_mut(&spec.name).unwrap();
            tensor.data.iter_mut().for_each(|v| *v += stream.range(-0.1, 0.1));
        }
        let size = clip.config.vision_cfg.image_size;
        let length = clip.config.text_cfg.context_length;
        Self {
            weights,
            pixels: (0..BATCH * size * size * 3).map(|_| stream.normal()).collect(),
            ids: (0..BATCH * length).map(|_| stream.below(20) as u32).collect(),
            end: vec![3, 6, 2, 5, 4],
            direction: (0..BATCH * clip.config.embed_dim).map(|_| stream.normal()).collect(),
        }
    }

    fn inputs(&self, image: bool) -> Inputs<'_> {
        if image {
            Inputs::Pixels(&self.pixels)
        } else {
            Inputs::Tokens { ids: &self.ids, end: &self.end }
        }
    }

    /// ⟨embeddings, direction⟩ in f64.
    fn value(&self, graph: &Graph, image: bool, mode: Mode) -> f64 {
        let params = params_of(graph, &self.weights);
        let pass = forward(graph, &params, self.inputs(image), mode, &mut Arena::default());
        pass.embeddings()
            .iter()
            .zip(&self.direction)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    }
}

/// Largest |slope − ‖gradient‖| over all parameters, walking along the gradient, relative to its norm and to
/// 3 % of the tower's largest: f32 noise and ReLU's kinks hide the slope of the very small ones, which the
/// goldens from PyTorch check.
fn worst_deviation(name: &str, mode: Mode, spoil: f64) -> f64 {
    let (_, config) = encoders().into_iter().find(|(n, _)| *n == name).unwrap();
    let clip = Clip::build(&config);
    let mut case = Case::new(&clip);
    let mut worst = 0.0f64;
    for (image, graph) in [(true, &clip.image), (false, &clip.text)] {
        let mut arena = Arena::default();
        let params = params_of(graph, &case.weights);
        let pass = forward(graph, &params, case.inputs(image), mode, &mut arena);
        let gradients = backward(graph, &params, pass, &case.direction, image, &mut arena);
        let norm_of = |g: &[f32]| g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let largest = gradients.params.iter().map(|g| norm_of(g)).fold(0.0, f64::max);
        for (spec, gradient) in graph.params().iter().zip(&gradients.params) {
            if !spec.trained() {
                continue;
            }
            let norm = norm_of(gradient);
            assert!(norm > 0.0, "{name}: {} got no gradient", spec.name);
            let h = 2e-4;
            let mut at = |sign: f64| {
                let before = case.weights.get(&spec.name).unwrap().clone();
                let data = &mut case.weights.get_mut(&spec.name).unwrap().data;
                for (v, g) in data.iter_mut().zip(gradient.iter()) {
                    *v += (sign * h * f64::from(*g) / norm) as f32;
                }
                let value = case.value(graph, image, mode);
                case.weights.insert(spec.name.clone(), before);
                value
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * h) * (1.0 + spoil);
            let deviation = (slope - norm).abs() / (norm + 0.03 * largest);
            if deviation > 2e-2 {
                println!("{name} {mode:?} {}: slope {slope:.5}, norm {norm:.5}", spec.name);
            }
            worst = worst.max(deviation);
        }
    }
    worst
}

#[test]
fn every_parameter_gets_the_slope_of_the_loss() {
    let mut failed = vec![];
    for (name, _) in encoders() {
        for mode in [Mode::Train, Mode::TrainFrozenStatistics] {
            let worst = worst_deviation(name, mode, 0.0);
            println!("{name:16} {mode:?}: largest relative deviation {worst:.1e}");
            if worst >= 3e-2 {
                failed.push((name, mode, worst));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_comparison_can_fail() {
    assert!(worst_deviation("vit", Mode::Train, 0.05) > 3e-2);
}

#[test]
fn pixels_get_the_slope_too() {
    let (_, config) = encoders().remove(1);
    let clip = Clip::build(&config);
    let mut case = Case::new(&clip);
    let mut arena = Arena::default();
    let params = params_of(&clip.image, &case.weights);
    let pass = forward(&clip.image, &params, case.inputs(true), Mode::Train, &mut arena);
    let gradients = backward(&clip.image, &params, pass, &case.direction, true, &mut arena);
    let gradient = gradients.pixels.unwrap();
    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let h = 2e-4;
    let clean = case.pixels.clone();
    let mut at = |sign: f64| {
        for ((v, c), g) in case.pixels.iter_mut().zip(&clean).zip(gradient.iter()) {
            *v = c + (sign * h * f64::from(*g) / norm) as f32;
        }
        case.value(&clip.image, true, Mode::Train)
    };
    let slope = (at(1.0) - at(-1.0)) / (2.0 * h);
    assert!((slope - norm).abs() / norm < 3e-2, "{slope} or {norm}");
}

#[test]
fn batch_size_and_threads_do_not_change_a_bit() {
    for (name, config) in encoders() {
        let clip = Clip::build(&config);
        let case = Case::new(&clip);
        for (image, graph) in [(true, &clip.image), (false, &clip.text)] {
            let tower = Frozen::new(graph, &case.weights);
            let run = |inputs: Inputs<'_>, threads: usize| -> Vec<f32> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| tower.embed(inputs, &mut Arena::default()).to_vec())
            };
            let whole = run(case.inputs(image), 1);
            let params = params_of(graph, &case.weights);
            let (mode, mut arena) = (Mode::TrainFrozenStatistics, Arena::default());
            let pass = forward(graph, &params, case.inputs(image), mode, &mut arena);
            assert_eq!(whole, pass.embeddings(), "{name}: frozen");
            assert_eq!(whole, run(case.inputs(image), 3), "{name}: threads");
            let width = config.embed_dim;
            for b in 0..BATCH {
                let pixels = case.pixels.len() / BATCH;
                let length = case.ids.len() / BATCH;
                let one = if image {
                    Inputs::Pixels(&case.pixels[b * pixels..(b + 1) * pixels])
                } else {
                    Inputs::Tokens {
                        ids: &case.ids[b * length..(b + 1) * length],
                        end: &case.end[b..=b],
                    }
                };
                assert_eq!(
                    run(one, 2),
                    whole[b * width..(b + 1) * width],
                    "{name}: example {b} alone"
                );
            }
        }
    }
}
