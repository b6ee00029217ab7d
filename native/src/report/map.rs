//! Maps of a goal's two classes under each model: the captions of A leave the pictures of A for those of B.

use maud::{Markup, html};

use super::extras::{ClassMap, MapPanel};
use super::figure::{csv_line, foot, marker, number};
use super::numbers::percent;

/// Side of a panel in its own units, and the space around its points.
const SIDE: f64 = 300.0;
const MARGIN: f64 = 14.0;

/// All maps; nothing without one.
pub(super) fn section(maps: &[ClassMap], command: &str) -> Option<Markup> {
    let drawn: Vec<&ClassMap> = maps.iter().filter(|m| !m.panels.is_empty()).collect();
    (!drawn.is_empty()).then(|| {
        html! {
            section #maps {
                h2 { "Where the classes lie" }
                @for (i, map) in drawn.iter().enumerate() { (figure(map, i, command)) }
            }
        }
    })
}

fn figure(map: &ClassMap, index: usize, command: &str) -> Markup {
    let (a, b) = map.goal.split_once(" → ").unwrap_or((&map.goal, "the target class"));
    html! {
        figure {
            h3 { (title(map, a, b)) }
            ul.legend {
                @for (kind, words) in [(Kind::From, format!("pictures of {a}")), (Kind::To, format!("pictures of {b}")), (Kind::Caption, format!("captions of {a}"))] {
                    li { svg class="marker" viewBox="0 0 18 18" aria-hidden="true" { (mark(kind, 9.0, 9.0)) } (words) }
                }
            }
            div.panels {
                @for panel in &map.panels {
                    div class=(format!("panel {}", panel.role.class())) {
                        div { (marker(panel.role)) strong { (panel.label) } }
                        svg viewBox=(format!("0 0 {SIDE} {SIDE}")) role="img" aria-label=(description(panel, a, b)) { (points(panel)) }
                    }
                }
            }
            figcaption {
                (map.attack) ", first seed, test pictures. Each panel is the plane of the two first principal components of the points it shows, after the mean of all "
                "test pictures was taken from pictures and that of all test captions from captions; the planes keep "
                (map.panels.iter().map(|p| percent(p.kept)).collect::<Vec<_>>().join(", ")) " of the variance. Nearer is meant in all dimensions, to the mean picture of a class. Axes have no unit and differ between panels."
            }
            (foot(command, &format!("map-{}", index + 1), &csv(map)))
        }
    }
}

fn title(map: &ClassMap, a: &str, b: &str) -> String {
    let shares: Vec<String> =
        map.panels.iter().map(|p| format!("{} ({})", percent(p.crossed), p.label)).collect();
    format!("Captions of {a} that lie nearer to pictures of {b}: {}", shares.join(", "))
}

fn description(panel: &MapPanel, a: &str, b: &str) -> String {
    format!(
        "{}: {} pictures of {a}, {} of {b}, {} captions of {a}, of which {} lie nearer to the mean of {b}",
        panel.label,
        panel.from.len(),
        panel.to.len(),
        panel.captions.len(),
        percent(panel.crossed)
    )
}

#[derive(Clone, Copy)]
enum Kind {
    From,
    To,
    Caption,
}

fn mark(kind: Kind, x: f64, y: f64) -> Markup {
    let path = |d: String, class: &str| html! { path class=(class) d=(d) {} };
    let (l, t) = (number(x - 4.5), number(y - 4.5));
    match kind {
        Kind::From => html! { circle class="dot hollow" cx=(number(x)) cy=(number(y)) r="4.5" {} },
        Kind::To => path(format!("M{l} {t}h9v9h-9Z"), "dot full"),
        Kind::Caption => path(format!("M{l} {t}l9 9m0 -9l-9 9"), "dot cross"),
    }
}

/// Equal scales on both axes; captions on top.
fn points(panel: &MapPanel) -> Markup {
    let all = || panel.from.iter().chain(&panel.to).chain(&panel.captions);
    let ends = |axis: usize| {
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p[axis]), h.max(p[axis])))
    };
    let ((x0, x1), (y0, y1)) = (ends(0), ends(1));
    let scale = (SIDE - 2.0 * MARGIN) / (x1 - x0).max(y1 - y0).max(1e-9);
    let place = |p: &[f64; 2]| {
        let x = SIDE / 2.0 + (p[0] - f64::midpoint(x0, x1)) * scale;
        (x, SIDE / 2.0 - (p[1] - f64::midpoint(y0, y1)) * scale)
    };
    let kinds =
        [(Kind::From, &panel.from), (Kind::To, &panel.to), (Kind::Caption, &panel.captions)];
    html! {
        @for (kind, points) in kinds {
            @for (x, y) in points.iter().map(place) { (mark(kind, x, y)) }
        }
    }
}

fn csv(map: &ClassMap) -> String {
    let mut out = csv_line(&["model", "kind", "x", "y"].map(str::to_owned));
    for panel in &map.panels {
        for (kind, points) in [
            ("picture of A", &panel.from),
            ("picture of B", &panel.to),
            ("caption of A", &panel.captions),
        ] {
            for [x, y] in points {
                let fields =
                    [panel.label.clone(), kind.into(), format!("{x:.5}"), format!("{y:.5}")];
                out.push_str(&csv_line(&fields));
            }
        }
    }
    out
}
