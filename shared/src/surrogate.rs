//! The encoder that an attacker has: public, clean, only read from. An attack that needs one is drawn in two parts: what
//! depends on data and seed alone, then a search through the encoder. So is one that trains a network of its own.

use crate::Result;
use crate::attacks::Armed;
use crate::data::Dataset;
use crate::encoders::{Clip, LOGIT_SCALE};
use crate::image::Image;
use crate::seed::Seed;
use crate::weights::Weights;

/// The second part of an attack that needs an encoder.
pub trait Guided {
    /// Begins the search that completes `drawn`, the first part. `clean` is what the victim would train on. Same
    /// arguments, same result.
    ///
    /// # Errors
    /// If a picture cannot be read, or what is learned does not fit the encoder's input.
    fn search<'a>(
        &self,
        drawn: Armed,
        clean: &dyn Dataset,
        surrogate: Surrogate<'a>,
        seed: &Seed,
    ) -> Result<Box<dyn Search + 'a>>;
}

/// The second part of an attack that trains a network of its own, and looks through no encoder.
pub trait Trained {
    /// Begins the training that completes `drawn`, the first part. `clean` is what the victim would train on. Same
    /// arguments, same result.
    ///
    /// # Errors
    /// If a picture cannot be read.
    fn training(&self, drawn: Armed, clean: &dyn Dataset, seed: &Seed) -> Result<Box<dyn Search>>;
}

/// The second part of an attack, without which what is drawn is only half of it.
pub enum Completion<'a> {
    /// A search through the encoder that victims start from.
    Guided(&'a dyn Guided),
    /// The training of a network of the attacker's own.
    Trained(&'a dyn Trained),
}

/// A search or a training, step by step, so that whoever runs it can show and stop it.
pub trait Search {
    /// Steps in all, at least 1.
    fn steps(&self) -> u64;

    /// Makes the next step; returns the loss before it.
    ///
    /// # Errors
    /// If the loss is not finite.
    fn step(&mut self) -> Result<f32>;

    /// The completed attack, after the last step.
    fn finish(self: Box<Self>) -> Armed;
}

/// A search that one look through the encoder has ended.
pub(crate) struct Found {
    /// The completed attack.
    pub armed: Armed,
    /// What stands for its loss.
    pub loss: f32,
}

impl Search for Found {
    fn steps(&self) -> u64 {
        1
    }

    fn step(&mut self) -> Result<f32> {
        Ok(self.loss)
    }

    fn finish(self: Box<Self>) -> Armed {
        self.armed
    }
}

/// An encoder that is only read from.
#[derive(Clone, Copy)]
pub struct Surrogate<'a> {
    /// Both towers.
    pub clip: &'a Clip,
    /// Their weights.
    pub weights: &'a Weights,
    /// Unit vectors of texts, (N, D).
    pub texts: &'a dyn Fn(&[String]) -> Result<Vec<f32>>,
    /// Unit vectors of opaque pictures of its size, (N, D).
    pub pictures: &'a dyn Fn(&[Image]) -> Result<Vec<f32>>,
}

impl Surrogate<'_> {
    /// Edge of the pictures it takes.
    pub fn edge(&self) -> usize {
        self.clip.config.vision_cfg.image_size
    }

    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.clip.config.embed_dim
    }

    /// Logarithm of its temperature's inverse.
    pub fn logit_scale(&self) -> f32 {
        self.weights.data(LOGIT_SCALE)[0]
    }
}
