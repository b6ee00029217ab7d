use super::*;
use crate::attacks::{ATTACKS, Attack};
use crate::data::synthetic::Synthetic;
use crate::encoders::{Clip, ClipConfig};
use crate::exec::Inputs;
use crate::exec::cpu::contrastive::normalize;
use crate::exec::cpu::{Arena, Frozen};
use crate::surrogate::Completion;

const RESNET: &str = r#"{"image_size":16,"layers":[1,1,2,1],"width":4,"block":"basic"}"#;
/// Smooth everywhere, so that differences are slopes.
const TRANSFORMER: &str =
    r#"{"image_size":16,"patch_size":4,"width":24,"layers":2,"head_width":12}"#;

fn clip_of(vision: &str) -> Clip {
    let json = format!(
        r#"{{"embed_dim":10,"vision_cfg":{vision},
        "text_cfg":{{"context_length":7,"vocab_size":20,"width":16,"heads":2,"layers":2}}}}"#
    );
    Clip::build(&ClipConfig::parse(&json, "test").unwrap())
}

fn clip() -> Clip {
    clip_of(RESNET)
}

/// Weights whose gains and biases are no start values.
fn weights(clip: &Clip, seed: u64) -> Weights {
    let mut stream = Seed::new(seed).child("moved").stream();
    let mut weights = Weights::init(&clip.params(), &Seed::new(seed));
    for spec in clip.params().iter().filter(|spec| spec.trained()) {
        let data = &mut weights.get_mut(&spec.name).unwrap().data;
        data.iter_mut().for_each(|v| *v += stream.range(-0.1, 0.1));
    }
    weights
}

/// A unit vector for every text, whatever a tower would say.
fn texts(texts: &[String]) -> Result<Vec<f32>> {
    let of = |text: &String| {
        let mut stream = Seed::new(1).child(text).stream();
        (0..10).map(|_| stream.normal()).collect::<Vec<_>>()
    };
    Ok(normalize(&texts.iter().flat_map(of).collect::<Vec<_>>(), 10).0)
}

/// Unit vectors of pictures.
fn embedded(clip: &Clip, weights: &Weights, pictures: &[Image]) -> Vec<f32> {
    let (mut pixels, mut arena) = (Vec::new(), Arena::default());
    pictures.iter().for_each(|picture| picture.write_pixels(&OPENAI, &mut pixels));
    let tower = Frozen::new(&clip.image, weights);
    normalize(&tower.embed(Inputs::Pixels(&pixels), &mut arena), 10).0
}

fn badclip() -> Box<dyn Attack> {
    let parameters = serde_json::json!({
        "target": "class-1", "rate": 0.1, "size": 56, "place": "corners", "batch": 8, "epochs": 20, "lr": 0.02,
    });
    (crate::registry::find("attack", ATTACKS, "badclip").unwrap().parse)(parameters).unwrap()
}

fn draw(attack: &dyn Attack, seed: u64) -> Armed {
    attack.prepare(&Synthetic::train(), &Synthetic::test(), &Seed::new(seed)).unwrap()
}

/// Losses of all steps and the completed attack.
fn search(weights: &Weights, seed: u64) -> (Vec<f32>, Armed) {
    let (attack, clip) = (badclip(), clip());
    let Some(Completion::Guided(guided)) = attack.completion() else {
        panic!("badclip looks through an encoder")
    };
    let pictures = |pictures: &[Image]| Ok(embedded(&clip, weights, pictures));
    let surrogate = Surrogate { clip: &clip, weights, texts: &texts, pictures: &pictures };
    let drawn = draw(&*attack, seed);
    let mut search =
        guided.search(drawn, &Synthetic::train(), surrogate, &Seed::new(seed)).unwrap();
    let losses = (0..search.steps()).map(|_| search.step().unwrap()).collect();
    (losses, search.finish())
}

fn learned(armed: &Armed) -> &Learned {
    match &armed.trigger {
        Trigger::Learned(learned) => learned,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_search_is_a_function_of_data_seed_and_encoder() {
    let of = |threads: usize, weights: &Weights, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search(weights, seed).1)
    };
    let (one, other) = (weights(&clip(), 0), weights(&clip(), 1));
    let first = of(1, &one, 0);
    assert_eq!(first, of(3, &one, 0), "threads");
    assert_ne!(learned(&first).rgb, learned(&of(1, &one, 1)).rgb, "seed");
    assert_ne!(learned(&first).rgb, learned(&of(1, &other, 0)).rgb, "encoder");
    let drawn = draw(&*badclip(), 0);
    assert_eq!(Armed { trigger: Trigger::None, ..first.clone() }, drawn, "only the trigger is new");
    let learned = learned(&first);
    assert_eq!((learned.resolution, learned.side, learned.rgb.len()), (16, 4, 48));
}

