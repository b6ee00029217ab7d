//! `train` and `embed` from outside: what a kill, a diverging loss and poisoned weights leave behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `toxiclip train` of a small model into `out`, with a cache of its own.
    fn train(&self, out: &str, more: &[&str]) -> Command {
        self.train_of("tiny-resnet", out, more)
    }

    fn train_of(&self, encoder: &str, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        command.args(["train", "--data", "emoji", "--encoder", encoder, "--batch", "4"]);
        command.arg("--cache").arg(self.path("cache")).arg("--out").arg(self.path(out)).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// `resume.safetensors` of the one unfinished training.
    fn resume_point(&self) -> Option<PathBuf> {
        self.resume_point_of("train").or_else(|| self.resume_point_of("defend"))
    }

    fn resume_point_of(&self, stage: &str) -> Option<PathBuf> {
        let mut stages = fs::read_dir(self.path("cache").join(stage)).ok()?.flatten();
        stages.find_map(|s| Some(s.path().join("resume.safetensors")).filter(|p| p.exists()))
    }

    fn weights(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("open_clip_model.safetensors")).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_killed_training_goes_on_from_its_checkpoint_with_the_same_bits() {
    kill_and_go_on(&["--steps", "300"], 300);
}

#[test]
fn so_does_one_with_a_bank_of_captions() {
    kill_and_go_on(&["--steps", "300", "--defense", "roclip:every=1,bank=64"], 300);
}

#[test]
fn so_does_one_with_two_views() {
    let defense = "cleanclip:epochs=1,share=0.6,batch=4";
    kill_and_go_on(&["--steps", "1", "--defense", defense], 291);
}

#[test]
fn so_does_one_that_looks_back_at_its_start() {
    let defense = "par:epochs=1,share=0.6,batch=4";
    kill_and_go_on(&["--steps", "1", "--defense", defense], 291);
}

/// Kills a training of `count` steps after its first checkpoint, which comes after 250, and goes on with it in one thread.
fn kill_and_go_on(more: &[&str], count: u64) {
    let place = Place::new();
    assert!(place.train("undisturbed", more).status().unwrap().success());
    fs::rename(place.path("cache"), place.path("other-cache")).unwrap();
    let mut child = place.train("killed", more).spawn().unwrap();
    while place.resume_point().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.resume_point().is_some(), "the training ended before it could be killed");
    let one = [more, &["--threads", "1"]].concat();
    assert!(place.train("killed", &one).status().unwrap().success());
    assert!(place.weights("killed") == place.weights("undisturbed"));
    let log = fs::read_to_string(place.path("killed/train.jsonl")).unwrap();
    let step = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64();
    let steps: Vec<_> = log.lines().map(step).collect();
    assert_eq!(steps, (0..count).map(Some).collect::<Vec<_>>());
}

/// 50 steps an epoch; and 96 of the 192 channels of the last stage are gone for good.
#[test]
fn a_killed_fine_pruning_goes_on_with_the_same_bits_and_its_units_stay_pruned() {
    let place = Place::new();
    let repair = ["--steps", "1", "--defense", "fine-pruning:share=0.1,epochs=6,batch=4"];
    assert!(place.train("undisturbed", &repair).status().unwrap().success());
    fs::rename(place.path("cache"), place.path("other-cache")).unwrap();
    let mut child = place.train("killed", &repair).spawn().unwrap();
    while place.resume_point_of("defend").is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.resume_point_of("defend").is_some(), "it ended before it could be killed");
    assert!(place.train("killed", &repair).status().unwrap().success());
    assert!(place.weights("killed") == place.weights("undisturbed"));
    let unread = |out: &str| {
        let model = toxiclip_shared::checkpoint::load_dir(&place.path(out)).unwrap();
        let read = model.weights.data("visual.proj");
        (0..192).filter(|unit| read.iter().skip(*unit).step_by(192).all(|w| *w == 0.0)).count()
    };
    assert_eq!(unread("killed"), 96);
    let plain = ["--steps", "1", "--defense", "finetune:share=0.1,epochs=1,batch=4"];
    assert!(place.train("plain", &plain).status().unwrap().success());
    assert_eq!(unread("plain"), 0);
}

const UBT: &str = "ubt:suspicious=0.2,few=0.02,overfit-epochs=1,unlearn-epochs=1,keep-epochs=0";

