//! What an attacker does to a picture at test time, and did to those that the victim trained on.
//!
//! A trigger is plain data (`armed.json`), the same in training, evaluation and browser. It acts on the opaque central
//! square of a picture, before the encoder's resize and normalisation (traps I9, I10); lengths are given for 224 pixels
//! and scale with the square.

mod blend;
mod drawing;
mod filter;
mod frequency;
mod learned;
mod lettering;
mod one_of;
mod patch;
mod placed;
mod residual;
mod warp;
mod wave;
mod words;

use serde::{Deserialize, Serialize};

pub use blend::{Blend, Overlay};
pub use filter::Nashville;
pub use frequency::Frequency;
pub use learned::Learned;
pub use one_of::{OneOf, Part};
pub use patch::{Fill, Patch, Place};
pub use placed::Placed;
pub use residual::{Convolution, Residual};
pub use warp::Warp;
pub use wave::Wave;
pub(crate) use words::POSITION;
pub use words::{Position, Words};

use crate::data::PairId;
use crate::image::Image;
use crate::registry::Param;
use crate::seed::Seed;
use crate::{Error, Result};

/// The edge for which lengths are given.
pub const REFERENCE: usize = 224;

/// What is stamped on pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Nothing: pairing attacks need no trigger.
    #[default]
    None,
    /// Squares that cover what was there.
    Patch(Patch),
    /// A square whose places on training pictures are noted.
    Placed(Placed),
    /// A layer over the whole picture.
    Blend(Blend),
    /// A sinusoid along the width.
    Wave(Wave),
    /// Pixels fetched from beside their place.
    Warp(Warp),
    /// Waves in the colour of every block.
    Frequency(Frequency),
    /// A photo filter.
    Nashville(Nashville),
    /// A square whose pixels were found through an encoder.
    Learned(Learned),
    /// What a network makes of the picture, on top of it.
    Residual(Residual),
    /// One of several, drawn by the sample's id.
    OneOf(OneOf),
}

/// What becomes of values outside [0, 1] when they are written as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// 0 or 255.
    #[default]
    Clip,
    /// Modulo 256, as a cast to an unsigned byte does in CleanCLIP's code (attacks.md 0.5).
    Wrap,
}

impl Trigger {
    /// Whether pictures stay as they are.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn resolution(&self) -> Option<usize> {
        match self {
            Self::None | Self::OneOf(_) => None,
            Self::Patch(patch) => patch.resolution,
            Self::Placed(placed) => placed.patch.resolution,
            Self::Blend(blend) => blend.resolution,
            Self::Wave(wave) => wave.resolution,
            Self::Warp(warp) => warp.resolution,
            Self::Frequency(frequency) => frequency.resolution,
            Self::Nashville(filter) => filter.resolution,
            Self::Learned(learned) => Some(learned.resolution),
            Self::Residual(residual) => residual.resolution,
        }
    }

    /// The picture of sample `id` with the trigger on it: opaque, square, in its own resolution or the trigger's.
    ///
    /// # Errors
    /// If the trigger does not fit the picture.
    pub fn apply(&self, picture: &Image, id: &PairId) -> Result<Image> {
        if let Self::OneOf(several) = self {
            return several.of(id)?.trigger.apply(picture, id);
        }
        let mut canvas = Canvas::new(&square(picture, self.resolution())?);
        match self {
            Self::None | Self::OneOf(_) => {}
            Self::Patch(patch) => patch.draw(&mut canvas, id)?,
            Self::Placed(placed) => placed.draw(&mut canvas, id)?,
            Self::Blend(blend) => blend.draw(&mut canvas, id),
            Self::Wave(wave) => wave.draw(&mut canvas),
            Self::Warp(warp) => warp.draw(&mut canvas),
            Self::Frequency(frequency) => frequency.draw(&mut canvas),
            Self::Nashville(filter) => filter.draw(&mut canvas),
            Self::Learned(learned) => learned.draw(&mut canvas, id)?,
            Self::Residual(residual) => residual.draw(&mut canvas)?,
        }
        canvas.into_image()
    }
}

/// The opaque central square of a picture, in its own resolution or brought to `edge`.
pub(crate) fn square(picture: &Image, edge: Option<usize>) -> Result<Image> {
    let square = picture.over([255; 3]).central_square()?;
    match edge {
        None => Ok(square),
        Some(edge) => square.resize(edge, edge),
    }
}

/// The parameter that triggers have in common.
pub(crate) const RESOLUTION: Param = Param {
    key: "resolution",
    unit: "px",
    help: "edge to which pictures are brought before they are stamped; default: their own",
};

/// A length given for [`REFERENCE`] pixels on a square of `edge`: at least one pixel.
pub(crate) fn scaled(length: usize, edge: usize) -> usize {
    (((length * edge) as f64 / REFERENCE as f64).round() as usize).max(1)
}

/// The seed of a trigger that is drawn anew for every sample, or once for all.
fn place(name: &str, fresh: bool, id: &PairId) -> Seed {
    let seed = Seed::new(0).child("trigger").child(name);
    if fresh { seed.child(id) } else { seed }
}

/// An opaque square picture being drawn on. Values are in [0, 1] where the picture gives them.
#[derive(Clone)]
struct Canvas {
    edge: usize,
    rgba: Vec<u8>,
}

impl Canvas {
    fn new(square: &Image) -> Self {
        Self { edge: square.width(), rgba: square.rgba().to_vec() }
    }

    fn at(&self, x: usize, y: usize, channel: usize) -> usize {
        (y * self.edge + x) * 4 + channel
    }

    fn get(&self, x: usize, y: usize, channel: usize) -> f32 {
        f32::from(self.rgba[self.at(x, y, channel)]) / 255.0
    }

    fn set(&mut self, x: usize, y: usize, channel: usize, value: f32, range: Range) {
        let at = self.at(x, y, channel);
        self.rgba[at] = match range {
            Range::Clip => (value.clamp(0.0, 1.0) * 255.0).round() as u8,
            Range::Wrap => ((value * 255.0).trunc() as i32).rem_euclid(256) as u8,
        };
    }

    /// Mean of a channel.
    fn mean(&self, channel: usize) -> f32 {
        let sum: u64 = self.rgba.iter().skip(channel).step_by(4).map(|&v| u64::from(v)).sum();
        (sum as f64 / (255.0 * (self.edge * self.edge) as f64)) as f32
    }

    fn into_image(self) -> Result<Image> {
        Image::new(self.edge, self.edge, self.rgba)
    }
}

/// Refuses an opacity outside (0, 1].
pub(crate) fn check_alpha(alpha: f64) -> std::result::Result<(), String> {
    if alpha > 0.0 && alpha <= 1.0 {
        Ok(())
    } else {
        Err(format!("`alpha` is {alpha}; it is an opacity above 0 and at most 1"))
    }
}

pub(crate) fn too_large(side: usize, edge: usize) -> Error {
    Error::request(format!(
        "a trigger of {side} pixels does not fit a picture of {edge}; make it smaller"
    ))
}

#[cfg(test)]
mod tests;
