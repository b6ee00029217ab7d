//! The activations that a trigger moves, and the loss that brings them back.

use crate::exec::cpu::Pass;
use crate::exec::cpu::contrastive::{normalize, normalize_backward};
use crate::graph::{Graph, Node};
use crate::{Error, Result};

/// Keeps quotients finite.
const TINY: f64 = 1e-12;

/// A walk over clean pictures and behind them the same with the trigger.
#[derive(Clone, Copy)]
pub struct Halves<'a> {
    /// What came of all 2·B of them.
    pub pass: &'a Pass,
    /// B.
    pub size: usize,
}

impl Halves<'_> {
    /// Means over the batch of what a step gives, clean and with the trigger.
    fn means(&self, node: Node) -> [Vec<f64>; 2] {
        let all = self.pass.value(node.index());
        let (clean, stamped) = all.split_at(all.len() / 2);
        [clean, stamped].map(|half| {
            let each = half.len() / self.size;
            let mut mean = vec![0.0f64; each];
            for values in half.chunks_exact(each) {
                mean.iter_mut().zip(values).for_each(|(m, v)| *m += f64::from(*v));
            }
            mean.iter_mut().for_each(|m| *m /= self.size as f64);
            mean
        })
    }
}

/// Activations by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    layers: Vec<(Node, Vec<bool>)>,
}

/// The loss with its gradients.
#[derive(Debug)]
pub struct Loss {
    /// All of it.
    pub whole: f32,
    /// Σ over layers of ‖(ā_c − ā_t)⊙M‖ / ‖ā_c⊙M‖.
    pub moved: f32,
    /// Mean distance of the unit vectors of clean pictures from where they were.
    pub drift: f32,
    /// With respect to the embeddings (2·B, D).
    pub d_embeddings: Vec<f32>,
    /// With respect to what the layers give.
    pub inner: Vec<(Node, Vec<f32>)>,
}

impl Moved {
    /// Layers that may be tuned: the four stages of a ResNet, as published; the blocks of a transformer.
    pub fn candidates(graph: &Graph) -> Vec<Node> {
        let stage = |i: usize| graph.end_of(&format!("visual.layer{}", i + 1));
        let block = |i: usize| graph.end_of(&format!("visual.transformer.resblocks.{i}"));
        let stages: Vec<Node> = (0..4).map_while(stage).collect();
        // The last block of a transformer ends in the step that gives the class token alone: it is read like the others.
        if stages.is_empty() { (0..).map_while(block).collect() } else { stages }
    }

    /// The `count` candidates whose means the trigger moves most, by ‖ā_c − ā_t‖ / ‖ā_c‖, and in each of them the activations
    /// in the upper of two clusters of |ā_c − ā_t| (k-means in one dimension, begun at the ends).
    ///
    /// # Errors
    /// If the trigger moves nothing, or an activation is not finite.
    pub fn find(halves: Halves<'_>, graph: &Graph, count: usize) -> Result<Self> {
        let mut found = Vec::new();
        for node in Self::candidates(graph) {
            let [clean, stamped] = halves.means(node);
            let difference: Vec<f64> =
                clean.iter().zip(&stamped).map(|(c, t)| (c - t).abs()).collect();
            let impact = norm(&difference) / norm(&clean).max(TINY);
            if !impact.is_finite() {
                return Err(Error::request("activations of the image tower are not finite"));
            }
            found.push((impact, node, upper(&difference)));
        }
        // Stable: of equals the earlier layer.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(count);
        if found.iter().all(|(impact, ..)| *impact == 0.0) {
            return Err(Error::request(
                "the inverted trigger moves no activation; give its search more steps",
            ));
        }
        let layers = found.into_iter().map(|(_, node, mask)| (node, mask)).collect();
        Ok(Self { layers })
    }

    /// How many activations are tuned.
    pub fn count(&self) -> usize {
        self.layers.iter().flat_map(|(_, mask)| mask).filter(|m| **m).count()
    }

