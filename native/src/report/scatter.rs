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
        .filter_map(|line| Some(Point { line, x: line.utility.as_ref()?, y: line.success()?.1 }))
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
                (axes.draw(&format!("utility: {UTILITY} (share)"), &format!("attack success: {} (share)", success(&points))))
                @for mark in points.iter().filter_map(|p| baseline(p, &axes)) { (mark) }
                @for p in &points { (whiskers(p, &axes)) }
                @for mark in points.iter().filter_map(|p| arrow(p, &points, &axes)) { (mark) }
                @for p in &points { (shape(p.line.role, axes.x.at(p.x.value), axes.y.at(p.y.value))) }
                @for (i, (x, y, anchor)) in label_places(&points, &axes).into_iter().enumerate() {
                    text.halo x=(number(x)) y=(number(y)) text-anchor=(anchor) { (label(i, &points)) }
                }
            }
            ol.key { @for p in &points { li { (marker(p.line.role)) (name(p.line, &points)) " " span.quiet { (values(p)) } } } }
            figcaption {
                "Each point is one model over all seeds, numbered as in the key; the bars are 95 % intervals. Up is success for the attacker, right is a more useful model. "
                "Dotted arrows lead from the undefended attack to its defenses."
            }
            (foot(command, "attack-and-utility", &csv(&points)))
        }
    })
}

/// The metrics that say how often attacks succeed.
fn success(points: &[Point<'_>]) -> String {
    let mut names: Vec<&str> = points.iter().filter_map(|p| Some(p.line.success()?.0)).collect();
    names.sort_unstable();
    names.dedup();
    names.join(" or ")
}

/// States the finding of the figure in words.
fn title(points: &[Point<'_>]) -> String {
    let attack = points.iter().filter(|p| p.line.role == Role::Poisoned);
    let Some(worst) = attack.max_by(|a, b| a.y.value.total_cmp(&b.y.value)) else {
        return "Attack success and utility".into();
    };
    let clean = worst.line.clean_success();
    let clean = clean.map(|c| format!(" (clean model {})", percent(c.value)));
    let defended = points
        .iter()
        .filter(|p| p.line.role == Role::Defended && p.line.attack == worst.line.attack)
        .min_by(|a, b| a.y.value.total_cmp(&b.y.value))
        .map(|p| format!("; after {} {} remain", p.line.defense, percent(p.y.value)));
    format!(
        "{} succeeds on {} of its queries{}{}",
        worst.line.attack,
        percent(worst.y.value),
        clean.unwrap_or_default(),
        defended.unwrap_or_default()
    )
}

fn description(points: &[Point<'_>]) -> String {
    let one = |p: &Point<'_>| format!("{}: {}", name(p.line, points), values(p));
    points.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn values(p: &Point<'_>) -> String {
    let metric = p.line.success().map_or(HIT, |(metric, _)| metric);
    format!("{metric} {:.2}, {UTILITY} {:.2}", p.y.value, p.x.value)
}

/// The point's number in the key below the plot; undefended attacks stand apart and have room for a short name.
fn label(i: usize, points: &[Point<'_>]) -> String {
    let attack = &points[i].line.attack;
    match points[i].line.role {
        Role::Poisoned if attack.len() <= LONGEST => format!("{} {attack}", i + 1),
        _ => (i + 1).to_string(),
    }
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

/// The undefended attack that a defended point answers.
fn undefended<'a>(to: &Point<'_>, points: &'a [Point<'a>]) -> Option<&'a Point<'a>> {
    let same = |p: &&Point<'_>| p.line.role == Role::Poisoned && p.line.attack == to.line.attack;
    points.iter().find(same).filter(|_| to.line.role == Role::Defended)
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

/// Where a label may stand relative to its point: to the right or left, and by how much its base line is moved.
/// Letters of an attack's name that still fit beside its point.
const LONGEST: usize = 28;
const CANDIDATES: [(bool, f64); 10] = [
    (true, -9.0),
    (false, -9.0),
    (true, 21.0),
    (false, 21.0),
    (true, -25.0),
    (false, -25.0),
    (true, 37.0),
    (false, 37.0),
    (true, -41.0),
    (false, -41.0),
];

/// A rectangle of the drawing: left, right, top, bottom.
type Area = (f64, f64, f64, f64);

/// For each point the candidate place that covers the fewest marks, and no label placed before it if that can be.
fn label_places(points: &[Point<'_>], axes: &Axes) -> Vec<(f64, f64, &'static str)> {
    let mut labels: Vec<Area> = Vec::new();
    let mut taken: Vec<Area> = points.iter().flat_map(|p| marks(p, axes)).collect();
    taken.extend(points.iter().flat_map(|p| arrow_areas(p, points, axes)));
    let mut places = Vec::new();
    for (i, p) in points.iter().enumerate() {
        let (x, y) = (axes.x.at(p.x.value), axes.y.at(p.y.value));
        // A letter is about 8.6 units wide, a digit 10, in the larger text of small screens.
        let width = 8.6 * label(i, points).chars().count() as f64 + 2.0;
        let area = |(right, down): (bool, f64)| {
            let left = if right { x + 12.0 } else { x - 12.0 - width };
            (left, left + width, y + down - 14.0, y + down + 4.0)
        };
        let collisions = |place: &(bool, f64)| {
            let a = area(*place);
            let outside = a.0 < 60.0 || a.1 > WIDTH || a.2 < 0.0 || a.3 > HEIGHT - 52.0;
            let hit = |t: &&Area| a.0 < t.1 && t.0 < a.1 && a.2 < t.3 && t.2 < a.3;
            let unreadable = labels.iter().filter(hit).count() + usize::from(outside);
            taken.iter().filter(hit).count() + 100 * unreadable
        };
        let best = CANDIDATES.into_iter().min_by_key(collisions).unwrap_or(CANDIDATES[0]);
        labels.push(area(best));
        places.push(match best.0 {
            true => (x + 12.0, y + best.1, "start"),
            false => (x - 12.0, y + best.1, "end"),
        });
    }
    places
}

/// Small areas along the arrow to a defended point.
fn arrow_areas(to: &Point<'_>, points: &[Point<'_>], axes: &Axes) -> Vec<Area> {
    let Some(from) = undefended(to, points) else { return Vec::new() };
    let (x0, y0) = (axes.x.at(from.x.value), axes.y.at(from.y.value));
    let (x1, y1) = (axes.x.at(to.x.value), axes.y.at(to.y.value));
    let at = |i: u32| {
        let t = f64::from(i) / 30.0;
        let (x, y) = (x0 + t * (x1 - x0), y0 + t * (y1 - y0));
        (x - 5.0, x + 5.0, y - 5.0, y + 5.0)
    };
    (0..=30).map(at).collect()
}

/// What a point covers: its shape, both whiskers, its baseline.
fn marks(p: &Point<'_>, axes: &Axes) -> Vec<Area> {
    let (x, y) = (axes.x.at(p.x.value), axes.y.at(p.y.value));
    let (left, right) = (axes.x.at(p.x.interval.lo), axes.x.at(p.x.interval.hi));
    let (low, high) = (axes.y.at(p.y.interval.lo), axes.y.at(p.y.interval.hi));
    let around = |y: f64| (x - 8.0, x + 8.0, y - 7.0, y + 7.0);
    let mut out = vec![around(y), (left, right, y - 4.0, y + 4.0), (x - 4.0, x + 4.0, high, low)];
    out.extend(p.line.random_hit.as_ref().map(|r| around(axes.y.at(r.value))));
    out
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
