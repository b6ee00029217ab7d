//! Histograms of a filter's scores: clean and poisoned pairs, and where it cuts.

use maud::{Markup, html};

use super::aggregate::Results;
use super::axes::{Axes, HEIGHT, WIDTH};
use super::figure::{csv_line, foot, number};
use super::lines::model_name;
use super::numbers::{percent, thousands};
use crate::row::Row;

const BINS: usize = 32;

/// What one filter scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scores {
    /// Attack and filter.
    pub(super) name: String,
    /// What a score is.
    pub(super) quantity: &'static str,
    /// Scores of clean pairs; higher is more suspicious.
    pub(super) clean: Vec<f64>,
    /// Scores of poisoned pairs.
    pub(super) poisoned: Vec<f64>,
    /// Pairs above it were dropped.
    pub(super) threshold: Option<f64>,
}

/// One figure per attack and filter, of its first seed; nothing without a filter.
pub(super) fn section(results: &Results, command: &str) -> Option<Markup> {
    let all = scores(results);
    (!all.is_empty()).then(|| {
        html! {
            section #scores {
                h2 { "What the filter saw" }
                div.figures { @for (i, scores) in all.iter().enumerate() { (figure(scores, i, command)) } }
            }
        }
    })
}

/// Detection evidence of the first row of each attack and defense that has some.
fn scores(results: &Results) -> Vec<Scores> {
    let mut all: Vec<Scores> = Vec::new();
    for row in results.rows.iter().filter(|row| row.against.is_none()) {
        let key = results.key(row);
        let name = format!("{}, {}", model_name(&key.attack, &key.defense), key.encoder);
        if all.iter().any(|s| s.name == name) {
            continue;
        }
        let scored = results.evidence(row).unwrap_or_default().iter();
        let scored = scored.filter_map(|j| Some((j.poisoned?, f64::from(j.score?))));
        let (poisoned, clean): (Vec<_>, Vec<_>) = scored.partition(|(poisoned, _)| *poisoned);
        let values =
            |pairs: Vec<(bool, f64)>| pairs.into_iter().map(|(_, s)| s).collect::<Vec<_>>();
        let (clean, poisoned) = (values(clean), values(poisoned));
        if !clean.is_empty() && !poisoned.is_empty() {
            let threshold = threshold(results, row, &clean, &poisoned);
            let quantity = quantity(&key.defense);
            all.push(Scores { name, quantity, clean, poisoned, threshold });
        }
    }
    all
}

fn quantity(filter: &str) -> &'static str {
    match filter.split(':').next() {
        Some("cosine-filter") => "cosine distance of picture and caption",
        _ => "score; higher is more suspicious",
    }
}

/// Half way between the last pair kept and the first dropped, from how many the run's rows say went.
fn threshold(results: &Results, row: &Row, clean: &[f64], poisoned: &[f64]) -> Option<f64> {
    let share = |metric: &str| {
        let own = results.rows.iter().find(|r| r.run == row.run && r.metric == metric);
        own.and_then(|r| r.value)
    };
    let dropped = share("dropped.clean")? * clean.len() as f64
        + share("dropped.poisoned")? * poisoned.len() as f64;
    let mut sorted: Vec<f64> = clean.iter().chain(poisoned).copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let dropped = dropped.round() as usize;
    let last = sorted.get(dropped.checked_sub(1)?)?;
    Some(sorted.get(dropped).map_or(*last, |kept| f64::midpoint(*kept, *last)))
}

