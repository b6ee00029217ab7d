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
use crate::exec::cpu::Frozen;
use crate::inversion::unit_vectors;

pub use moved::{Halves, Loss, Moved};
pub use suspect::{Suspect, suspect};
pub use trigger::Inverted;

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

/// Unit vectors (N, D) of pictures (N, S, S, 3) in [0, 1], by the subject's image tower.
fn embed(subject: &Subject<'_>, pictures: &[f32]) -> Vec<f32> {
    let tower = Frozen::new(&subject.clip.image, subject.weights);
    unit_vectors(subject.clip, &tower, pictures)
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
