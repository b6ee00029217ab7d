//! The main plot: attack success against utility, one point per cell with both intervals, arrows from
//! the undefended attack to its defenses.

use maud::{Markup, html};

use super::aggregate::Estimate;
use super::axes::{Axes, HEIGHT, WIDTH};
use super::extras::Role;
use super::figure::{ROLES, csv_line, foot, marker, number, shape};
use super::lines::{HIT, Line, UTILITY};
use super::numbers::percent;

/// A line that has both coordinates.
struct Point<'a> {
    line: &'a Line,
    x: &'a Estimate,
    y: &'a Estimate,
}

/// One figure for the lines of one data set and encoder; nothing if fewer than two cells have both numbers.
pub(super) fn figure(lines: &[&Line], command: &str) -> Option<Markup> {
    let points: Vec<Point<'_>> = lines
        .iter()
        .filter_map(|line| Some(Point { line, x: line.utility.as_ref()?, y: line.hit.as_ref()? }))
        .collect();
    if points.len() < 2 {
        return None;
    }
    let xs: Vec<f64> =
        points.iter().flat_map(|p| [p.x.interval.lo, p.x.interval.hi, p.x.value]).collect();
    let axes = Axes::around(xs.iter().copied(), [0.0, 1.0].into_iter(), (0.1, 1.0));
    let title = title(&points);
    Some(html! {
        figure {
            h3 { (title) }
            (legend())
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(description(&points)) {
                (axes.draw(&format!("utility: {UTILITY} (share of captions)"), &format!("attack success: {HIT} (share of queries)")))
                @for mark in points.iter().filter_map(|p| baseline(p, &axes)) { (mark) }
                @for p in &points { (whiskers(p, &axes)) }
                @for mark in points.iter().filter_map(|p| arrow(p, &points, &axes)) { (mark) }
                @for p in &points { (shape(p.line.role, axes.x.at(p.x.value), axes.y.at(p.y.value))) }
                @for (p, (x, y, anchor)) in points.iter().zip(label_places(&points, &axes)) {
                    text.halo x=(number(x)) y=(number(y)) text-anchor=(anchor) { (name(p.line, &points)) }
                }
            }
            figcaption {
                "Each point is one model over all seeds; the bars are 95 % intervals. Up is success for the attacker, right is a more useful model. "
                "Dotted arrows lead from the undefended attack to its defenses."
            }
            (foot(command, "attack-and-utility", &csv(&points)))
        }
    })
}

