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

fn start(clip: &Clip) -> Weights {
    Weights::init(&clip.params(), &Seed::new(1))
}

/// Weights after three steps, and what every step told.
fn trained(clip: &Clip, freeze: Freeze, executor: Executor) -> (Weights, Vec<Outcome>) {
    // An eps that does not blow the rounding of tiny gradients up to whole steps.
    let recipe =
        TrainConfig { batch: ROWS, lr: 1e-3, warmup: 0.0, eps: 1e-3, ..Default::default() };
    let config = TrainConfig { freeze, ..recipe };
    let mut trainer = Trainer::new(clip.clone(), start(clip), &config, 3).on(executor);
    let told = (0..3).map(|step| trainer.step(&batch(clip, step)).unwrap()).collect();
    (trainer.into_weights(), told)
}

/// How far two trainings ended from one another, as a share of the way that the first went: what was trained, and the
/// statistics of batch normalisation, where there are any.
fn apart(clip: &Clip, one: &Weights, other: &Weights) -> [f64; 2] {
    let start = start(clip);
    [true, false].map(|trains| {
        let (mut between, mut gone) = (0.0, f64::MIN_POSITIVE);
        for spec in clip.params().iter().filter(|spec| spec.trained() == trains) {
            let [a, b, from] = [one, other, &start].map(|weights| weights.data(&spec.name));
            for ((a, b), from) in a.iter().zip(b).zip(from) {
                between += f64::from(a - b).powi(2);
                gone += f64::from(a - from).powi(2);
            }
        }
        (between / gone).sqrt()
    })
}

#[test]
fn a_training_on_a_device_is_the_training_of_the_cpu() {
    for name in ["tiny-resnet", "tiny-rn", "tiny-vit"] {
        let clip = Clip::build(&library::find(name).unwrap());
        for freeze in [Freeze::None, Freeze::Text] {
            let candle = || Executor::Candle(Candle::cpu(), "cpu (candle)".to_owned());
            let (ours, told) = trained(&clip, freeze, Executor::Cpu);
            let (theirs, heard) = trained(&clip, freeze, candle());
            let far = apart(&clip, &ours, &theirs);
            println!("{name} {freeze:?}: {far:?}");
            assert!(far.iter().all(|far| *far < 0.01), "{name} {freeze:?}: {far:?}");
            for (told, heard) in told.iter().zip(&heard) {
                assert!((told.loss - heard.loss).abs() < 1e-3 * told.loss, "{told:?} {heard:?}");
            }
            if name == "tiny-resnet" {
                assert_eq!(theirs.digest(), trained(&clip, freeze, candle()).0.digest());
            }
        }
        // The comparison can fail: a tower that was left out shows.
        let [all, half] = [Freeze::None, Freeze::Text].map(|f| trained(&clip, f, Executor::Cpu).0);
        let [far, _] = apart(&clip, &all, &half);
        assert!(far > 0.1, "{name}: {far}");
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
