//! A sinusoid along the width, the same in all channels (Barni et al. 2019): n(j) = Δ·sin(2π·j·f / W).

use serde::{Deserialize, Serialize};

use super::{Canvas, Range};

/// The wave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wave {
    /// Δ, in units of the full range of a byte: 60 means 60/255.
    pub delta: f64,
    /// f, in cycles per width.
    pub frequency: f64,
    /// Opacity where the wave is blended (CleanCLIP: 0.2·n + 0.8·x); `None` adds it.
    pub alpha: Option<f64>,
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

impl Wave {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let edge = canvas.edge;
        let wave: Vec<f32> = (0..edge)
            .map(|j| {
                let phase = std::f64::consts::TAU * j as f64 * self.frequency / edge as f64;
                (self.delta / 255.0 * phase.sin()) as f32
            })
            .collect();
        let (of_wave, of_picture) = match self.alpha {
            None => (1.0, 1.0),
            Some(alpha) => (alpha as f32, 1.0 - alpha as f32),
        };
        for i in 0..edge * edge * 3 {
            let (x, y, channel) = (i / 3 % edge, i / 3 / edge, i % 3);
            let value = of_wave * wave[x] + of_picture * canvas.get(x, y, channel);
            canvas.set(x, y, channel, value, Range::Clip);
        }
    }
}
