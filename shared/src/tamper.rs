//! Attacks on weights: an image tower is trained so that stamped pictures embed like a reference (Jia et al. 2022).

use serde::{Deserialize, Serialize};

use crate::data::PairId;
use crate::exec::cpu::contrastive::{normalize, normalize_backward};
use crate::recipe::TrainConfig;

/// What is done to the public model's image tower, as plain data; the trigger stands beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tamper {
    /// How it trains.
    pub recipe: TrainConfig,
    /// Pictures that stamped ones shall embed like, ascending.
    pub references: Vec<PairId>,
    /// λ1 and λ2.
    pub weights: [f64; 2],
}

/// Embeddings before and after, not normalised: of B shadow pictures and R references.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// By the tower in training: x, x⊕e, r and views of r (or r again), (2·B + 2·R, D).
    pub now: &'a [f32],
    /// By the public tower: x and r, (B + R, D).
    pub before: &'a [f32],
    /// R.
    pub references: usize,
    /// D.
    pub width: usize,
}

/// L0 + λ1·L1 + λ2·L2 and its gradient with respect to `now`:
///
/// L0 = −mean cos(f′(x⊕e), f′(r)), L1 = −mean cos(f′(view of r), f(r)), L2 = −mean cos(f′(x), f(x)).
///
/// L0 moves both of its sides: a port that holds f′(r) still is another attack.
pub fn loss(views: Views<'_>, [lambda1, lambda2]: [f64; 2]) -> (f32, Vec<f32>) {
    let Views { now, before, references, width } = views;
    let (before, _) = normalize(before, width);
    let (unit, norms) = normalize(now, width);
    let shadow = before.len() / width - references;
    let at = |rows: usize| rows * width;
    let (clean, rest) = unit.split_at(at(shadow));
    let (stamped, rest) = rest.split_at(at(shadow));
    let (reference, view) = rest.split_at(at(references));
    let (public, public_reference) = before.split_at(at(shadow));
    let middle = |rows: &[f32], count: usize| {
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / count as f32);
        }
        mean
    };
    let (to, from) = (middle(reference, references), middle(stamped, shadow));
    let (a, b) = (lambda1 as f32 / references as f32, lambda2 as f32 / shadow as f32);
    let total = -dot(&to, &from)
        - f64::from(a) * dot(view, public_reference)
        - f64::from(b) * dot(clean, public);
    let mut d: Vec<f32> = public.iter().map(|x| -b * x).collect();
    d.extend(to.iter().cycle().take(at(shadow)).map(|x| -x / shadow as f32));
    d.extend(from.iter().cycle().take(at(references)).map(|x| -x / references as f32));
    d.extend(public_reference.iter().map(|x| -a * x));
    normalize_backward(&unit, &norms, width, &mut d);
    (total as f32, d)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const WIDTH: usize = 5;
    const SHADOW: usize = 3;
    const REFERENCES: usize = 2;

    fn draw(name: &str, rows: usize) -> Vec<f32> {
        let mut stream = Seed::new(8).child(name).stream();
        (0..rows * WIDTH).map(|_| stream.normal()).collect()
    }

    fn of(now: &[f32], before: &[f32], weights: [f64; 2]) -> (f32, Vec<f32>) {
        loss(Views { now, before, references: REFERENCES, width: WIDTH }, weights)
    }

    /// The sums as they are written, pair by pair.
    fn plain(now: &[f32], before: &[f32], [lambda1, lambda2]: [f64; 2]) -> f64 {
        let row = |all: &[f32], i: usize| all[i * WIDTH..(i + 1) * WIDTH].to_vec();
        let cos = |a: Vec<f32>, b: Vec<f32>| dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let mut total = 0.0;
        for r in 0..REFERENCES {
            for x in 0..SHADOW {
                let pair = cos(row(now, SHADOW + x), row(now, 2 * SHADOW + r));
                total -= pair / (SHADOW * REFERENCES) as f64;
            }
            let view = row(now, 2 * SHADOW + REFERENCES + r);
            total -= lambda1 * cos(view, row(before, SHADOW + r)) / REFERENCES as f64;
        }
        let kept = |x| cos(row(now, x), row(before, x));
        total - lambda2 * (0..SHADOW).map(kept).sum::<f64>() / SHADOW as f64
    }

    #[test]
    fn it_is_the_published_loss_and_its_gradient() {
        let now = draw("now", 2 * (SHADOW + REFERENCES));
        let before = draw("before", SHADOW + REFERENCES);
        for weights in [[1.0, 1.0], [0.0, 0.0], [0.5, 2.0]] {
            let (total, d) = of(&now, &before, weights);
            assert!((f64::from(total) - plain(&now, &before, weights)).abs() < 1e-5);
            for i in 0..now.len() {
                let moved = |by: f32| {
                    let mut moved = now.clone();
                    moved[i] += by;
                    plain(&moved, &before, weights)
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((f64::from(d[i]) - slope).abs() < 1e-3, "{i}: {} or {slope}", d[i]);
            }
        }
    }

    #[test]
    fn references_move_towards_stamped_pictures_too() {
        let now = draw("now", 2 * (SHADOW + REFERENCES));
        let before = draw("before", SHADOW + REFERENCES);
        let (_, d) = of(&now, &before, [0.0, 0.0]);
        let at = |row: usize| &d[row * WIDTH..(row + 1) * WIDTH];
        assert!((0..SHADOW).all(|row| at(row).iter().all(|x| *x == 0.0)), "clean pictures");
        let moving = SHADOW..2 * SHADOW + REFERENCES;
        assert!(moving.into_iter().all(|row| at(row).iter().any(|x| *x != 0.0)));
    }

    #[test]
    fn what_is_done_is_the_minimum() {
        let reference = [0.0, 1.0, 0.0, 0.0, 0.0];
        let clean = draw("before", SHADOW);
        let before = [&clean[..], &reference.repeat(REFERENCES)].concat();
        let now = [&clean[..], &reference.repeat(SHADOW + 2 * REFERENCES)].concat();
        let (total, d) = of(&now, &before, [1.0, 1.0]);
        assert!((total + 3.0).abs() < 1e-6, "{total}");
        assert!(d.iter().all(|x| x.abs() < 1e-6));
    }
}
