//! Where the classes of a goal lie under each model: pictures of both and captions of the first, in a plane.

use toxiclip_shared::goal::Goal;
use toxiclip_shared::pca;

use super::stages::Stages;
use super::strips::model_name;
use super::{Kept, Plan};
use crate::evaluate::{Embeddings, captions};
use crate::failure::Result;
use crate::report::extras::{ClassMap, MapPanel, Role};

/// Captions shown per panel.
const CAPTIONS: usize = 60;
/// Pictures that a class needs for its place to be worth drawing.
const PICTURES: usize = 3;

/// The map of an attack's first goal that has enough test pictures, under the models of the first seed: one panel per role.
pub(super) fn of_attack(
    plan: &Plan<'_>,
    kept: &[Kept],
    attack: usize,
    stages: &Stages,
) -> Result<Option<ClassMap>> {
    let models = || kept.iter().filter(|k| k.attack == attack);
    let Some(own) = models().find(|k| k.cell.attack == attack) else { return Ok(None) };
    let set = &plan.sets[own.cell.dataset];
    let enough = |goal: &&Goal| {
        goal.from_rows(&*set.test).len().min(goal.to_rows(&*set.test).len()) >= PICTURES
    };
    let armed = &plan.attack(&own.cell).armed;
    // Captions of many classes with words in them have no place of their own.
    let goals = if armed.words.is_none() { &armed.goals[..] } else { &[] };
    let Some(goal) = goals.iter().find(enough) else { return Ok(None) };
    let mut panels: Vec<MapPanel> = Vec::new();
    for model in models() {
        let (role, label) = model_name(plan, model);
        let Some(work) = plan.works.iter().find(|w| w.cell == model.cell) else { continue };
        if panels.iter().any(|panel| panel.role == role) {
            continue;
        }
        let embeddings = work.model.embeddings(stages, &*set.test, &set.templates)?;
        panels.push(panel(role, label, &embeddings, goal, &*set.test));
    }
    panels.sort_by_key(|panel| panel.role);
    let words = goal.in_words(set.test.classes());
    let label = plan.benchmark.attacks[attack].label(&plan.benchmark.attacks);
    Ok(Some(ClassMap { attack: label, goal: words, panels }))
}

fn panel(
    role: Role,
    label: String,
    all: &Embeddings,
    goal: &Goal,
    test: &dyn toxiclip_shared::data::Dataset,
) -> MapPanel {
    let from = goal.from_rows(test);
    let to = goal.to_rows(test);
    let captions = captions(test);
    let about: Vec<usize> =
        (0..captions.len()).filter(|i| from.contains(&captions[*i].row)).collect();
    let step = about.len().div_ceil(CAPTIONS).max(1);
    let about: Vec<usize> = about.into_iter().step_by(step).collect();
    // Pictures and captions lie in two cones: without their means the gap between them would be the first component.
    let pictures = Centred::new(&all.images, all.dim);
    let texts = Centred::new(&all.captions, all.dim);
    let mut points: Vec<Vec<f64>> = from.iter().chain(&to).map(|row| pictures.at(*row)).collect();
    points.extend(about.iter().map(|i| texts.at(*i)));
    let (pictures_of, texts_of) = points.split_at(from.len() + to.len());
    let crossed = crossed(&pictures_of[..from.len()], &pictures_of[from.len()..], texts_of);
    let plane = pca::plane(&points);
    let mut parts = plane.points.into_iter();
    let mut take = |n: usize| parts.by_ref().take(n).collect::<Vec<_>>();
    let (from, to, captions) = (take(from.len()), take(to.len()), take(about.len()));
    let mut panel = MapPanel { role, label, from, to, captions, crossed, kept: plane.kept };
    upright(&mut panel);
    panel
}

/// The share of `captions` that are nearer to the mean of `to` than to that of `from`.
fn crossed(from: &[Vec<f64>], to: &[Vec<f64>], captions: &[Vec<f64>]) -> f64 {
    let mean = |points: &[Vec<f64>]| -> Vec<f64> {
        let n = points.len() as f64;
        (0..points[0].len()).map(|d| points.iter().map(|p| p[d]).sum::<f64>() / n).collect()
    };
    let far = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let (from, to) = (mean(from), mean(to));
    let nearer = captions.iter().filter(|p| far(p, &to) < far(p, &from)).count();
    nearer as f64 / captions.len().max(1) as f64
}

/// Turns the signs of the axes, which mean nothing, so that panels can be compared: the pictures of the first class
/// lie left of those of the second, and the captions above the middle of both.
fn upright(panel: &mut MapPanel) {
    let mean = |points: &[[f64; 2]], axis: usize| {
        points.iter().map(|p| p[axis]).sum::<f64>() / points.len().max(1) as f64
    };
    let flip_x = mean(&panel.from, 0) > mean(&panel.to, 0);
    let flip_y = mean(&panel.captions, 1) < f64::midpoint(mean(&panel.from, 1), mean(&panel.to, 1));
    let parts = [&mut panel.from, &mut panel.to, &mut panel.captions];
    for point in parts.into_iter().flatten() {
        point[0] = if flip_x { -point[0] } else { point[0] };
        point[1] = if flip_y { -point[1] } else { point[1] };
    }
}

/// Vectors around their mean.
struct Centred<'a> {
    vectors: &'a [f32],
    mean: Vec<f64>,
}

impl<'a> Centred<'a> {
    fn new(vectors: &'a [f32], dim: usize) -> Self {
        let mut mean = vec![0.0; dim];
        let count = (vectors.len() / dim.max(1)).max(1) as f64;
        for vector in vectors.chunks_exact(dim.max(1)) {
            mean.iter_mut().zip(vector).for_each(|(m, x)| *m += f64::from(*x) / count);
        }
        Self { vectors, mean }
    }

    fn at(&self, row: usize) -> Vec<f64> {
        let dim = self.mean.len();
        let vector = &self.vectors[row * dim..(row + 1) * dim];
        vector.iter().zip(&self.mean).map(|(x, m)| f64::from(*x) - m).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_upright() {
        let mut panel = MapPanel {
            role: Role::Clean,
            label: "clean".into(),
            from: vec![[2.0, 1.0]],
            to: vec![[-2.0, 1.0]],
            captions: vec![[0.5, -3.0]],
            crossed: 0.0,
            kept: 1.0,
        };
        upright(&mut panel);
        assert_eq!((panel.from[0], panel.captions[0]), ([-2.0, -1.0], [-0.5, 3.0]));
        let before = panel.clone();
        upright(&mut panel);
        assert_eq!(panel, before);
    }

    #[test]
    fn captions_cross_over_where_they_are_nearer() {
        let points = |xs: &[f64]| xs.iter().map(|x| vec![*x, 1.0]).collect::<Vec<_>>();
        let share =
            crossed(&points(&[-2.0, 0.0]), &points(&[2.0, 4.0]), &points(&[0.9, 1.1, 3.0, -5.0]));
        assert!((share - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_mean_is_taken_away() {
        let vectors = [1.0, 2.0, 3.0, 6.0];
        let centred = Centred::new(&vectors, 2);
        assert_eq!((centred.at(0), centred.at(1)), (vec![-1.0, -2.0], vec![1.0, 2.0]));
    }
}
