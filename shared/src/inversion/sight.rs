//! From a loss on embeddings to a gradient of pixels.

use crate::encoders::Clip;
use crate::exec::cpu::{Arena, Frozen, backward, contrastive, forward, params_of};
use crate::exec::{Inputs, Mode};
use crate::image::{Normalize, OPENAI};
use crate::weights::Weights;

/// Pictures of one walk without gradients; no result depends on it.
const WALK: usize = 128;

/// Unit vectors (N, D) of pictures of any values (N, S, S, 3) in [0, 1], by the packed image tower of `clip`.
pub fn unit_vectors(clip: &Clip, tower: &Frozen<'_>, pictures: &[f32]) -> Vec<f32> {
    let (each, width) = (clip.config.vision_cfg.image_size.pow(2) * 3, clip.config.embed_dim);
    let mut arena = Arena::default();
    let mut out = Vec::with_capacity(pictures.len() / each * width);
    for part in pictures.chunks(WALK * each) {
        let raw = tower.embed(Inputs::Pixels(&OPENAI.pixels(part)), &mut arena);
        out.extend(contrastive::normalize(&raw, width).0);
        arena.give(raw);
    }
    out
}

/// An image tower whose weights and statistics stay, looked at through its pixels. Buffers are kept from call to call.
pub struct Sight<'a> {
    clip: &'a Clip,
    params: Vec<&'a [f32]>,
    normalize: Normalize,
    arena: Arena,
}

impl<'a> Sight<'a> {
    /// The image tower of `clip`; pictures are normalised by `normalize`.
    pub fn new(clip: &'a Clip, weights: &'a Weights, normalize: Normalize) -> Self {
        Self { clip, params: params_of(&clip.image, weights), normalize, arena: Arena::default() }
    }

    /// Edge of the pictures that the tower reads.
    pub fn edge(&self) -> usize {
        self.clip.config.vision_cfg.image_size
    }

    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.clip.config.embed_dim
    }

    /// Embeds `pictures`, (B, S, S, 3) in [0, 1], and walks back from what `loss` makes of the embeddings (B, D), which
    /// are not normalised: its value, and its gradient with respect to them. Gives the value and the pictures' gradient.
    ///
    /// # Panics
    /// If a picture has another size.
    pub fn gradient<T>(
        &mut self,
        pictures: &[f32],
        loss: impl FnOnce(&[f32]) -> (T, Vec<f32>),
    ) -> (T, Vec<f32>) {
        let Self { clip, params, normalize, arena } = self;
        let pixels = normalize.pixels(pictures);
        let mode = Mode::TrainFrozenStatistics;
        let pass = forward(&clip.image, params, Inputs::Pixels(&pixels), mode, arena);
        let (value, d_embeddings) = loss(pass.embeddings());
        let gradients = backward(&clip.image, params, pass, &d_embeddings, true, arena);
        let Some(of_pixels) = &gradients.pixels else {
            unreachable!("the backward walk was asked for the gradient of pixels")
        };
        let d_pictures =
            of_pixels.iter().enumerate().map(|(i, d)| d / normalize.std[i % 3]).collect();
        gradients.recycle(arena);
        (value, d_pictures)
    }
}
