//! Curves with bands over a varied parameter: attack success and utility side by side.

use std::fmt::Write;

use maud::{Markup, html};

use super::axes::{Axes, HEIGHT, WIDTH};
use super::extras::Role;
use super::figure::{csv_line, foot, marker, number, shape};
use super::lines::{HIT, UTILITY};
use super::sweep::{Series, Sweep};

/// Strokes in order of the series, so that two of one colour can be told apart.
const DASHES: [&str; 4] = ["none", "8 3", "2 3", "10 3 2 3"];
/// A parameter that covers more than this factor is drawn on a logarithmic axis.
const DECADES: f64 = 8.0;

/// All sweeps; nothing without one.
pub(super) fn section(sweeps: &[Sweep], command: &str) -> Option<Markup> {
    (!sweeps.is_empty()).then(|| {
        html! {
            section #ablations {
                h2 { "What follows the varied parameter" }
                @for sweep in sweeps {
                    div.figures {
                        @if !sweep.hit.is_empty() {
                            (figure(&sweep.hit, &sweep.parameter, HIT, "attack success", command))
                        }
                        @if !sweep.utility.is_empty() {
                            (figure(&sweep.utility, &sweep.parameter, UTILITY, "utility", command))
                        }
                    }
                }
            }
        }
    })
}

fn figure(series: &[Series], parameter: &str, metric: &str, what: &str, command: &str) -> Markup {
    let xs: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    let low = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = xs.iter().copied().fold(0.0, f64::max);
    let logarithmic = low > 0.0 && high / low > DECADES;
    let x = |value: f64| if logarithmic { value.log10() } else { value };
    let ends =
        series.iter().flat_map(|s| &s.points).flat_map(|(_, e)| [e.interval.lo, e.interval.hi]);
    let ys: Vec<f64> = if metric == HIT { vec![0.0, 1.0] } else { ends.collect() };
    let axes = Axes::around(xs.iter().map(|v| x(*v)), ys.into_iter(), (0.0, 0.1));
    let at = |points: Vec<(f64, f64)>| outline(&points, &axes);
    let title = title(series, parameter, metric);
    let label = format!("{parameter}{}", if logarithmic { ", logarithmic" } else { "" });
    html! {
        figure {
            h3 { (title) }
            (legend(series))
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(description(series, parameter, metric)) {
                (axes.draw_at(&ticks(&xs, &x), &label, &format!("{what}: {metric} (share)")))
                @for s in series {
                    @let upper = s.points.iter().map(|(v, e)| (x(*v), e.interval.hi));
                    @let lower = s.points.iter().rev().map(|(v, e)| (x(*v), e.interval.lo));
                    path class=(format!("spread {}", s.role.class())) d=(at(upper.chain(lower).collect()) + "Z") {}
                }
                @for (i, s) in series.iter().enumerate() {
                    path class=(format!("line {}", s.role.class())) stroke-dasharray=(dash(i))
                        d=(at(s.points.iter().map(|(v, e)| (x(*v), e.value)).collect())) {}
                    @for (v, e) in &s.points { (shape(s.role, axes.x.at(x(*v)), axes.y.at(e.value))) }
                }
            }
            figcaption { "Lines are means over seeds, bands 95 % intervals over seeds and samples." }
            (foot(command, &format!("{metric}-by-{}", parameter.split(' ').next().unwrap_or("x")), &csv(series, parameter, metric)))
        }
    }
}

fn dash(i: usize) -> &'static str {
    DASHES[i % DASHES.len()]
}

fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend {
            @for (i, s) in series.iter().enumerate() {
                li {
                    svg.stroke viewBox="0 0 28 10" aria-hidden="true" {
                        path class=(format!("line {}", s.role.class())) stroke-dasharray=(dash(i)) d="M0 5H28" {}
                    }
                    (marker(s.role)) (s.name)
                }
            }
        }
    }
}

/// The finding: how the first curve that is not the clean model's goes from its first to its last value.
fn title(series: &[Series], parameter: &str, metric: &str) -> String {
    let told = series.iter().find(|s| s.role != Role::Clean).or(series.first());
    let Some((s, (x0, first), (x1, last))) =
        told.and_then(|s| Some((s, s.points.first()?, s.points.last()?)))
    else {
        return format!("{metric} by {parameter}");
    };
    let verb = match (first.interval, last.interval) {
        (a, b) if a.hi < b.lo => "rises",
        (a, b) if b.hi < a.lo => "falls",
        _ => "does not clearly change",
    };
    let name = parameter.split(" (").next().unwrap_or(parameter);
    format!(
        "{metric} of {} {verb}: {:.2} at {name} {x0}, {:.2} at {x1}",
        s.name, first.value, last.value
    )
}

fn description(series: &[Series], parameter: &str, metric: &str) -> String {
    let one = |s: &Series| {
        let points: Vec<String> =
            s.points.iter().map(|(x, e)| format!("{:.2} at {x}", e.value)).collect();
        format!("{}: {}", s.name, points.join(", "))
    };
    format!("{metric} by {parameter}. {}", series.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// The measured values as ticks, as far as their labels have room.
fn ticks(xs: &[f64], x: &impl Fn(f64) -> f64) -> Vec<(f64, String)> {
    let mut values = xs.to_vec();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.into_iter().map(|v| (x(v), v.to_string())).collect()
}

fn outline(points: &[(f64, f64)], axes: &Axes) -> String {
    points.iter().enumerate().fold(String::new(), |mut path, (i, (x, y))| {
        let letter = if i == 0 { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(path, "{letter}{} {}", number(axes.x.at(*x)), number(axes.y.at(*y)));
        path
    })
}

fn csv(series: &[Series], parameter: &str, metric: &str) -> String {
    let head = ["model", parameter, metric, "lo", "hi", "n", "seeds"].map(str::to_owned);
    let mut out = csv_line(&head);
    for s in series {
        for (x, e) in &s.points {
            let mut fields = vec![s.name.clone()];
            fields.extend([*x, e.value, e.interval.lo, e.interval.hi].map(|v| v.to_string()));
            fields.extend([e.n.to_string(), super::numbers::seeds(&e.seeds)]);
            out.push_str(&csv_line(&fields));
        }
    }
    out
}
