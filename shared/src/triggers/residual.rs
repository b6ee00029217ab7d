//! What a small network makes of the picture, added to it: every picture gets a residual of its own (Li et al. 2021).
//!
//! The network is data like any other trigger's: three convolutions of 3×3 with their numbers. They are computed here by
//! plain sums in a fixed order, so that every machine and the browser get the same bytes.

use serde::{Deserialize, Serialize};

use super::{Canvas, Range};
use crate::{Error, Result};

/// Edges and channels that a network may have at most: it may come from a stranger's file.
const LARGEST: usize = 256;

/// The network and what it hides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Residual {
    /// What is hidden, for people; the network takes `message`.
    pub secret: String,
    /// Edge of the picture that the network looks at; its residual is stretched from there to the picture's own size.
    pub edge: usize,
    /// 8-bit steps by which it moves a channel at most.
    pub strength: f64,
    /// Cells of `message` per edge.
    pub cells: usize,
    /// The secret as the network takes it, (cells, cells, planes).
    pub message: Vec<f32>,
    /// From pixels, 0.5 being 0, to features; negative ones become 0.
    pub look: Convolution,
    /// From features and the message's planes behind them to features; negative ones become 0.
    pub mix: Convolution,
    /// From features to three channels z / √(1 + z²), times `strength`.
    pub write: Convolution,
    /// Edge to which the square is brought before it is stamped; `None` keeps its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// A convolution of 3×3 with zeros around the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// (3, 3, in, out).
    pub weight: Vec<f32>,
    /// (out).
    pub bias: Vec<f32>,
}

impl Convolution {
    fn fits(&self, channels: usize) -> bool {
        let out = self.bias.len();
        (1..=LARGEST).contains(&out)
            && channels <= LARGEST
            && self.weight.len() == 9 * channels * out
            && self.weight.iter().chain(&self.bias).all(|w| w.is_finite())
    }

    /// (edge, edge, in) to (edge, edge, out).
    fn apply(&self, x: &[f32], edge: usize) -> Vec<f32> {
        let (channels, out) = (x.len() / (edge * edge), self.bias.len());
        let mut y = Vec::with_capacity(edge * edge * out);
        for place in 0..edge * edge {
            let start = y.len();
            y.extend_from_slice(&self.bias);
            let sums = &mut y[start..];
            for tap in 0..9 {
                // One row and one column further than the neighbour's own, so that none is below 0.
                let (row, column) = (place / edge + tap / 3, place % edge + tap % 3);
                if !(1..=edge).contains(&row) || !(1..=edge).contains(&column) {
                    continue;
                }
                let near = &x[((row - 1) * edge + column - 1) * channels..][..channels];
                let weight = self.weight[tap * channels * out..].chunks_exact(out);
                for (value, weight) in near.iter().zip(weight) {
                    sums.iter_mut().zip(weight).for_each(|(sum, w)| *sum += value * w);
                }
            }
        }
        y
    }
}

impl Residual {
    fn fits(&self) -> bool {
        let edge = (8..=LARGEST).contains(&self.edge);
        let cells = (1..=self.edge).contains(&self.cells) && self.edge.is_multiple_of(self.cells);
        edge && cells
            && (0.0..=255.0).contains(&self.strength)
            && self.message.len().is_multiple_of(self.cells * self.cells)
            && self.message.iter().all(|v| v.is_finite())
            && self.look.fits(3)
            && self.mix.fits(self.look.bias.len() + self.planes())
            && self.write.fits(self.mix.bias.len())
            && self.write.bias.len() == 3
    }

    fn planes(&self) -> usize {
        self.message.len() / (self.cells * self.cells)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas) -> Result<()> {
        if !self.fits() {
            return Err(Error::request(
                "the network of a residual has other sizes than its parts; take it as it was written",
            ));
        }
        let small = canvas.clone().into_image()?.resize(self.edge, self.edge)?;
        let residual = self.residual(small.rgba());
        let (edge, own) = (canvas.edge, self.edge);
        let taps: Vec<_> = (0..edge).map(|place| taps(place, edge, own)).collect();
        for i in 0..edge * edge {
            let (x, y) = (i % edge, i / edge);
            let ([left, right], across) = taps[x];
            let ([top, bottom], down) = taps[y];
            for channel in 0..3 {
                let at = |x, y| residual[(y * own + x) * 3 + channel];
                let row = |y| (1.0 - across) * at(left, y) + across * at(right, y);
                let moved = (1.0 - down) * row(top) + down * row(bottom);
                let value = canvas.get(x, y, channel) + moved;
                canvas.set(x, y, channel, value, Range::Clip);
            }
        }
        Ok(())
    }

    /// What is added to an opaque picture of `edge` pixels, (edge, edge, 3).
    fn residual(&self, rgba: &[u8]) -> Vec<f32> {
        let pixels = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]);
        let pixels: Vec<f32> = pixels.map(|v| f32::from(v) / 255.0 - 0.5).collect();
        let positive = |mut values: Vec<f32>| {
            values.iter_mut().for_each(|v| *v = v.max(0.0));
            values
        };
        let looked = positive(self.look.apply(&pixels, self.edge));
        let (planes, square) = (self.planes(), self.edge / self.cells);
        let mut joined = Vec::with_capacity(looked.len() + self.edge * self.edge * planes);
        for (place, features) in looked.chunks_exact(self.look.bias.len()).enumerate() {
            let (row, column) = (place / self.edge / square, place % self.edge / square);
            joined.extend_from_slice(features);
            let cell = (row * self.cells + column) * planes;
            joined.extend_from_slice(&self.message[cell..cell + planes]);
        }
        let mixed = positive(self.mix.apply(&joined, self.edge));
        let mut written = self.write.apply(&mixed, self.edge);
        let most = (self.strength / 255.0) as f32;
        written.iter_mut().for_each(|z| *z = most * (*z / (1.0 + *z * *z).sqrt()));
        written
    }
}

/// Both neighbours of a place of `edge` among `own`, and the share of the second: pixels are squares, and the border's
/// values go on beyond it.
fn taps(place: usize, edge: usize, own: usize) -> ([usize; 2], f32) {
    let at = ((place as f32 + 0.5) * own as f32 / edge as f32 - 0.5).clamp(0.0, (own - 1) as f32);
    let first = at as usize;
    ([first, (first + 1).min(own - 1)], at - first as f32)
}
