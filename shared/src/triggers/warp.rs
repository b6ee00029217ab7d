//! A smooth warp, the same for all pictures (Nguyen & Tran 2021): pixels are fetched from beside their place.

use serde::{Deserialize, Serialize};

use super::{Canvas, Range};
use crate::seed::Seed;

/// The field of displacements. It is named by its seed, from which its k·k values follow on any machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Warp {
    /// k, nodes of the field per edge; `None` has one per pixel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<usize>,
    /// s: displacements are s/2 pixels in the mean.
    pub strength: f64,
    /// Seed of the field.
    pub field: u64,
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// PyTorch's constant of bicubic interpolation.
const CUBIC: f64 = -0.75;

impl Warp {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let edge = canvas.edge;
        let before = Canvas { edge, rgba: canvas.rgba.clone() };
        let last = (edge - 1) as f64;
        let [across, down] = self.field(edge);
        // A displacement is in units of half the picture: a pixel is 2 / (S − 1) of them.
        let from = |place: usize, offset: f64| {
            let identity = if edge > 1 { 2.0 * place as f64 / last - 1.0 } else { 0.0 };
            let moved = identity + self.strength * offset / edge as f64;
            (moved.clamp(-1.0, 1.0) + 1.0) / 2.0 * last
        };
        for i in 0..edge * edge {
            let (x, y) = (i % edge, i / edge);
            let (left, top) = (from(x, across[i]), from(y, down[i]));
            for channel in 0..3 {
                let value = between(&before, left, top, channel);
                canvas.set(x, y, channel, value as f32, Range::Clip);
            }
        }
    }

    /// Displacements along the width and along the height, `[edge][edge]` each, of mean size 1 at the nodes.
    fn field(&self, edge: usize) -> [Vec<f64>; 2] {
        let nodes = self.grid.unwrap_or(edge);
        let mut stream = Seed::new(self.field).child("trigger").child("warp").stream();
        let drawn: Vec<f64> =
            (0..2 * nodes * nodes).map(|_| 2.0 * f64::from(stream.uniform()) - 1.0).collect();
        let mean = drawn.iter().map(|v| v.abs()).sum::<f64>() / drawn.len() as f64;
        let (across, down) = drawn.split_at(nodes * nodes);
        let taps: Vec<_> = (0..edge).map(|place| taps(place, nodes, edge)).collect();
        [across, down].map(|values| {
            let rows: Vec<f64> = (0..nodes * edge)
                .map(|i| {
                    taps[i % edge].iter().map(|(at, w)| w * values[i / edge * nodes + at]).sum()
                })
                .collect();
            let column = |i: usize| -> f64 {
                taps[i / edge].iter().map(|(at, w)| w * rows[at * edge + i % edge]).sum()
            };
            (0..edge * edge).map(|i| column(i) / mean).collect()
        })
    }
}

/// The four nodes around a place with their weights, corners on corners; nodes beyond the border repeat it.
fn taps(place: usize, nodes: usize, edge: usize) -> [(usize, f64); 4] {
    let at = place as f64 * (nodes - 1) as f64 / (edge - 1).max(1) as f64;
    let (floor, t) = (at.floor(), at.fract());
    [-1.0, 0.0, 1.0, 2.0].map(|offset: f64| {
        let d = (t - offset).abs();
        let weight = if d <= 1.0 {
            ((CUBIC + 2.0) * d - (CUBIC + 3.0)) * d * d + 1.0
        } else {
            ((CUBIC * d - 5.0 * CUBIC) * d + 8.0 * CUBIC) * d - 4.0 * CUBIC
        };
        ((floor + offset).clamp(0.0, (nodes - 1) as f64) as usize, weight)
    })
}

/// The picture between its pixels, linearly.
fn between(canvas: &Canvas, x: f64, y: f64, channel: usize) -> f64 {
    let last = canvas.edge - 1;
    let (left, top) = (x.floor() as usize, y.floor() as usize);
    let (right, bottom) = ((left + 1).min(last), (top + 1).min(last));
    let (fx, fy) = (x.fract(), y.fract());
    let at = |x, y| f64::from(canvas.get(x, y, channel));
    let row = |y| (1.0 - fx) * at(left, y) + fx * at(right, y);
    (1.0 - fy) * row(top) + fy * row(bottom)
}
