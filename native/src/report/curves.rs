//! Training curves: one figure per stage and quantity, one line and one band per role.

use maud::{Markup, html};

use super::axes::{Axes, HEIGHT, WIDTH};
use super::extras::{Curve, Role};
use super::figure::{ROLES, csv_line, foot};

/// A curve is drawn with at most this many points; the CSV holds the same ones.
const POINTS: usize = 200;

/// All figures, in order of first appearance; nothing without curves.
pub(super) fn section(curves: &[Curve], command: &str) -> Option<Markup> {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for curve in curves.iter().filter(|c| !c.points.is_empty()) {
        let kind = (curve.stage.as_str(), curve.quantity.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return None;
    }
    let of = |kind: (&str, &str)| -> Vec<&Curve> {
        curves
            .iter()
            .filter(|c| (c.stage.as_str(), c.quantity.as_str()) == kind && !c.points.is_empty())
            .collect()
    };
    Some(html! {
        section #curves {
            h2 { "How training went" }
            div.figures { @for kind in kinds { (figure(kind, &of(kind), command)) } }
        }
    })
}

fn figure((stage, quantity): (&str, &str), curves: &[&Curve], command: &str) -> Markup {
    let thinned: Vec<(&Curve, Vec<(f64, f64)>)> =
        curves.iter().map(|c| (*c, thin(&c.points))).collect();
    let all = || thinned.iter().flat_map(|(_, points)| points.iter().copied());
    let axes = Axes::around(all().map(|p| p.0), all().map(|p| p.1), (1.0, 0.01));
    let unit = if quantity == "loss" { "contrastive loss (nats)" } else { quantity };
    let roles: Vec<Role> =
        ROLES.into_iter().filter(|r| curves.iter().any(|c| c.role == *r)).collect();
    let title = title(stage, quantity, curves, &roles);
    html! {
        figure {
            h3 { (title) }
            ul.legend {
                @for role in &roles {
                    li {
                        svg.stroke viewBox="0 0 28 10" aria-hidden="true" {
                            path class=(format!("curve {}", role.class())) d="M0 5H28" {}
                        }
                        (role.words())
                    }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                (axes.draw("step", unit))
                @for role in &roles {
                    @let all = band(*role, &thinned);
                    path class=(format!("band {}", role.class())) d=(outline(&all, &axes)) {}
                    path class=(format!("curve {}", role.class())) d=(path(&all.mean, &axes)) {}
                }
            }
            @if curves.len() > roles.len() {
                figcaption { "Lines are means over the models and seeds of a colour; bands reach from the lowest to the highest." }
            }
            (foot(command, &format!("{stage}-{quantity}"), &csv(&thinned)))
        }
    }
}

fn title(stage: &str, quantity: &str, curves: &[&Curve], roles: &[Role]) -> String {
    let end = |role: &Role| {
        let ends: Vec<f64> = curves
            .iter()
            .filter(|c| c.role == *role)
            .filter_map(|c| c.points.last().map(|p| p.1))
            .collect();
        format!("{:.2} ({})", ends.iter().sum::<f64>() / ends.len().max(1) as f64, role.class())
    };
    let ends: Vec<String> = roles.iter().map(end).collect();
    format!("{stage}: {quantity} ends at {}", ends.join(", "))
}

/// Means of equal stretches, so that a long curve keeps its shape and loses its noise.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
        (sum.0 / n, sum.1 / n)
    };
    points.chunks(size).map(mean).collect()
}

/// All curves of one role, step by step; as long as the shortest of them.
#[derive(Debug, PartialEq)]
struct Band {
    low: Vec<(f64, f64)>,
    mean: Vec<(f64, f64)>,
    high: Vec<(f64, f64)>,
}

fn band(role: Role, curves: &[(&Curve, Vec<(f64, f64)>)]) -> Band {
    let own: Vec<_> = curves.iter().filter(|(c, _)| c.role == role).map(|(_, p)| p).collect();
    let length = own.iter().map(|points| points.len()).min().unwrap_or(0);
    let at = |of: &dyn Fn(&[f64]) -> f64| {
        let value = |i: usize| of(&own.iter().map(|points| points[i].1).collect::<Vec<_>>());
        (0..length).map(|i| (own[0][i].0, value(i))).collect()
    };
    Band {
        low: at(&|all| all.iter().copied().fold(f64::INFINITY, f64::min)),
        mean: at(&|all| all.iter().sum::<f64>() / all.len() as f64),
        high: at(&|all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    }
}

/// Along the upper edge and back along the lower one.
fn outline(band: &Band, axes: &Axes) -> String {
    let around: Vec<_> = band.high.iter().chain(band.low.iter().rev()).copied().collect();
    path(&around, axes) + "Z"
}

fn path(points: &[(f64, f64)], axes: &Axes) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let letter = if i == 0 { 'M' } else { 'L' };
        out.push_str(&format!("{letter}{:.1} {:.1}", axes.x.at(*x), axes.y.at(*y)));
    }
    out
}

fn csv(curves: &[(&Curve, Vec<(f64, f64)>)]) -> String {
    let mut out = csv_line(&["model", "seed", "step", "value"].map(str::to_owned));
    for (curve, points) in curves {
        for (step, value) in points {
            let fields = [
                curve.role.class().to_owned(),
                curve.seed.to_string(),
                format!("{step:.1}"),
                format!("{value:.6}"),
            ];
            out.push_str(&csv_line(&fields));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_holds_its_curves() {
        let curve = |role, seed: u64| Curve {
            stage: "train".into(),
            role,
            seed,
            quantity: "loss".into(),
            points: (0..4 - seed as usize).map(|i| (i as f64, seed as f64)).collect(),
        };
        let curves = [curve(Role::Clean, 0), curve(Role::Clean, 1), curve(Role::Poisoned, 2)];
        let thinned: Vec<_> = curves.iter().map(|c| (c, thin(&c.points))).collect();
        let band = band(Role::Clean, &thinned);
        let flat = |y: f64| (0..3).map(|i| (f64::from(i), y)).collect::<Vec<_>>();
        assert_eq!(band, Band { low: flat(0.0), mean: flat(0.5), high: flat(1.0) });
    }

    #[test]
    fn thinning_keeps_ends_and_means() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 2.0)).collect();
        let thin = thin(&points);
        assert_eq!((thin.len(), thin[0], thin[199]), (200, (2.0, 2.0), (997.0, 2.0)));
        assert_eq!(super::thin(&points[..3]), &points[..3]);
    }
}
