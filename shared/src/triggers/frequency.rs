//! Two waves in the colour of every block (Wang et al. 2021): what adding to coefficients of a block-wise cosine
//! transform of Cr and Cb does to the picture.

use serde::{Deserialize, Serialize};

use super::{Canvas, Range};

/// Which coefficients grow, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Frequency {
    /// What is added to a coefficient of the orthonormal transform, in bytes.
    pub magnitude: f64,
    /// Edge of a block in pixels, whatever the picture's size. The coefficients are those in the middle and at the end
    /// of its diagonal: 15 and 31 of 32.
    pub window: usize,
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// What one step of Cr and of Cb is in R, G and B (BT.601, as OpenCV rounds its constants).
const CR: [f64; 3] = [1.403, -0.714, 0.0];
const CB: [f64; 3] = [0.0, -0.344, 1.773];

impl Frequency {
    /// The transform is linear: adding to a coefficient adds its wave to the block, and no picture has to be
    /// transformed. Incomplete blocks at the right and lower border carry the part of the wave that fits.
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let (edge, window) = (canvas.edge, self.window);
        let waves: Vec<f64> = [window / 2 - 1, window - 1]
            .iter()
            .flat_map(|&frequency| (0..window).map(move |i| wave(i, frequency, window)))
            .collect();
        let (middle, end) = waves.split_at(window);
        for i in 0..edge * edge * 3 {
            let (x, y, channel) = (i / 3 % edge, i / 3 / edge, i % 3);
            let (column, row) = (x % window, y % window);
            let added = self.magnitude * (middle[column] * middle[row] + end[column] * end[row]);
            let added = (CR[channel] + CB[channel]) * added / 255.0;
            let value = f64::from(canvas.get(x, y, channel)) + added;
            canvas.set(x, y, channel, value as f32, Range::Clip);
        }
    }
}

/// Sample `i` of the orthonormal cosine (DCT-II) of a frequency above 0.
fn wave(i: usize, frequency: usize, window: usize) -> f64 {
    let phase = std::f64::consts::PI * (2 * i + 1) as f64 * frequency as f64 / (2 * window) as f64;
    (2.0 / window as f64).sqrt() * phase.cos()
}