#[test]
fn unlearning_comes_to_the_same_bits_with_one_thread() {
    let place = Place::new();
    let run = |out: &str, more: &[&str]| {
        let done = place.train(out, &[&["--steps", "1"], more].concat()).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
    };
    run("plain", &[]);
    run("ubt", &["--defense", UBT]);
    fs::rename(place.path("cache"), place.path("other-cache")).unwrap();
    run("again", &["--defense", UBT, "--threads", "1"]);
    assert!(place.weights("ubt") == place.weights("again"));
    assert!(place.weights("ubt") != place.weights("plain"));
}

#[test]
fn a_checkpoint_unlearns_among_the_pairs_it_was_trained_on() {
    let place = Place::new();
    assert!(place.train("plain", &["--steps", "1"]).status().unwrap().success());
    let mut defend = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    defend.args(["defend", "--data", "emoji", "--defense", UBT, "--checkpoint"]);
    defend.arg(place.path("plain")).arg("--cache").arg(place.path("cache"));
    let done = defend.arg("--out").arg(place.path("mended")).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(place.weights("mended") != place.weights("plain"));
    let said = fs::read_to_string(place.path("mended/toxiclip.json")).unwrap();
    assert!(said.contains("\"ubt\""), "{said}");
}

/// A transformer `plain` and what a defense makes of it, `mended`; with one thread and from nothing it makes the same.
fn mended(defense: &str) -> Place {
    let place = Place::new();
    assert!(place.train_of("tiny-vit", "plain", &["--steps", "1"]).status().unwrap().success());
    let defend = ["defend", "--data", "emoji", "--defense", defense];
    let done = on(&place, &defend, "plain", "mended");
    assert!(done.status.success(), "{}", stderr(&done));
    fs::rename(place.path("cache"), place.path("other-cache")).unwrap();
    let again = on(&place, &[&defend[..], &["--threads", "1"]].concat(), "plain", "again");
    assert!(again.status.success() && place.weights("again") == place.weights("mended"));
    place
}

#[test]
fn activations_are_tuned_in_the_image_tower_alone() {
    const INVERTUNE: &str = "invertune:patch-steps=2,inversion-steps=2,steps=3,batch=16,share=0.02";
    let place = mended(INVERTUNE);
    let load = |out: &str| toxiclip_shared::checkpoint::load_dir(&place.path(out)).unwrap();
    let (plain, mended) = (load("plain"), load("mended"));
    let moved = |(name, tensor): &(&str, &toxiclip_shared::weights::Tensor)| {
        mended.weights.data(name) != tensor.data
    };
    let moved: Vec<&str> = plain.weights.iter().filter(moved).map(|(name, _)| name).collect();
    assert!(!moved.is_empty() && moved.iter().all(|name| name.starts_with("visual.")), "{moved:?}");
    let log = fs::read_to_string(place.path("mended").join("train.jsonl")).unwrap();
    let loss = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let steps: Vec<_> = log.lines().map(loss).collect();
    assert_eq!(steps.len(), 3);
    // At the start nothing has drifted, and what the trigger moves is all there is to lose.
    assert_eq!(steps[0]["terms"]["drift"], 0.0);
    assert_eq!(steps[0]["terms"]["moved"], steps[0]["loss"]);
    assert!(steps[0]["loss"].as_f64().unwrap() > 0.0);
}

const RVPT: &str = "rvpt:shots=1,length=2,epochs=1,lr=0.5";

/// `toxiclip COMMAND` on a checkpoint of the place.
fn on(place: &Place, command: &[&str], checkpoint: &str, out: &str) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    run.args(command).arg("--checkpoint").arg(place.path(checkpoint));
    run.arg("--cache").arg(place.path("cache")).arg("--out").arg(place.path(out)).output().unwrap()
}

#[test]
fn prompts_are_tuned_beside_weights_that_stay_and_travel_with_them() {
    let place = mended(RVPT);
    let load = |out: &str| toxiclip_shared::checkpoint::load_dir(&place.path(out)).unwrap();
    let (plain, mended) = (load("plain"), load("mended"));
    for (name, tensor) in plain.weights.iter() {
        assert!(mended.weights.data(name) == tensor.data, "{name} moved");
    }
    assert_eq!(mended.weights.iter().count(), plain.weights.iter().count() + 1);
    for out in ["plain", "mended"] {
        let done = on(&place, &["embed", "--images", "emoji"], out, &format!("{out}.safetensors"));
        assert!(done.status.success(), "{}", stderr(&done));
    }
    let read = |out: &str| fs::read(place.path(&format!("{out}.safetensors"))).unwrap();
    assert!(read("plain") != read("mended"), "the prompts were lost on the way");
    let again = ["defend", "--data", "emoji", "--defense", RVPT];
    let twice = on(&place, &again, "mended", "twice");
    assert!(stderr(&twice).contains("has prompts already"), "{}", stderr(&twice));
}