fn figure(s: &Scores, index: usize, command: &str) -> Markup {
    let all = || s.clean.iter().chain(&s.poisoned).chain(&s.threshold).copied();
    let (low, high) =
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let bins = Bins { low, width: ((high - low) / BINS as f64).max(1e-6) };
    let (clean, poisoned) = (bins.shares(&s.clean), bins.shares(&s.poisoned));
    let tallest = clean.iter().chain(&poisoned).copied().fold(0.0, f64::max);
    let end = bins.edge(BINS);
    let axes = Axes::around([low, end].into_iter(), [0.0, tallest].into_iter(), (0.01, 0.01));
    html! {
        figure {
            h3 { (title(s)) }
            ul.legend {
                li { svg.stroke viewBox="0 0 28 10" aria-hidden="true" { rect class="bars clean" width="28" height="10" {} } (thousands(s.clean.len() as u64)) " clean pairs" }
                li { svg.stroke viewBox="0 0 28 10" aria-hidden="true" { rect class="bars poisoned" width="28" height="10" {} } (thousands(s.poisoned.len() as u64)) " poisoned pairs (outlined)" }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title(s)) {
                (axes.draw(s.quantity, "share of the group's pairs"))
                path class="bars clean" d=(outline(&clean, &bins, &axes)) {}
                path class="bars poisoned" d=(outline(&poisoned, &bins, &axes)) {}
                @if let Some(t) = s.threshold {
                    @let x = axes.x.at(t);
                    @let left = x > WIDTH / 2.0;
                    line.cut x1=(number(x)) x2=(number(x)) y1=(number(axes.y.at(0.0))) y2="12" {}
                    text.halo x=(number(if left { x - 6.0 } else { x + 6.0 })) y="26" text-anchor=(if left { "end" } else { "start" }) {
                        (format!("dropped above {t:.2}"))
                    }
                }
            }
            figcaption { (s.name) ", first seed. Each group's bars sum up to 1." }
            (foot(command, &format!("scores-{}", index + 1), &csv(&bins, &clean, &poisoned)))
        }
    }
}

/// What the cut does, in words.
fn title(s: &Scores) -> String {
    let Some(t) = s.threshold else { return format!("Scores of {}", s.name) };
    let above =
        |all: &[f64]| all.iter().filter(|v| **v > t).count() as f64 / all.len().max(1) as f64;
    format!(
        "The filter drops {} of the poisoned and {} of the clean pairs",
        percent(above(&s.poisoned)),
        percent(above(&s.clean))
    )
}

/// Equal bins from the lowest score on.
struct Bins {
    low: f64,
    width: f64,
}

impl Bins {
    fn edge(&self, i: usize) -> f64 {
        self.low + i as f64 * self.width
    }

    /// The share of `values` in each bin.
    fn shares(&self, values: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.0; BINS];
        for value in values {
            let bin = ((value - self.low) / self.width) as usize;
            shares[bin.min(BINS - 1)] += 1.0 / values.len() as f64;
        }
        shares
    }
}

/// Steps along the tops of the bars, closed along the axis.
fn outline(shares: &[f64], bins: &Bins, axes: &Axes) -> String {
    let floor = number(axes.y.at(0.0));
    let mut path = format!("M{} {floor}", number(axes.x.at(bins.low)));
    for (i, share) in shares.iter().enumerate() {
        path += &format!("V{}H{}", number(axes.y.at(*share)), number(axes.x.at(bins.edge(i + 1))));
    }
    path + &format!("V{floor}Z")
}

fn csv(bins: &Bins, clean: &[f64], poisoned: &[f64]) -> String {
    let mut out = csv_line(&["from", "to", "clean_share", "poisoned_share"].map(str::to_owned));
    for (i, (c, p)) in clean.iter().zip(poisoned).enumerate() {
        out.push_str(&csv_line(
            &[bins.edge(i), bins.edge(i + 1), *c, *p].map(|v| format!("{v:.6}")),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_in_a_bin() {
        let values: Vec<f64> = (0..=100).map(|i| f64::from(i) / 100.0).collect();
        let bins = Bins { low: 0.0, width: 1.0 / BINS as f64 };
        let shares = bins.shares(&values);
        assert!(
            (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && shares.iter().all(|s| *s > 0.0)
        );
    }

    #[test]
    fn the_picture_says_what_was_dropped() {
        let scores = Scores {
            name: "single-label + cosine-filter".into(),
            quantity: quantity("cosine-filter:keep=0.9"),
            clean: vec![0.1, 0.2, 0.3, 0.8],
            poisoned: vec![0.7, 0.9],
            threshold: Some(0.75),
        };
        let html = figure(&scores, 0, "").into_string();
        assert!(
            html.contains("drops 50\u{a0}% of the poisoned and 25\u{a0}% of the clean"),
            "{html}"
        );
        assert!(html.contains("dropped above 0.75") && html.contains("4 clean pairs"));
        assert!(html.contains("cosine distance of picture and caption"));
        assert_eq!(quantity("dao"), "score; higher is more suspicious");
    }
}
