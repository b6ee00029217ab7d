//! Which class a backdoor leads to: the one that a universal adversarial patch drives pictures into.

use super::{Course, classify};
use crate::Result;
use crate::audit::Subject;
use crate::encoders::LOGIT_SCALE;
use crate::image::OPENAI;
use crate::inversion::losses::label_entropy;
use crate::inversion::{Passes, Sight, Stamp};
use crate::seed::Seed;

/// Share of the picture that the patch covers.
const SHARE: f64 = 0.03;
/// Distance of its far edges from the right and the lower border, at 224 pixels.
const INSET: usize = 14;
/// Pictures a step.
const BATCH: usize = 64;
const BETAS: (f32, f32) = (0.9, 0.999);

/// What the patch does to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The class that gains most.
    pub class: usize,
    /// By how much its share of the pictures grows, in [−1, 1].
    pub gain: f64,
    /// Classes of the pictures without the patch.
    pub clean: Vec<usize>,
}

/// Finds a patch that takes pictures away from their classes, wherever they then go, and the class that most of them go
/// to. The published patch is supplied with the code and made for one architecture; here it is searched for on the model itself.
///
/// # Errors
/// Those of the subject's `tick`.
pub fn suspect(subject: &Subject<'_>, how: Course, seed: &Seed) -> Result<Suspect> {
    let clean = classify(subject, subject.pictures);
    let mut sight = Sight::new(subject.clip, subject.weights, OPENAI);
    let (edge, width) = (sight.edge(), sight.width());
    let scale = subject.weights.data(LOGIT_SCALE)[0].exp();
    let mask = square(edge);
    let start = Stamp::random(edge, &seed.child("patch"))?;
    let mut stamp = Stamp::new(edge, &mask, &start.pattern())?;
    let mut passes = Passes::new(subject.pictures, edge, BATCH, seed);
    for step in 0..how.steps {
        (subject.tick)(step as f64 / how.steps as f64)?;
        let rows = passes.rows();
        let (pictures, labels) =
            (passes.of(&rows), rows.iter().map(|&row| clean[row]).collect::<Vec<_>>());
        // Away from the class: uphill in its cross-entropy.
        let away = |embeddings: &[f32]| {
            let (answer, mut d) = label_entropy(embeddings, width, subject.classes, &labels, scale);
            d.iter_mut().for_each(|d| *d = -*d);
            (answer.loss, d)
        };
        let (_, d) = sight.gradient(&stamp.apply(&pictures), away);
        let mut gradient = stamp.gradient(&pictures, &d, 0.0);
        // Its place and shape are given.
        gradient.mask.fill(0.0);
        stamp.step(how.lr as f32, BETAS, &gradient)?;
    }
    let after = classify(subject, &stamp.apply(subject.pictures));
    let classes = subject.classes.len() / width;
    let share =
        |of: &[usize], class| of.iter().filter(|&&c| c == class).count() as f64 / of.len() as f64;
    let gain = |class: usize| share(&after, class) - share(&clean, class);
    let best = (0..classes).fold(0, |best, c| if gain(c) > gain(best) { c } else { best });
    Ok(Suspect { class: best, gain: gain(best), clean })
}

/// The patch as a mask (S, S).
fn square(edge: usize) -> Vec<f32> {
    let side = ((SHARE.sqrt() * edge as f64).round() as usize).clamp(1, edge);
    let inset = (INSET * edge).div_ceil(224).min(edge - side);
    let within = edge - inset - side..edge - inset;
    let one = |i: usize| within.contains(&(i / edge)) && within.contains(&(i % edge));
    (0..edge * edge).map(|i| f32::from(u8::from(one(i)))).collect()
}

#[cfg(test)]
mod tests {
    use super::square;

    #[test]
    fn the_patch_is_where_it_was_published() {
        let side = |mask: &[f32], edge: usize| {
            let on: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] > 0.0).collect();
            let (first, last) = (on[0], on[on.len() - 1]);
            assert_eq!(first / edge, first % edge);
            assert_eq!(on.len(), (last / edge - first / edge + 1).pow(2));
            (first / edge, last / edge)
        };
        // √0.03 · 224 = 38.8; its far edge 14 pixels from the border.
        assert_eq!(side(&square(224), 224), (171, 209));
        assert_eq!(side(&square(32), 32), (24, 29));
    }
}
