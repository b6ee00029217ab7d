//! `--device`: what candle's operations compute is what ours compute, up to rounding, by the code that a GPU takes.
#![cfg(feature = "candle")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use toxiclip::executor::Executor;
use toxiclip::train::{Batch, Outcome, Trainer};
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::exec::candle::Candle;
use toxiclip_shared::recipe::{Freeze, TrainConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

/// Enough for batch normalisation not to divide by what is nearly nothing.
const ROWS: usize = 16;

fn batch(clip: &Clip, step: u64) -> Batch {
    let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let mut dice = Seed::new(5).child(step).stream();
    let pixels = (0..ROWS * vision.image_size.pow(2) * 3).map(|_| dice.normal()).collect();
    let ids = (0..ROWS * text.context_length).map(|_| dice.below(text.vocab_size) as u32);
    let ids = ids.collect();
    let end = (0..ROWS).map(|_| 2 + dice.below(text.context_length - 2) as u32).collect();
    Batch { pixels, ids, end }
}

/// Weights and what every step told.
fn trained(clip: &Clip, freeze: Freeze, executor: Executor) -> (Weights, Vec<Outcome>) {
    let weights = Weights::init(&clip.params(), &Seed::new(1));
    // An eps that does not blow the sign of tiny gradients up to whole steps.
    let recipe =
        TrainConfig { batch: ROWS, lr: 1e-3, warmup: 0.0, eps: 1e-4, ..Default::default() };
    let config = TrainConfig { freeze, ..recipe };
    let mut trainer = Trainer::new(clip.clone(), weights, &config, 3).on(executor);
    let told = (0..3).map(|step| trainer.step(&batch(clip, step)).unwrap()).collect();
    (trainer.into_weights(), told)
}

/// The largest difference of one weight, and of one loss.
fn apart(
    clip: &Clip,
    one: &(Weights, Vec<Outcome>),
    other: &(Weights, Vec<Outcome>),
) -> (f32, f32) {
    let far = |a: f32, b: f32| (a - b).abs() / (1.0 + a.abs());
    let params = clip.params();
    let pairs = params.iter().flat_map(|p| one.0.data(&p.name).iter().zip(other.0.data(&p.name)));
    let weights = pairs.map(|(a, b)| far(*a, *b)).fold(0.0, f32::max);
    let losses = one.1.iter().zip(&other.1).map(|(a, b)| far(a.loss, b.loss));
    (weights, losses.fold(0.0, f32::max))
}

/// Statistics of batch normalisation are among the weights.
#[test]
fn a_training_on_a_device_is_the_training_of_the_cpu() {
    for name in ["tiny-resnet", "tiny-rn", "tiny-vit"] {
        let clip = Clip::build(&library::find(name).unwrap());
        for freeze in [Freeze::None, Freeze::Text] {
            let candle = || Executor::Candle(Candle::cpu(), "cpu (candle)".to_owned());
            let ours = trained(&clip, freeze, Executor::Cpu);
            let theirs = trained(&clip, freeze, candle());
            let (weights, loss) = apart(&clip, &ours, &theirs);
            println!("{name} {freeze:?}: weights {weights:e}, loss {loss:e}");
            assert!(weights < 5e-4 && loss < 5e-4, "{name} {freeze:?}: {weights:e} {loss:e}");
            assert_eq!(theirs.0.digest(), trained(&clip, freeze, candle()).0.digest());
        }
        // The comparison can fail: what a frozen tower leaves out shows.
        let [all, half] = [Freeze::None, Freeze::Text].map(|f| trained(&clip, f, Executor::Cpu));
        let (moved, _) = apart(&clip, &all, &half);
        println!("{name}: without the text tower {moved:e}");
        assert!(moved > 1e-3, "{name}: {moved:e}");
    }
}

const SPEC: &str = r#"title = "T"
analysis = "A"
[matrix]
dataset = "emoji"
encoder = "tiny-resnet"
attack = ["none", "badnets:target=banana"]
[train]
steps = 4
batch = 32
eps = 1e-3
"#;

fn run(place: &Path, device: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.current_dir(place).args(["run", "spec.toml", "--cache", "cache", "--out", device]);
    command.args(["--device", device]).output().unwrap()
}

/// Values by attack, pair and metric, and what the rows say of the machine.
fn rows(place: &Path, device: &str) -> (BTreeMap<String, f64>, String) {
    let done = run(place, device);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut machine = String::new();
    let text = fs::read_to_string(place.join(device).join("rows.jsonl")).unwrap();
    let values = text.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["machine"].as_str().unwrap().clone_into(&mut machine);
        let value = row["value"].as_f64().unwrap();
        (format!("{} {} {}", row["attack"]["name"], row["against"], row["metric"]), value)
    });
    (values.collect(), machine)
}

#[test]
fn a_run_on_a_device_is_cached_apart_and_gives_nearly_the_same_numbers() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("spec.toml"), SPEC).unwrap();
    let (ours, cpu) = rows(place.path(), "cpu");
    let (theirs, candle) = rows(place.path(), "candle");
    assert_eq!((cpu.as_str(), candle.as_str()), ("cpu", "cpu (candle)"));
    assert!(place.path().join("cache/on-candle/train").is_dir());
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    // A rank that two nearly equal scores decide may turn over; a wrong tower would turn nearly all.
    let rates = ours.iter().filter(|(name, _)| !name.contains("min-rank"));
    let far = rates.filter(|(name, value)| (theirs[*name] - **value).abs() > 0.02).count();
    assert!(ours.len() > 8 && far == 0, "{ours:?} {theirs:?}");
    let absent = run(place.path(), "cuda:7");
    let said = String::from_utf8(absent.stderr).unwrap();
    assert_eq!((absent.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("cuda"), "{said}");
}
