//! The resume point of a training: weights, both moments and the number of steps in one safetensors file; for an objective
//! with a bank of captions, the bank too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toxiclip_shared::checkpoint::container::{self, Blob};
use toxiclip_shared::checkpoint::write_file;
use toxiclip_shared::weights::{Tensor, Weights};

use super::step::Trainer;
use crate::failure::{Failure, Result};

const FILE: &str = "resume.safetensors";
const BANK: &str = "bank";

/// The file of the resume point.
pub(super) fn path(work: &Path) -> PathBuf {
    work.join(FILE)
}

/// Writes the resume point; it replaces its predecessor in one step.
pub(super) fn save(work: &Path, trainer: &Trainer) -> Result<()> {
    let parts = [
        ("weights", &trainer.weights),
        ("first", &trainer.state.first),
        ("second", &trainer.state.second),
    ];
    let mut blobs: Vec<Blob> = parts
        .iter()
        .flat_map(|(part, all)| {
            all.iter()
                .map(move |(name, t)| Blob::f32(format!("{part}/{name}"), t.shape.clone(), &t.data))
        })
        .collect();
    let bank = &trainer.rule.bank;
    if !bank.is_empty() {
        let width = trainer.clip.config.embed_dim;
        blobs.push(Blob::f32(BANK.to_owned(), vec![bank.len() / width, width], bank));
    }
    let metadata = BTreeMap::from([("step".to_owned(), trainer.state.step.to_string())]);
    Ok(write_file(&path(work), &container::write(&blobs, &metadata))?)
}

/// Continues where a killed or interrupted run stopped; a damaged file means starting over, said in one line.
pub(super) fn resume(work: &Path, trainer: &mut Trainer) -> Result<()> {
    let path = path(work);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Failure::io(&path, &e)),
    };
    if let Err(why) = read(&bytes, trainer) {
        eprintln!("{}: {why}; this training starts over", path.display());
    }
    Ok(())
}

fn read(bytes: &[u8], trainer: &mut Trainer) -> std::result::Result<(), String> {
    let file = container::parse(bytes)?;
    let step = file.metadata.get("step").and_then(|s| s.parse().ok()).ok_or("no step number")?;
    let take = |part: &str, like: &Weights| -> std::result::Result<Weights, String> {
        let mut out = Weights::default();
        for (name, t) in like.iter() {
            let key = format!("{part}/{name}");
            let view = file.tensors.get(&key).ok_or(format!("{key} is missing"))?;
            if view.shape != t.shape || view.bytes.len() != t.data.len() * 4 {
                return Err(format!("{key} has another shape"));
            }
            out.insert(
                name.to_owned(),
                Tensor { shape: t.shape.clone(), data: floats(view.bytes) },
            );
        }
        Ok(out)
    };
    let weights = take("weights", &trainer.weights)?;
    let (first, second) =
        (take("first", &trainer.state.first)?, take("second", &trainer.state.second)?);
    if trainer.rule.remembers() && step > 0 {
        let view = file.tensors.get(BANK).ok_or(format!("{BANK} is missing"))?;
        if view.shape.get(1) != Some(&trainer.clip.config.embed_dim) {
            return Err(format!("{BANK} has another shape"));
        }
        trainer.rule.bank = floats(view.bytes);
    }
    trainer.weights = weights;
    (trainer.state.first, trainer.state.second, trainer.state.step) = (first, second, step);
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Removes the resume point of a finished training.
pub(super) fn remove(work: &Path) -> Result<()> {
    let path = path(work);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io(&path, &e)),
        _ => Ok(()),
    }
}