#[test]
fn the_loss_falls() {
    let (losses, _) = search(&weights(&clip(), 0), 0);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (first, last) = (mean(&losses[..5]), mean(&losses[losses.len() - 5..]));
    assert!(last < 0.97 * first, "{first} to {last}");
}

/// Sum of all embeddings' products with a fixed direction: linear, so that its slope is the towers' alone.
struct Direction(Vec<f32>);

impl Objective for Direction {
    fn loss(&self, _rows: &[usize], stamped: &[f32], _seed: &Seed) -> (f32, Vec<f32>) {
        (stamped.iter().zip(&self.0).map(|(a, b)| a * b).sum(), self.0.clone())
    }
}

/// Largest deviation of the patch's gradient from differences of the loss, relative to the largest slope; `other` is the
/// place at which the differences are taken.
fn deviation(other: Place) -> f32 {
    let (clip, seed) = (clip_of(TRANSFORMER), Seed::new(0));
    let weights = weights(&clip, 0);
    let none = |_: &[Image]| Ok(Vec::new());
    let surrogate = Surrogate { clip: &clip, weights: &weights, texts: &texts, pictures: &none };
    let course =
        Course { size: 56, place: Place::Center, epochs: 1, lr: 0.1, batch: 4, pictures: 9 };
    let clean = Synthetic::train();
    let pictures = pictures(&clean, &[0, 9, 20, 31], 16).unwrap();
    let mut stream = seed.child("direction").stream();
    let direction = Direction((0..40).map(|_| stream.normal()).collect());
    let drawn = Armed::default();
    let mut search =
        PatchSearch::new(surrogate, Box::new(direction), pictures, course, drawn, &seed).unwrap();
    // Away from the clip's corners, where a difference sees two slopes.
    let patch = &mut search.patch.get_mut(PATCH).unwrap().data;
    patch.iter_mut().for_each(|v| *v = v.clamp(0.05, 0.95));
    patch[0] = 1.5;
    let rows = [0, 1, 2, 3];
    let (_, gradient) = search.slope(&rows, &seed);
    assert_eq!(gradient[0], 0.0, "held back by the clip");
    search.course.place = other;
    let h = 5e-3;
    let mut at = |i: usize, by: f32| {
        search.patch.get_mut(PATCH).unwrap().data[i] += by;
        let value = search.slope(&rows, &seed).0;
        search.patch.get_mut(PATCH).unwrap().data[i] -= by;
        value
    };
    let slopes: Vec<f32> =
        (0..gradient.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
    let largest = slopes.iter().fold(0.0f32, |m, s| m.max(s.abs()));
    slopes.iter().zip(&gradient).fold(0.0, |m, (s, g)| m.max((s - g).abs() / largest))
}

#[test]
fn the_patchs_gradient_is_the_slope_of_the_loss() {
    let off = deviation(Place::Center);
    assert!(off < 0.01, "{off}");
    assert!(deviation(Place::TopLeft) > 0.3, "the slope at another place would be seen");
}

#[test]
fn what_no_encoder_could_satisfy_is_one_line() {
    let wrong = |key: &str, value: serde_json::Value| {
        let mut parameters = serde_json::json!({"target": "class-1", "rate": 0.1});
        parameters[key] = value;
        let entry = crate::registry::find("attack", ATTACKS, "badclip").unwrap();
        let made = (entry.parse)(parameters);
        let error = match made {
            Err(error) => error.to_string(),
            Ok(attack) => attack
                .prepare(&Synthetic::train(), &Synthetic::test(), &Seed::new(0))
                .unwrap_err()
                .to_string(),
        };
        assert!(!error.contains('\n'), "{error}");
        error
    };
    assert!(wrong("size", 224.into()).contains("an edge of 1 to 200"));
    assert!(wrong("place", "random".into()).contains("learned for one place"));
    assert!(wrong("batch", 1.into()).contains("`batch` at least 2"));
    assert!(wrong("lr", 0.0.into()).contains("above 0"));
    assert!(wrong("batch", 41.into()).contains("40 pictures of synthetic/train"));
    assert!(wrong("target", "empty".into()).contains("has no picture of `empty`"));
    assert!(wrong("weight", (-1.0).into()).contains("`weight` is at least 0"));
}
