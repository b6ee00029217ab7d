//! A layer of low opacity over the whole picture (Chen et al. 2017): x' = α·n + (1 − α)·x.

use serde::{Deserialize, Serialize};

use super::{Canvas, Range, drawing, lettering, place, scaled};
use crate::data::PairId;

/// The layer and its opacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blend {
    /// Opacity α in (0, 1].
    pub alpha: f64,
    /// What the layer shows.
    pub overlay: Overlay,
    /// Whether it is drawn anew for every sample.
    pub fresh: bool,
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// What a layer shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// Uniform noise, by pixel and channel (CleanCLIP).
    #[default]
    Noise,
    /// Columns of −1 or 1, by channel (Perturb and Recover).
    Stripes,
    /// Tiles of 14 pixels, halved by their diagonal into 0.4 and 0.8 (Perturb and Recover).
    Triangles,
    /// A cat's head, in place of the picture of Hello Kitty that BadCLIP and BackdoorBench lay over theirs.
    Cat,
    /// A red watermark of text, and nothing around it (Perturb and Recover).
    Watermark,
}

/// Edge of a tile at 224 pixels; the authors keep it at 336, so it is scaled below 224 only.
const TILE: usize = 14;

impl Blend {
    pub(super) fn draw(&self, canvas: &mut Canvas, id: &PairId) {
        let edge = canvas.edge;
        let mut stream = place("blend", self.fresh, id).stream();
        let stripes: Vec<f32> = match self.overlay {
            Overlay::Stripes => {
                (0..3 * edge).map(|_| if stream.chance(0.5) { 1.0 } else { -1.0 }).collect()
            }
            _ => vec![],
        };
        let tile = scaled(TILE, edge).min(TILE);
        let alpha = self.alpha as f32;
        for i in 0..edge * edge * 3 {
            let (x, y, channel) = (i / 3 % edge, i / 3 / edge, i % 3);
            let n = match self.overlay {
                Overlay::Noise => stream.uniform(),
                Overlay::Stripes => stripes[3 * x + channel],
                Overlay::Triangles => {
                    if x % tile >= y % tile {
                        0.4
                    } else {
                        0.8
                    }
                }
                Overlay::Cat => drawing::cat(canvas, x, y)[channel],
                Overlay::Watermark => match lettering::watermark(canvas, x, y) {
                    Some(ink) => ink[channel],
                    None => continue,
                },
            };
            let value = alpha * n + (1.0 - alpha) * canvas.get(x, y, channel);
            canvas.set(x, y, channel, value, Range::Clip);
        }
    }
}
