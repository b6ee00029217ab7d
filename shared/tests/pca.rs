//! Principal components against NumPy's singular value decomposition (`golden/pca.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::pca::{Plane, axes, plane};

#[derive(Deserialize, Clone)]
struct Case {
    points: Vec<Vec<f64>>,
    plane: Vec<[f64; 2]>,
    kept: f64,
}

fn golden() -> Vec<Case> {
    serde_json::from_str(include_str!("golden/pca.json")).unwrap()
}

/// The largest deviation; each axis may have the other sign.
fn deviation(got: &Plane, case: &Case) -> f64 {
    let axis = |axis: usize| {
        let pairs = || got.points.iter().zip(&case.plane).map(move |(a, b)| (a[axis], b[axis]));
        let sign = pairs().map(|(a, b)| a * b).sum::<f64>().signum();
        pairs().map(|(a, b)| (a - sign * b).abs()).fold(0.0, f64::max)
    };
    axis(0).max(axis(1)).max((got.kept - case.kept).abs())
}

#[test]
fn the_plane_is_that_of_numpy() {
    for case in golden() {
        let got = plane(&case.points);
        assert!(deviation(&got, &case) < 1e-10, "{}", deviation(&got, &case));
    }
}

#[test]
fn the_first_axes_are_those_of_numpy() {
    for case in golden() {
        let narrow = |p: &Vec<f64>| p.iter().map(|x| *x as f32).collect();
        let points: Vec<Vec<f32>> = case.points.iter().map(narrow).collect();
        let both = axes(&points.iter().map(|p| &p[..]).collect::<Vec<_>>(), 2);
        let points = both[0].iter().zip(&both[1]).map(|(x, y)| [*x, *y]).collect();
        // What single precision leaves.
        let off = deviation(&Plane { points, kept: case.kept }, &case);
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn the_comparison_can_fail() {
    for case in golden() {
        let got = plane(&case.points);
        let mut moved = case.clone();
        moved.plane[1][1] += 1e-6;
        assert!(deviation(&got, &moved) > 1e-7);
        let turned = case.plane.iter().map(|[x, y]| [*y, *x]).collect();
        assert!(deviation(&got, &Case { plane: turned, ..case.clone() }) > 1e-3);
    }
}
