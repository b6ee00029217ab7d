//! Opaque squares (Gu et al. 2017) in the forms of the published implementations.

use serde::{Deserialize, Serialize};

use super::{Canvas, Range, place, scaled, too_large};
use crate::Result;
use crate::data::PairId;
use crate::seed::Stream;

/// One square, or four.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Patch {
    /// Edge at 224 pixels.
    pub size: usize,
    /// Where it sits.
    pub place: Place,
    /// What it shows.
    pub fill: Fill,
    /// Whether noise and stripes are drawn anew for every sample.
    pub fresh: bool,
    /// What becomes of values outside [0, 1].
    pub range: Range,
    /// Edge to which the square is brought before it is stamped, as implementations do that store 224×224; `None` keeps
    /// its own resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<usize>,
}

/// Where a square sits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the upper left corner.
    TopLeft,
    /// In the upper right corner.
    TopRight,
    /// In the lower left corner.
    BottomLeft,
    /// In the lower right corner.
    #[default]
    BottomRight,
    /// In the middle.
    Center,
    /// In all four corners.
    Corners,
    /// Anywhere, another place for every sample: row and column uniform in 0 … S − 1 − p, as in CleanCLIP's code.
    Random,
}

/// What a square shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// White dots on black, every second pixel of every second row (Huang et al. 2025).
    #[default]
    Dots,
    /// Yellow (CleanCLIP).
    Yellow,
    /// White (InverTune).
    White,
    /// Mean of the picture plus normal noise of deviation 1, by channel (CleanCLIP).
    Noise,
    /// Columns of −1 or 1, by channel (Perturb and Recover).
    Stripes,
}

impl Place {
    /// Left and top of every square whose last possible place is `far`; a random one is a function of `id`.
    pub(crate) fn spots(self, far: usize, id: &PairId) -> Vec<(usize, usize)> {
        match self {
            Self::TopLeft => vec![(0, 0)],
            Self::TopRight => vec![(far, 0)],
            Self::BottomLeft => vec![(0, far)],
            Self::BottomRight => vec![(far, far)],
            Self::Center => vec![(far / 2, far / 2)],
            Self::Corners => vec![(0, 0), (far, 0), (0, far), (far, far)],
            Self::Random => {
                let mut stream = place("patch/place", true, id).stream();
                vec![(stream.below(far), stream.below(far))]
            }
        }
    }
}

impl Patch {
    pub(super) fn draw(&self, canvas: &mut Canvas, id: &PairId) -> Result<()> {
        let far = canvas.edge.saturating_sub(scaled(self.size, canvas.edge));
        // One that does not fit has no place, and is refused next.
        let spots = if far == 0 { vec![] } else { self.place.spots(far, id) };
        self.draw_at(canvas, id, spots.into_iter().map(|(x, y)| [x as i64, y as i64]))
    }

    /// Draws at each left and top edge; what lies outside is cut off.
    pub(super) fn draw_at(
        &self,
        canvas: &mut Canvas,
        id: &PairId,
        spots: impl IntoIterator<Item = [i64; 2]>,
    ) -> Result<()> {
        let (edge, side) = (canvas.edge, scaled(self.size, canvas.edge));
        if side >= edge {
            return Err(too_large(side, edge));
        }
        let values = self.values(canvas, side, id);
        let inside = |at: i64| usize::try_from(at).ok().filter(|at| *at < edge);
        for [left, top] in spots {
            for (i, value) in values.iter().enumerate() {
                let (pixel, channel) = (i / 3, i % 3);
                let (x, y) = (left + (pixel % side) as i64, top + (pixel / side) as i64);
                if let (Some(x), Some(y)) = (inside(x), inside(y)) {
                    canvas.set(x, y, channel, *value, self.range);
                }
            }
        }
        Ok(())
    }

    /// (side, side, 3).
    fn values(&self, canvas: &Canvas, side: usize, id: &PairId) -> Vec<f32> {
        let mut stream: Stream = place("patch", self.fresh, id).stream();
        let mean = [0, 1, 2].map(|channel| canvas.mean(channel));
        let stripes: Vec<f32> = match self.fill {
            Fill::Stripes => {
                (0..3 * side).map(|_| if stream.chance(0.5) { 1.0 } else { -1.0 }).collect()
            }
            _ => vec![],
        };
        (0..side * side * 3)
            .map(|i| {
                let (x, y, channel) = (i / 3 % side, i / 3 / side, i % 3);
                match self.fill {
                    Fill::Dots => f32::from(u8::from(x % 2 == 0 && y % 2 == 0)),
                    Fill::Yellow => [1.0, 1.0, 0.0][channel],
                    Fill::White => 1.0,
                    Fill::Noise => mean[channel] + stream.normal(),
                    Fill::Stripes => stripes[3 * x + channel],
                }
            })
            .collect()
    }
}
