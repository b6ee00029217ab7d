//! Isolation forest (Liu, Ting and Zhou 2008; Huang et al. 2025): what random cuts separate early is suspicious.
//!
//! Each tree draws `sample` pictures and cuts them, by a random component of their embeddings at a random place between
//! its smallest and largest value there, until they stand alone or the depth is ⌈log₂ sample⌉. With h(x) the depth at
//! which x ends, plus c(n) if n pictures end with it, score = 2^(−mean h / c(sample)), in (0, 1], where
//! c(n) = 2·(H(n − 1) − (n − 1)/n) is the mean depth of an unsuccessful search among n and H(i) ≈ ln i + 0.5772.
//! Published: 100 trees; samples of 256 are the default of the library that is used there, whose scores are negative. The
//! published forest is grown on the pictures of a batch; here on samples of all that is offered. `drop` is ours.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight, Vectors};
use crate::filtering::{self, DROP, Detector, LOOK, check_drop, cut_worst};
use crate::registry::{Card, Entry, Param};
use crate::seed::{Seed, Stream};
use crate::{Error, Result};

const EULER: f64 = 0.577_215_664_901_532_9;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct IsolationForest {
    trees: usize,
    sample: usize,
    drop: f64,
}

impl Default for IsolationForest {
    fn default() -> Self {
        Self { trees: 100, sample: 256, drop: 0.1 }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "isolation-forest",
        title: "Isolation forest",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385; Liu et al. 2008, doi:10.1109/ICDM.2008.17",
        summary: "drops the pairs whose pictures random cuts through the poisoned model's embeddings isolate first",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[
        &[
            Param { key: "trees", unit: "", help: "trees of the forest" },
            Param { key: "sample", unit: "pictures", help: "pictures that a tree is grown on" },
            DROP,
        ],
        LOOK[0],
        LOOK[1],
    ],
    parse: filtering::parse::<IsolationForest>,
    resolve: filtering::resolve::<IsolationForest>,
};

impl Detector for IsolationForest {
    const NAME: &'static str = "isolation-forest";

    fn check(&self) -> Result<(), String> {
        if self.trees == 0 {
            return Err("`trees` is 0; give at least one".into());
        }
        if self.sample < 2 {
            return Err(format!("`sample` is {}; a cut needs at least 2 pictures", self.sample));
        }
        check_drop(self.drop)
    }

    fn scores(&self, sight: &Sight<'_>, seed: &Seed) -> Result<Vec<f64>> {
        let pictures = (sight.pictures)()?;
        if pictures.len() < 2 {
            return Err(Error::request("one picture alone is neither usual nor odd"));
        }
        let sample = self.sample.min(pictures.len());
        let mut depths = vec![0.0; pictures.len()];
        for tree in 0..self.trees {
            let mut stream = seed.child("tree").child(tree).stream();
            let mut rows = stream.sample(pictures.len(), sample);
            let tree = grow(&pictures, &mut rows, limit(sample), &mut stream);
            for (row, depth) in depths.iter_mut().enumerate() {
                *depth += tree.depth(pictures.row(row));
            }
        }
        let usual = self.trees as f64 * unsuccessful(sample);
        Ok(depths.into_iter().map(|depth| (-depth / usual).exp2()).collect())
    }

    fn cut(&self, scores: &[f32]) -> Result<f32> {
        cut_worst(scores, self.drop)
    }
}

fn limit(sample: usize) -> usize {
    sample.next_power_of_two().trailing_zeros() as usize
}

/// c(n): mean depth of an unsuccessful search in a binary tree of n.
fn unsuccessful(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let before = (n - 1) as f64;
            2.0 * (before.ln() + EULER) - 2.0 * before / n as f64
        }
    }
}

enum Tree {
    /// So many pictures end here.
    Leaf(usize),
    /// Up to the place on the left, above it on the right.
    Cut { component: usize, place: f32, sides: Box<[Tree; 2]> },
}

fn grow(pictures: &Vectors, rows: &mut [usize], depth: usize, stream: &mut Stream) -> Tree {
    let leaf = Tree::Leaf(rows.len());
    if depth == 0 || rows.len() < 2 {
        return leaf;
    }
    let Some((component, low, high)) = component(pictures, rows, stream) else { return leaf };
    // Below the highest, so that neither side is empty.
    let place = stream.range(low, high).clamp(low, high.next_down());
    rows.sort_unstable_by_key(|&row| (pictures.row(row)[component] > place, row));
    let border = rows.partition_point(|&row| pictures.row(row)[component] <= place);
    let (left, right) = rows.split_at_mut(border);
    let sides = [left, right].map(|side| grow(pictures, side, depth - 1, stream));
    Tree::Cut { component, place, sides: Box::new(sides) }
}

