//! Axes of a plot: a linear scale with round ticks, drawn once for all figures.

use maud::{Markup, html};

use super::figure::number;

/// Width of the drawing in its own units; text of 14 units stays readable on a phone.
pub(super) const WIDTH: f64 = 520.0;
/// Height of the drawing.
pub(super) const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;

/// A linear map from values to a stretch of the drawing.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// Covers `low..high`, widened to round ticks and at least `span` wide.
    fn new(low: f64, high: f64, span: f64, from: f64, to: f64) -> Self {
        // All values equal: an axis still needs a width.
        let span = span.max(1e-3 * low.abs().max(high.abs()).max(1e-3));
        let missing = (span - (high - low)).max(0.0);
        let (low, high) = (low - missing / 2.0, high + missing / 2.0);
        let step = round_step((high - low) / 5.0);
        // Half a percent of a step forgives rounding: 0.6000001 needs no further tick.
        let low = (low / step + 0.005).floor() * step;
        let high = (high / step - 0.005).ceil() * step;
        Self { low, high, from, to, step }
    }

    /// Where `value` lies in the drawing.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|i| self.low + i as f64 * self.step).collect()
    }

    fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10()).ceil().clamp(0.0, 6.0) as usize;
        let text = format!("{tick:.decimals$}");
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            return text.trim_start_matches('-').to_owned();
        }
        text
    }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.max(1e-9).log10().floor());
    let mut steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter();
    steps.find(|s| *s >= rough * 0.999).unwrap_or(10.0 * power)
}

/// Both axes of a figure.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// Left to right.
    pub(super) x: Scale,
    /// Bottom to top.
    pub(super) y: Scale,
}

impl Axes {
    /// Axes around the given values; each at least as wide as its `span`.
    pub(super) fn around(
        xs: impl Iterator<Item = f64> + Clone,
        ys: impl Iterator<Item = f64> + Clone,
        spans: (f64, f64),
    ) -> Self {
        let range = |mut values: Box<dyn Iterator<Item = f64> + '_>| {
            let first = values.next().unwrap_or(0.0);
            values.fold((first, first), |(lo, hi), v| (lo.min(v), hi.max(v)))
        };
        let (x0, x1) = range(Box::new(xs));
        let (y0, y1) = range(Box::new(ys));
        Self {
            x: Scale::new(x0, x1, spans.0, LEFT, WIDTH - RIGHT),
            y: Scale::new(y0, y1, spans.1, HEIGHT - BOTTOM, TOP),
        }
    }

    /// Grid, round ticks and the two labels.
    pub(super) fn draw(&self, x_label: &str, y_label: &str) -> Markup {
        let ticks: Vec<(f64, String)> =
            self.x.ticks().into_iter().map(|tick| (tick, self.x.label(tick))).collect();
        self.draw_at(&ticks, x_label, y_label)
    }

    /// The same with given ticks along x, ascending; a label that would touch the one before it is left out.
    pub(super) fn draw_at(&self, ticks: &[(f64, String)], x_label: &str, y_label: &str) -> Markup {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let middle = f64::midpoint(TOP, bottom);
        let mut free = f64::NEG_INFINITY;
        let placed: Vec<(f64, Option<&str>)> = ticks
            .iter()
            .map(|(tick, text)| {
                let (x, half) = (self.x.at(*tick), 5.0 * text.chars().count() as f64);
                let fits = x - half >= free;
                free = if fits { x + half + 4.0 } else { free };
                (x, fits.then_some(text.as_str()))
            })
            .collect();
        html! {
            @for tick in self.y.ticks() {
                @let y = self.y.at(tick);
                g.tick {
                    line.grid x1=(LEFT) x2=(right) y1=(number(y)) y2=(number(y)) {}
                    text x=(LEFT - 8.0) y=(number(y + 4.5)) text-anchor="end" { (self.y.label(tick)) }
                }
            }
            @for (x, text) in &placed {
                g.tick {
                    line.axis x1=(number(*x)) x2=(number(*x)) y1=(bottom) y2=(bottom + 5.0) {}
                    @if let Some(text) = text {
                        text x=(number(*x)) y=(bottom + 20.0) text-anchor="middle" { (text) }
                    }
                }
            }
            line.axis x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
            text x=(number(f64::midpoint(LEFT, right))) y=(HEIGHT - 8.0) text-anchor="middle" { (x_label) }
            text transform=(format!("translate(16 {middle:.0}) rotate(-90)")) text-anchor="middle" { (y_label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let axes = Axes::around([0.71, 0.79].into_iter(), [0.0, 1.0].into_iter(), (0.1, 1.0));
        let labels: Vec<String> = axes.y.ticks().iter().map(|t| axes.y.label(*t)).collect();
        assert_eq!(labels, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let ticks = axes.x.ticks();
        assert!(
            ticks[0] <= 0.71 && *ticks.last().unwrap() >= 0.79 && ticks.len() <= 8,
            "{ticks:?}"
        );
        assert!(axes.x.at(0.71) < axes.x.at(0.79) && axes.y.at(0.0) > axes.y.at(1.0));
    }

    #[test]
    fn a_single_value_has_axes() {
        let axes = Axes::around([3.0].into_iter(), [0.0].into_iter(), (0.0, 0.0));
        assert!(axes.x.at(3.0).is_finite() && axes.y.ticks().len() < 12);
    }
}