    /// Loss of a walk; `before` holds the unit vectors that the clean pictures had at the start (B, `width`).
    pub fn loss(&self, halves: Halves<'_>, before: &[f32], width: usize, weight: f64) -> Loss {
        let mut moved = 0.0;
        let mut inner = Vec::new();
        for (node, mask) in &self.layers {
            let (value, d) = layer(halves.means(*node), mask, halves.size);
            moved += value;
            inner.push((*node, d));
        }
        let embeddings = halves.pass.embeddings();
        let (clean, stamped) = embeddings.split_at(embeddings.len() / 2);
        let (drift, mut d_embeddings) = drift(clean, before, width, weight as f32);
        d_embeddings.resize(clean.len() + stamped.len(), 0.0);
        let whole = moved as f32 + weight as f32 * drift;
        Loss { whole, moved: moved as f32, drift, d_embeddings, inner }
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Which values belong to the upper of two clusters.
fn upper(values: &[f64]) -> Vec<bool> {
    let end = |pick: fn(f64, f64) -> f64, from| values.iter().copied().fold(from, pick);
    let mut centres = [end(f64::min, f64::INFINITY), end(f64::max, 0.0)];
    loop {
        let cut = (centres[0] + centres[1]) / 2.0;
        let mean = |high: bool| {
            let side: Vec<f64> = values.iter().copied().filter(|v| (*v > cut) == high).collect();
            (!side.is_empty()).then(|| side.iter().sum::<f64>() / side.len() as f64)
        };
        let next = [mean(false).unwrap_or(centres[0]), mean(true).unwrap_or(centres[1])];
        if next == centres {
            return values.iter().map(|v| *v > cut).collect();
        }
        centres = next;
    }
}

/// ‖(ā_c − ā_t)⊙M‖ / ‖ā_c⊙M‖ and its gradient with respect to the values of both halves.
fn layer([clean, stamped]: [Vec<f64>; 2], mask: &[bool], size: usize) -> (f64, Vec<f32>) {
    let within = |i: usize, v: f64| if mask[i] { v } else { 0.0 };
    let difference: Vec<f64> =
        clean.iter().zip(&stamped).enumerate().map(|(i, (c, t))| within(i, c - t)).collect();
    let own: Vec<f64> = clean.iter().enumerate().map(|(i, c)| within(i, *c)).collect();
    let (above, below) = (norm(&difference), norm(&own).max(TINY));
    let each = clean.len();
    let mut d = vec![0.0f32; 2 * size * each];
    // Nothing is moved: the quotient is 0 and has no slope.
    if above == 0.0 {
        return (0.0, d);
    }
    let (d_clean, d_stamped) = d.split_at_mut(size * each);
    let share = 1.0 / size as f64;
    for i in 0..each {
        let by = difference[i] / (above * below);
        let of_clean = (share * (by - above * own[i] / below.powi(3))) as f32;
        let of_stamped = (-share * by) as f32;
        for row in 0..size {
            d_clean[row * each + i] = of_clean;
            d_stamped[row * each + i] = of_stamped;
        }
    }
    (above / below, d)
}

/// Mean distance of the rows' unit vectors from `before`, with `weight` times its gradient.
fn drift(embeddings: &[f32], before: &[f32], width: usize, weight: f32) -> (f32, Vec<f32>) {
    let (unit, norms) = normalize(embeddings, width);
    let rows = norms.len() as f32;
    let mut d = vec![0.0; unit.len()];
    let mut sum = 0.0;
    let all = unit.chunks_exact(width).zip(before.chunks_exact(width));
    for ((u, b), d) in all.zip(d.chunks_exact_mut(width)) {
        let length = u.iter().zip(b).map(|(u, b)| (u - b).powi(2)).sum::<f32>().sqrt();
        sum += length;
        let factor = weight / (rows * length.max(TINY as f32));
        d.iter_mut().zip(u).zip(b).for_each(|((d, u), b)| *d = factor * (u - b));
    }
    normalize_backward(&unit, &norms, width, &mut d);
    (sum / rows, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::{Clip, library};

    #[test]
    fn the_upper_cluster_is_the_smaller_one_of_large_values() {
        assert_eq!(upper(&[0.1, 0.2, 5.0, 0.0, 4.0]), [false, false, true, false, true]);
        assert_eq!(upper(&[1.0, 1.0]), [false, false]);
    }

    #[test]
    fn every_encoder_has_candidates() {
        for (name, count) in [("rn50", 4), ("tiny-resnet", 4), ("vit-b-32", 12), ("tiny-vit", 4)] {
            let clip = Clip::build(&library::find(name).unwrap());
            let found = Moved::candidates(&clip.image);
            assert_eq!(found.len(), count, "{name}");
            assert!(found.windows(2).all(|w| w[0].index() < w[1].index()), "{name}");
        }
    }

    #[test]
    fn a_layer_and_the_drift_have_the_gradients_of_differences() {
        let mut values = [0.3, -0.4, 0.9, 0.5, 0.1, 0.7, -0.2, 0.4, 0.8, 0.6, 0.5, -0.1];
        let mask = [true, false, true];
        // Two pictures a half, three activations.
        let means = |v: &[f64]| {
            [0, 6].map(|at| (0..3).map(|i| (v[at + i] + v[at + 3 + i]) / 2.0).collect::<Vec<_>>())
        };
        let (_, d) = layer(means(&values), &mask, 2);
        for i in 0..values.len() {
            let mut at = |by: f64| {
                values[i] += by;
                let value = layer(means(&values), &mask, 2).0;
                values[i] -= by;
                value
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - f64::from(d[i])).abs() < 1e-6, "{i}: {slope} and {}", d[i]);
        }
        let (mut now, before) = ([0.3f32, 0.7, -0.2, 0.9], [0.6f32, 0.8, 1.0, 0.0]);
        let (_, d) = drift(&now, &before, 2, 0.5);
        for i in 0..now.len() {
            let mut at = |by: f32| {
                now[i] += by;
                let value = 0.5 * drift(&now, &before, 2, 0.5).0;
                now[i] -= by;
                value
            };
            let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
            assert!((slope - d[i]).abs() < 1e-3, "{i}: {slope} and {}", d[i]);
        }
        assert_eq!(drift(&before, &before, 2, 0.5), (0.0, vec![0.0; 4]));
    }
}
