//! Inversion of a trigger and tuning of the activations that it moves, as InverTune does it (Sun et al. 2025).
//!
//! 1. [`suspect`]: a universal adversarial patch, which needs to know no class, is pasted on clean pictures; the class that
//!    gains most is the one that the model was taught to see.
//! 2. [`Inverted::search`]: mask and pattern that bring clean pictures there, close to what they were.
//! 3. [`Moved`]: the layers, and in them the activations, that this trigger moves most; they are tuned back to what the same
//!    pictures give without it, while embeddings of clean pictures stay.
//!
//! Nothing of an attack is known to any of them, and pictures need neither labels nor captions.

mod moved;
mod suspect;
mod trigger;

use serde::{Deserialize, Serialize};

use crate::audit::Subject;
use crate::exec::cpu::{Arena, forward, params_of};
use crate::exec::{Inputs, Mode};
use crate::image::OPENAI;

pub use moved::{Halves, Loss, Moved};
pub use suspect::{Suspect, suspect};
pub use trigger::Inverted;

/// Pictures of one walk without gradients; no result depends on it.
const WALK: usize = 128;

/// A tuning, as plain data beside its recipe, whose batch is the one set of pictures that it tunes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationTuning {
    /// Prompt of a class, with `{}` for its name.
    pub template: String,
    /// Search for the universal patch.
    pub patch: Course,
    /// Search for the trigger.
    pub inversion: Course,
    /// How many layers are tuned: those that the trigger moves most.
    pub layers: usize,
    /// Weight of the distance of clean embeddings from where they were.
    pub weight: f64,
}

/// A search by Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Course {
    /// Steps, a batch each.
    pub steps: usize,
    /// Learning rate, for values in [0, 1].
    pub lr: f64,
}

/// Embeddings of a subject's pictures or of others of that size (N, S, S, 3) in [0, 1], unit vectors (N, D).
fn embed(subject: &Subject<'_>, pictures: &[f32]) -> Vec<f32> {
    let graph = &subject.clip.image;
    let params = params_of(graph, subject.weights);
    let each = subject.clip.config.vision_cfg.image_size.pow(2) * 3;
    let mut arena = Arena::default();
    let mut all = Vec::new();
    for part in pictures.chunks(WALK * each) {
        let pixels = normalized(part);
        let mode = Mode::TrainFrozenStatistics;
        let pass = forward(graph, &params, Inputs::Pixels(&pixels), mode, &mut arena);
        all.extend_from_slice(pass.embeddings());
        pass.recycle(&mut arena);
    }
    crate::exec::cpu::contrastive::normalize(&all, subject.clip.config.embed_dim).0
}

/// Pixels as the tower takes them.
pub fn normalized(pictures: &[f32]) -> Vec<f32> {
    let channel = |(i, x): (usize, &f32)| (x - OPENAI.mean[i % 3]) / OPENAI.std[i % 3];
    pictures.iter().enumerate().map(channel).collect()
}

/// The class of each picture, (N): the nearest prompt, the first of equals.
fn classify(subject: &Subject<'_>, pictures: &[f32]) -> Vec<usize> {
    let width = subject.clip.config.embed_dim;
    let nearest = |u: &[f32]| {
        let cosine = |c: &[f32]| c.iter().zip(u).map(|(a, b)| a * b).sum::<f32>();
        let all = subject.classes.chunks_exact(width).map(cosine).enumerate();
        all.fold((0, f32::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best }).0
    };
    embed(subject, pictures).chunks_exact(width).map(nearest).collect()
}