/// A random one of those that tell the rows apart, with its range; `None` if the rows are equal.
fn component(pictures: &Vectors, rows: &[usize], stream: &mut Stream) -> Option<(usize, f32, f32)> {
    let range = |component: usize| {
        let values = rows.iter().map(|&row| pictures.row(row)[component]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
    };
    let order = stream.sample(pictures.dim, pictures.dim);
    let mut all = order.into_iter().map(|c| (c, range(c)));
    all.find(|(_, (low, high))| low < high).map(|(c, (low, high))| (c, low, high))
}

impl Tree {
    fn depth(&self, vector: &[f32]) -> f64 {
        match self {
            Self::Leaf(n) => unsuccessful(*n),
            Self::Cut { component, place, sides } => {
                1.0 + sides[usize::from(vector[*component] > *place)].depth(vector)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        dim: usize,
        vectors: Vec<f32>,
        scores: Vec<f64>,
    }

    fn golden() -> Vec<Case> {
        serde_json::from_str(include_str!("../../tests/golden/isolation.json")).unwrap()
    }

    fn scores(vectors: &Vectors, forest: &IsolationForest) -> Vec<f64> {
        let (distances, pictures) = (|| Ok(Vec::new()), || Ok(vectors.clone()));
        let (losses, first) = (&distances, &distances);
        let sight =
            Sight { distances: &distances, pictures: &pictures, losses, words: &Vec::new, first };
        forest.scores(&sight, &Seed::new(0)).unwrap()
    }

    /// Largest and mean deviation from scikit-learn's scores, which come from other random cuts.
    fn deviation(case: &Case, forest: &IsolationForest) -> (f64, f64) {
        let vectors = Vectors { dim: case.dim, values: case.vectors.clone() };
        let ours = scores(&vectors, forest);
        let apart = ours.iter().zip(&case.scores).map(|(a, b)| (a - b).abs());
        let (max, sum) = apart.fold((0.0f64, 0.0), |(max, sum), d| (max.max(d), sum + d));
        (max, sum / ours.len() as f64)
    }

    #[test]
    fn scores_are_those_of_scikit_learn() {
        let forest = IsolationForest { trees: 1000, ..IsolationForest::default() };
        for case in golden() {
            let (max, mean) = deviation(&case, &forest);
            assert!(max < 0.02 && mean < 0.005, "{max} {mean}");
        }
    }

    #[test]
    fn the_comparison_can_fail() {
        let fewer = IsolationForest { trees: 1000, sample: 32, ..IsolationForest::default() };
        for mut case in golden() {
            assert!(deviation(&case, &fewer).0 > 0.02, "the sample does not matter");
            let forest = IsolationForest { trees: 1000, ..IsolationForest::default() };
            case.scores.reverse();
            assert!(deviation(&case, &forest).0 > 0.02, "the order does not matter");
        }
    }

    #[test]
    fn depths_by_hand() {
        // 2 (ln 255 + γ) − 2 · 255 / 256.
        assert!((unsuccessful(256) - 10.244_770_920_119_917).abs() < 1e-12);
        assert_eq!((unsuccessful(0), unsuccessful(1), unsuccessful(2)), (0.0, 0.0, 1.0));
        assert_eq!([1, 2, 3, 256, 257].map(limit), [0, 1, 2, 8, 9]);
        let leaf = |n| Tree::Leaf(n);
        let tree = Tree::Cut { component: 1, place: 0.5, sides: Box::new([leaf(1), leaf(2)]) };
        assert_eq!((tree.depth(&[9.0, 0.5]), tree.depth(&[0.0, 0.6])), (1.0, 2.0));
    }

    #[test]
    fn the_far_are_alone_and_the_equal_are_not() {
        let mut values: Vec<f32> = (0..60).map(|i| (i % 7) as f32 * 0.1).collect();
        values.extend([9.0, -9.0]);
        let all = scores(&Vectors { dim: 2, values }, &IsolationForest::default());
        assert!(all[..30].iter().all(|s| *s < all[30]));
        let equal = scores(&Vectors { dim: 1, values: vec![1.0; 8] }, &IsolationForest::default());
        assert!(equal.iter().all(|s| (s - 0.5).abs() < 1e-12));
    }
}
