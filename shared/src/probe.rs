//! A classifier of the defender's own on a frozen image tower, in place of class prompts.

mod clip_benchmark;
mod cross_entropy;
mod logistic;
mod torch;

use crate::data::Dataset;
use crate::seed::Seed;
use crate::{Error, Result};

pub use clip_benchmark::ClipBenchmark;
pub use logistic::{Fitted, Logistic};

/// A defense that leaves the model as it is and reads classes off its pictures in another way. Nothing asks the text
/// tower any more, so nothing about captions is measured.
pub trait Probe: Send + Sync {
    /// Rows of the clean set whose pictures and classes the defender holds, ascending.
    ///
    /// # Errors
    /// If a picture has no class, or a class no picture.
    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>>;

    /// How the classifier is fitted to them.
    fn logistic(&self) -> Logistic;
}

/// Some rows of every class, ascending: of `all` pictures of a class as many as `wanted` says, drawn by the name of the defense.
///
/// # Errors
/// If a picture has no class, or a class no picture.
pub(crate) fn of_every_class(
    defense: &str,
    clean: &dyn Dataset,
    seed: &Seed,
    wanted: impl Fn(usize) -> usize,
) -> Result<Vec<usize>> {
    let seed = seed.child(format!("defense/{defense}"));
    let mut of_class = vec![Vec::new(); clean.classes().len()];
    for (row, example) in clean.examples().iter().enumerate() {
        let Some(class) = example.class else {
            let why = format!("{defense}: {} of {} has no class", example.id, clean.name());
            return Err(Error::request(why));
        };
        of_class[class].push(row);
    }
    let mut rows = Vec::new();
    for (all, class) in of_class.iter().zip(clean.classes()) {
        if all.is_empty() {
            let (set, class) = (clean.name(), &class.name);
            let why = format!("{defense}: {set} has no picture of `{class}` to learn it from");
            return Err(Error::request(why));
        }
        let chosen = seed.child(&class.name).stream().sample(all.len(), wanted(all.len()));
        rows.extend(chosen.into_iter().map(|i| all[i]));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// A linear classifier: the logit of class c for the unit vector u is w_c·u + b_c.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Width of an embedding, D.
    pub width: usize,
    /// (C, D + 1), the bias behind its weights.
    pub rows: Vec<f32>,
}

impl Head {
    fn of(width: usize, weights: &[f64]) -> Self {
        Self { width, rows: weights.iter().map(|x| *x as f32).collect() }
    }

    /// Unit vectors (N, D + 2) of pictures with unit vectors (N, D): (u, 1, 0) / √2.
    ///
    /// Their cosine with vector c of [`Head::classes`] is logit c / (√2·M), M being the norm of the longest row: what
    /// ranks by cosine ranks by logit.
    pub fn pictures(&self, unit: &[f32]) -> Vec<f32> {
        let scale = std::f32::consts::FRAC_1_SQRT_2;
        let one = |u: &[f32]| u.iter().map(|x| x * scale).chain([scale, 0.0]).collect::<Vec<_>>();
        unit.chunks_exact(self.width).flat_map(one).collect()
    }

    /// Unit vectors of the classes (C, D + 2): (w, b, √(M² − |w|² − b²)) / M.
    pub fn classes(&self) -> Vec<f32> {
        let square = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let rows = || self.rows.chunks_exact(self.width + 1);
        // All rows are 0 where nothing was learnt; then all logits are equal, and so are the cosines.
        let longest = rows().map(square).fold(f64::MIN_POSITIVE, f64::max);
        let one = |row: &[f32]| {
            let scale = |x: &f32| (f64::from(*x) / longest.sqrt()) as f32;
            let rest = ((longest - square(row)).max(0.0) / longest).sqrt() as f32;
            row.iter().map(scale).chain([rest]).collect::<Vec<_>>()
        };
        rows().flat_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_logits_on_one_scale() {
        let head = Head { width: 2, rows: vec![3.0, 0.0, 0.5, 0.0, 1.0, -2.0, 0.0, 0.0, 0.0] };
        let pictures = [0.6, 0.8, -1.0, 0.0];
        let (wide, classes) = (head.pictures(&pictures), head.classes());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        for vector in wide.chunks_exact(4).chain(classes.chunks_exact(4)) {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-6, "{vector:?}");
        }
        let scale = (2.0f32 * 9.25).sqrt();
        for (picture, wide) in pictures.chunks_exact(2).zip(wide.chunks_exact(4)) {
            for (row, class) in head.rows.chunks_exact(3).zip(classes.chunks_exact(4)) {
                let logit = dot(&row[..2], picture) + row[2];
                assert!((dot(wide, class) * scale - logit).abs() < 1e-5);
            }
        }
        let nothing = Head { width: 2, rows: vec![0.0; 6] };
        assert_eq!(nothing.classes(), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