/// States the finding of the figure in words.
fn title(points: &[Point<'_>]) -> String {
    let attack = points.iter().filter(|p| p.line.role == Role::Poisoned);
    let Some(worst) = attack.max_by(|a, b| a.y.value.total_cmp(&b.y.value)) else {
        return "Attack success and utility".into();
    };
    let clean = worst.line.clean_hit.as_ref().map(|c| format!(" instead of {}", percent(c.value)));
    let defended = points
        .iter()
        .filter(|p| p.line.role == Role::Defended && p.line.attack == worst.line.attack)
        .min_by(|a, b| a.y.value.total_cmp(&b.y.value))
        .map(|p| format!("; {} brings it to {}", p.line.defense, percent(p.y.value)));
    format!(
        "{} is hit by {} of its queries{}{}",
        worst.line.attack,
        percent(worst.y.value),
        clean.unwrap_or_default(),
        defended.unwrap_or_default()
    )
}

fn description(points: &[Point<'_>]) -> String {
    let one = |p: &Point<'_>| {
        format!("{}: {HIT} {:.2}, {UTILITY} {:.2}", name(p.line, points), p.y.value, p.x.value)
    };
    points.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The model's name; on controls with several attacks also what it is scored against.
fn name(line: &Line, points: &[Point<'_>]) -> String {
    let scored = points.iter().filter(|p| p.line.role == Role::Clean).map(|p| &p.line.scored);
    let first = points.iter().find(|p| p.line.role == Role::Clean).map(|p| &p.line.scored);
    let several = scored.into_iter().any(|s| Some(s) != first);
    match &line.scored {
        Some(attack) if several && line.role == Role::Clean => {
            format!("{} ({attack})", line.model())
        }
        _ => line.model(),
    }
}

fn legend() -> Markup {
    html! {
        ul.legend {
            @for role in ROLES { li { (marker(role)) (role.words()) } }
            li {
                svg class="marker" viewBox="0 0 18 18" aria-hidden="true" { (diamond(9.0, 9.0)) }
                "random captions, same model"
            }
        }
    }
}

fn diamond(x: f64, y: f64) -> Markup {
    let points = format!(
        "{x:.1},{:.1} {:.1},{y:.1} {x:.1},{:.1} {:.1},{y:.1}",
        y - 6.0,
        x + 6.0,
        y + 6.0,
        x - 6.0
    );
    html! { polygon class="hollow reference" points=(points) {} }
}

fn baseline(p: &Point<'_>, axes: &Axes) -> Option<Markup> {
    let random = p.line.random_hit.as_ref()?;
    Some(diamond(axes.x.at(p.x.value), axes.y.at(random.value)))
}

fn whiskers(p: &Point<'_>, axes: &Axes) -> Markup {
    let (x, y) = (axes.x.at(p.x.value), axes.y.at(p.y.value));
    let (left, right) = (axes.x.at(p.x.interval.lo), axes.x.at(p.x.interval.hi));
    let (low, high) = (axes.y.at(p.y.interval.lo), axes.y.at(p.y.interval.hi));
    let path = format!(
        "M{left:.1} {y:.1}H{right:.1}M{x:.1} {low:.1}V{high:.1}\
         M{left:.1} {:.1}v8M{right:.1} {:.1}v8M{:.1} {low:.1}h8M{:.1} {high:.1}h8",
        y - 4.0,
        y - 4.0,
        x - 4.0,
        x - 4.0
    );
    html! { path class=(format!("whisker {}", p.line.role.class())) d=(path) {} }
}

fn arrow(to: &Point<'_>, points: &[Point<'_>], axes: &Axes) -> Option<Markup> {
    if to.line.role != Role::Defended {
        return None;
    }
    let from =
        points.iter().find(|p| p.line.role == Role::Poisoned && p.line.attack == to.line.attack)?;
    let (x0, y0) = (axes.x.at(from.x.value), axes.y.at(from.y.value));
    let (x1, y1) = (axes.x.at(to.x.value), axes.y.at(to.y.value));
    let length = (x1 - x0).hypot(y1 - y0);
    if length < 30.0 {
        return None;
    }
    let (ux, uy) = ((x1 - x0) / length, (y1 - y0) / length);
    let (sx, sy) = (x0 + 11.0 * ux, y0 + 11.0 * uy);
    let (tx, ty) = (x1 - 11.0 * ux, y1 - 11.0 * uy);
    let (bx, by) = (tx - 8.0 * ux, ty - 8.0 * uy);
    let head = format!(
        "{tx:.1},{ty:.1} {:.1},{:.1} {:.1},{:.1}",
        bx - 4.0 * uy,
        by + 4.0 * ux,
        bx + 4.0 * uy,
        by - 4.0 * ux
    );
    Some(html! {
        line.arrow x1=(number(sx)) y1=(number(sy)) x2=(number(bx)) y2=(number(by)) {}
        polygon.arrowhead points=(head) {}
    })
}

/// Beside each point, on the side with room, moved down where two labels would touch.
fn label_places(points: &[Point<'_>], axes: &Axes) -> Vec<(f64, f64, &'static str)> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*b].y.value.total_cmp(&points[*a].y.value));
    let mut places = vec![(0.0, 0.0, "start"); points.len()];
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    for i in order {
        let (x, y) = (axes.x.at(points[i].x.value), axes.y.at(points[i].y.value));
        let width = 7.5 * name(points[i].line, points).chars().count() as f64;
        let rightwards = x + 12.0 + width < WIDTH - 4.0;
        let left = if rightwards { x + 12.0 } else { x - 12.0 - width };
        let mut base = (y - 8.0).max(14.0);
        while taken.iter().any(|t| (t.2 - base).abs() < 15.0 && left < t.1 && t.0 < left + width) {
            base += 4.0;
        }
        taken.push((left, left + width, base));
        places[i] = if rightwards { (left, base, "start") } else { (x - 12.0, base, "end") };
    }
    places
}

fn csv(points: &[Point<'_>]) -> String {
    let head = ["dataset", "encoder", "attack", "scored_against", "defense"].map(str::to_owned);
    let mut head = head.to_vec();
    for metric in [HIT, UTILITY] {
        head.extend(["", "_lo", "_hi", "_n"].map(|end| format!("{metric}{end}")));
    }
    let mut out = csv_line(&head);
    for p in points {
        let l = p.line;
        let mut fields = vec![
            l.dataset.clone(),
            l.encoder.clone(),
            l.attack.clone(),
            l.scored.clone().unwrap_or_default(),
            l.defense.clone(),
        ];
        for e in [p.y, p.x] {
            fields.extend([e.value, e.interval.lo, e.interval.hi].map(|v| v.to_string()));
            fields.push(e.n.to_string());
        }
        out.push_str(&csv_line(&fields));
    }
    out
}
