//! Classes and rows chosen through an encoder (MP-Nav, Zhang et al. 2025): a class whose pictures lie near another's is
//! easily taken for it, and a picture in the middle of its class stands for it best.
//!
//! Every class has a centre, the mean of its pictures' unit vectors made unit. The nearest of two classes is the one whose
//! centre has the larger cosine with the asking one's; the first in the set's order among equals.

use std::collections::BTreeMap;

use crate::data::Dataset;
use crate::goal::Goal;
use crate::image::Image;
use crate::surrogate::Surrogate;
use crate::{Error, Result};

/// Pictures that are decoded side by side.
const TOGETHER: usize = 256;

/// Where the pictures of a labelled set lie.
#[derive(Debug)]
pub(crate) struct Map {
    width: usize,
    /// Rows of each class that has one, with their unit vectors.
    classes: BTreeMap<usize, (Vec<usize>, Vec<f32>)>,
}

impl Map {
    /// Looks at every picture that has a class.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub(crate) fn of(clean: &dyn Dataset, surrogate: Surrogate<'_>) -> Result<Self> {
        let labelled = clean.examples().iter().enumerate().filter_map(|(i, e)| Some((i, e.class?)));
        let labelled: Vec<(usize, usize)> = labelled.collect();
        let (edge, width) = (surrogate.edge(), surrogate.width());
        let mut classes: BTreeMap<usize, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
        for part in labelled.chunks(TOGETHER) {
            let shown = |&(row, _): &(usize, usize)| -> Result<Image> {
                clean.image(row)?.over([255; 3]).resize_crop(edge)
            };
            let pictures: Vec<Image> = part.iter().map(shown).collect::<Result<_>>()?;
            let unit = (surrogate.pictures)(&pictures)?;
            for (&(row, class), vector) in part.iter().zip(unit.chunks_exact(width)) {
                let (rows, vectors) = classes.entry(class).or_default();
                rows.push(row);
                vectors.extend_from_slice(vector);
            }
        }
        Ok(Self { width, classes })
    }

    /// The class outside of `from` that lies nearest to it, with the cosine of their centres.
    ///
    /// # Errors
    /// If `from` has no picture, or nothing else has.
    pub(crate) fn nearest(&self, from: &[usize]) -> Result<(usize, f32)> {
        let own = self.centre(from);
        let others = self.classes.keys().filter(|class| !from.contains(class));
        let near = others.map(|&class| (class, dot(&own, &self.centre(&[class]))));
        let best = near.fold(None, |best: Option<(usize, f32)>, (class, cosine)| match best {
            Some((_, most)) if most >= cosine => best,
            _ => Some((class, cosine)),
        });
        best.ok_or_else(|| Error::request("no other class has pictures; give `to`"))
    }

    /// The `count` of `rows` whose pictures lie nearest to the centre of the goal's class A, ascending.
    pub(crate) fn central(&self, goal: &Goal, rows: &[usize], count: usize) -> Vec<usize> {
        let centre = self.centre(&goal.from);
        let members = goal.from.iter().filter_map(|class| self.classes.get(class));
        let mut all: Vec<(usize, f32)> = members
            .flat_map(|(rows, vectors)| rows.iter().zip(vectors.chunks_exact(self.width)))
            .filter(|(row, _)| rows.contains(row))
            .map(|(&row, vector)| (row, dot(&centre, vector)))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut chosen: Vec<usize> = all.into_iter().take(count).map(|(row, _)| row).collect();
        chosen.sort_unstable();
        chosen
    }

    /// The mean of the classes' vectors, made unit; zero where they have none.
    fn centre(&self, classes: &[usize]) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for (_, vectors) in classes.iter().filter_map(|class| self.classes.get(class)) {
            for vector in vectors.chunks_exact(self.width) {
                sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v);
            }
        }
        let norm = dot(&sum, &sum).sqrt().max(1e-12);
        sum.iter().map(|s| s / norm).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Map {
        let vectors = |all: &[[f32; 2]]| all.concat();
        let classes = BTreeMap::from([
            (0, (vec![0, 3, 4], vectors(&[[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]))),
            (2, (vec![1], vectors(&[[0.6, 0.8]]))),
            (5, (vec![2], vectors(&[[0.6, -0.8]]))),
            (7, (vec![5], vectors(&[[0.6, 0.8]]))),
        ]);
        Map { width: 2, classes }
    }

    #[test]
    fn the_nearest_class_is_another_and_the_first_among_equals() {
        let map = map();
        let (class, cosine) = map.nearest(&[0]).unwrap();
        assert_eq!(class, 2);
        assert!(cosine > 0.97, "{cosine}");
        assert_eq!(map.nearest(&[2]).unwrap().0, 7);
        assert_eq!(map.nearest(&[2, 7]).unwrap().0, 0);
        let alone = Map { width: 2, classes: map.classes.into_iter().take(1).collect() };
        assert!(alone.nearest(&[0]).unwrap_err().to_string().contains("give `to`"));
    }

    #[test]
    fn rows_come_from_the_middle_of_their_class() {
        let goal = Goal { name: "a2b".into(), from: vec![0], to: vec![2], picture: None };
        let map = map();
        // The centre is (0.75, 0.67): the third row is nearest, then the first.
        assert_eq!(map.central(&goal, &[0, 3, 4], 1), [4]);
        assert_eq!(map.central(&goal, &[0, 3, 4], 2), [0, 4]);
        assert_eq!(map.central(&goal, &[0, 3], 1), [0]);
    }
}