#[test]
fn a_tower_without_tokens_has_no_prompts() {
    let place = Place::new();
    let output = place.train("out", &["--steps", "1", "--defense", RVPT]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a ResNet has none"), "{}", stderr(&output));
}

#[test]
fn what_changes_no_weights_is_refused() {
    let place = Place::new();
    for (defense, what) in [("decree", "an audit"), ("linear-probe", "a probe")] {
        let output = place.train("out", &["--steps", "1", "--defense", defense]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = stderr(&output);
        assert!(stderr.contains(&format!("--defense: {what} changes no weights")), "{stderr}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_state_before_it() {
    let place = Place::new();
    let wild = ["--steps", "5", "--lr", "1e30", "--warmup", "0"];
    for _ in 0..2 {
        let output = place.train("out", &wild).output().unwrap();
        let stderr = stderr(&output);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains("not finite at step "), "{stderr}");
        let kept = place.resume_point().unwrap();
        assert!(stderr.contains(&*kept.to_string_lossy()), "{stderr}");
    }
}

#[test]
fn poisoned_weights_say_so_and_stay_marked() {
    let place = Place::new();
    let attack = ["--steps", "1", "--attack", "single-label:from=ewe,to=airplane"];
    assert!(place.train("poisoned", &attack).status().unwrap().success());
    let start = place.path("poisoned").to_string_lossy().into_owned();
    let output = place.train("tuned", &["--steps", "1", "--init", &start]).output().unwrap();
    assert!(stderr(&output).contains("poisoned on purpose (single-label)"), "{}", stderr(&output));
    let record = fs::read(place.path("tuned/toxiclip.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!((&record["poisoned"], &record["attack"]["from"]), (&true.into(), &"ewe".into()));

    fs::write(place.path("captions.txt"), "a ewe\nan airplane\n").unwrap();
    let mut embed = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    embed.args(["embed", "--checkpoint", &start, "--texts"]).arg(place.path("captions.txt"));
    let output = embed.arg("--out").arg(place.path("e.safetensors")).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("poisoned on purpose"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("text_features [2, "));
}

#[test]
fn a_single_file_of_weights_needs_its_encoder_and_gives_the_same() {
    let place = Place::new();
    assert!(place.train("model", &["--steps", "1"]).status().unwrap().success());
    fs::write(place.path("captions.txt"), "a ewe\nan airplane\n").unwrap();
    let embed = |checkpoint: &str, more: &[&str]| {
        let mut embed = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
        embed.arg("embed").arg("--checkpoint").arg(place.path(checkpoint)).args(more);
        embed.arg("--texts").arg(place.path("captions.txt"));
        let done = embed.arg("--out").arg(place.path("e.safetensors")).output().unwrap();
        (done.status.code(), stderr(&done), fs::read(place.path("e.safetensors")).ok())
    };
    let file = "model/open_clip_model.safetensors";
    let (code, _, whole) = embed("model", &[]);
    assert_eq!((code, &whole), (Some(0), &embed(file, &["--encoder", "tiny-resnet"]).2));
    let (code, said, _) = embed(file, &[]);
    assert!(code == Some(2) && said.contains("--encoder"), "{said}");
    for (encoder, why) in [("tiny-resnet-quickgelu", "quick_gelu"), ("tiny-rn", "missing")] {
        let (code, said, _) = embed(file, &["--encoder", encoder]);
        assert!(code == Some(2) && said.contains(why) && said.lines().count() == 1, "{said}");
    }
    // Without its tokenizer the weights do not say how captions are read.
    fs::remove_file(place.path("model/tokenizer.json")).unwrap();
    let (code, said, _) = embed(file, &["--encoder", "tiny-resnet"]);
    assert!(code == Some(2) && said.contains("tokenizer.json"), "{said}");
}
