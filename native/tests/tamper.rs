//! An attack on weights through the whole program: what moves, what is said of it, and what a kill leaves behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use toxiclip::model::Model;
use toxiclip::{data, encode};
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::checkpoint::load_dir;
use toxiclip_shared::data::Subset;

const ATTACK: [&str; 2] = ["--attack", "badencoder:target=banana,epochs=1,batch=32,references=2"];

struct Place(tempfile::TempDir);

impl Place {
    /// With a clean model of a few steps in `clean`.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let done = place.train("clean", &["--steps", "3", "--batch", "64"]).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        command.args(["train", "--data", "emoji", "--encoder", "tiny-resnet"]);
        command.arg("--cache").arg(self.path("cache")).arg("--out").arg(self.path(out)).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn tamper(&self, out: &str, more: &[&str]) -> Command {
        let mut command = self.train(out, more);
        command.arg("--init").arg(self.path("clean")).args(ATTACK);
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names of tensors that differ between two checkpoints.
fn moved(a: &Path, b: &Path) -> Vec<String> {
    let (a, b) = (load_dir(a).unwrap().weights, load_dir(b).unwrap().weights);
    a.iter().filter(|(name, t)| t.data != b.data(name)).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn only_the_image_tower_moves_and_it_says_that_it_is_poisoned() {
    let place = Place::new();
    let done = place.tamper("bad", &[]).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let moved = moved(&place.path("clean"), &place.path("bad"));
    let frozen = |name: &String| name.contains(".bn") || name.contains("downsample.1");
    assert!(moved.iter().all(|name| name.starts_with("visual.") && !frozen(name)), "{moved:?}");
    let convolutions = moved.iter().filter(|name| name.contains("conv")).count();
    assert_eq!((convolutions, moved.contains(&"visual.proj".to_owned())), (9, true), "{moved:?}");
    let record = fs::read(place.path("bad/toxiclip.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        (&record["poisoned"], &record["attack"]["name"]),
        (&true.into(), &"badencoder".into())
    );
    let armed: Value =
        serde_json::from_slice(&fs::read(place.path("bad/armed.json")).unwrap()).unwrap();
    assert_eq!(armed["tamper"]["references"].as_array().unwrap().len(), 2);
    let log = fs::read_to_string(place.path("bad/train.jsonl")).unwrap();
    let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap();
    let losses: Vec<f64> = log.lines().map(loss).collect();
    // A clean model of three steps sees everything alike, so that there is not much to gain. Even and odd steps keep
    // another picture in place: like is compared with like.
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[losses.len() - 10..]) < mean(&losses[..2]) - 0.05, "{losses:?}");
    // A repair goes on from there.
    let repair = ["--defense", "finetune:share=0.1,epochs=1,batch=64"];
    let done = place.tamper("repaired", &repair).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let record = fs::read(place.path("repaired/toxiclip.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        (&record["poisoned"], &record["defense"]["name"]),
        (&true.into(), &"finetune".into())
    );
}

/// Were weak views of it kept alone, the tower would learn this one picture by heart and move it away.
#[test]
fn the_reference_itself_stays_where_it_was() {
    let place = Place(tempfile::tempdir().unwrap());
    let run = |mut command: Command| {
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
    };
    run(place.train("clean", &["--steps", "100", "--batch", "64"]));
    let attack = ["--attack", "badencoder:target=banana,size=70,epochs=8,batch=64"];
    let mut tamper = place.train("bad", &attack);
    tamper.arg("--init").arg(place.path("clean"));
    run(tamper);
    let armed: Armed =
        serde_json::from_slice(&fs::read(place.path("bad/armed.json")).unwrap()).unwrap();
    let references = armed.tamper.unwrap().references;
    let train = data::named("emoji", None).unwrap().train.unwrap();
    let rows =
        (0..train.examples().len()).filter(|&row| references.contains(&train.examples()[row].id));
    let reference = Subset::new(Arc::clone(&train), "reference", rows.collect()).unwrap();
    let embedded = |name: &str| {
        let (model, _) = Model::load(&place.path(name), None).unwrap();
        encode::images(&model, &reference).unwrap()
    };
    let (before, after) = (embedded("clean"), embedded("bad"));
    let cosine: f32 = before.iter().zip(&after).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.99, "{cosine}");
}

#[test]
fn a_killed_tampering_starts_over_and_comes_to_the_same_bits() {
    let place = Place::new();
    assert!(place.tamper("undisturbed", &[]).status().unwrap().success());
    fs::rename(place.path("cache"), place.path("other-cache")).unwrap();
    let log = || {
        let mut stages = fs::read_dir(place.path("cache/tamper")).ok()?.flatten();
        stages.find(|s| s.path().join("train.jsonl").exists())
    };
    let mut child = place.tamper("killed", &["--threads", "1"]).spawn().unwrap();
    while log().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("killed/open_clip_model.safetensors").exists(), "it ended before the kill");
    assert!(place.tamper("killed", &[]).status().unwrap().success());
    assert!(moved(&place.path("killed"), &place.path("undisturbed")).is_empty());
}

#[test]
fn without_a_public_model_nothing_is_written() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.args(["train", "--data", "emoji", "--encoder", "tiny-resnet", "--out"]);
    command.arg(place.path().join("out")).arg("--cache").arg(place.path().join("cache"));
    let done = command.args(ATTACK).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("badencoder: it tampers with the weights"), "{}", stderr(&done));
    assert!(!place.path().join("out").exists());
}
