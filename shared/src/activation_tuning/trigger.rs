//! A trigger that brings clean pictures to a class and leaves them as much as they were as it can.

use super::{Course, embed};
use crate::audit::Subject;
use crate::exec::cpu::contrastive::{normalize, normalize_backward};
use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::image::OPENAI;
use crate::inversion::losses::class_entropy;
use crate::inversion::{Passes, Sight};
use crate::optim::{AdamW, State};
use crate::seed::Seed;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Temperature of the cross-entropy, whatever the model's is.
const TEMPERATURE: f32 = 0.07;
/// Weights of cross-entropy, distance to the class's pictures, dissimilarity, and a value of the mask at 224 pixels.
const WEIGHTS: [f32; 4] = [5.0, 0.5, 1.0, 0.01];
const MASK_EDGE: f32 = 224.0;
/// Pictures a step.
const BATCH: usize = 64;
/// Edge of the windows in which structure is compared.
const WINDOW: usize = 7;
const PARTS: [&str; 2] = ["mask", "pattern"];

/// What was found: x′ = m·p + (1 − m)·x, mask and pattern (S, S, 3) in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Inverted {
    mask: Vec<f32>,
    pattern: Vec<f32>,
}

impl Inverted {
    /// Minimises 5·CE(cos/0.07, target) + 0.5·‖û′ − û_t‖ + 1 − SSIM(x′, x) + 0.01·‖m‖₁ over batches by Adam, values held in
    /// [0, 1] after each step. û_t is the mean of the unit vectors of the pictures that the model itself takes for the
    /// target, the term 0 where there is none. SSIM is of windows of 7×7 on values in [0, 1]; published, on normalised
    /// pixels. The mask's weight is for 224² values a channel and grows as there are fewer.
    ///
    /// # Errors
    /// Those of the subject's `tick`; a loss that is not finite.
    pub fn search(
        subject: &Subject<'_>,
        (target, clean): (usize, &[usize]),
        how: Course,
        seed: &Seed,
    ) -> Result<Self> {
        let mut sight = Sight::new(subject.clip, subject.weights, OPENAI);
        let (edge, width) = (sight.edge(), sight.width());
        let towards = mean_of(subject, target, clean);
        let per_value = WEIGHTS[3] * (MASK_EDGE / edge as f32).powi(2);
        let specs = PARTS.map(|name| spec(name, edge));
        let mut values = Weights::default();
        for spec in &specs {
            let mut stream = seed.child(&spec.name).stream();
            let data = (0..spec.len()).map(|_| stream.uniform()).collect();
            values.insert(spec.name.clone(), Tensor { shape: spec.shape.clone(), data });
        }
        let mut state = State::new(&specs);
        let mut passes = Passes::new(subject.pictures, edge, BATCH, seed);
        for step in 0..how.steps {
            (subject.tick)(step as f64 / how.steps as f64)?;
            let pictures = passes.batch();
            let found = Self::of(&values);
            let stamped = found.apply(&pictures);
            let (loss, mut d) = sight.gradient(&stamped, |embeddings| {
                let (answer, mut d) =
                    class_entropy(embeddings, width, subject.classes, target, 1.0 / TEMPERATURE);
                d.iter_mut().for_each(|d| *d *= WEIGHTS[0]);
                let distance = distance(embeddings, &towards, width, &mut d);
                (WEIGHTS[0] * answer.loss + distance, d)
            });
            if !loss.is_finite() {
                return Err(Error::NotFinite { what: "the inverted trigger's loss".into(), step });
            }
            dissimilar(&stamped, &pictures, edge, WEIGHTS[2], &mut d);
            let [d_mask, d_pattern] = found.gradient(&pictures, &d, per_value);
            let (lr, betas) = (how.lr as f32, (0.9, 0.999));
            let adam = AdamW { lr, betas, eps: 1e-8, wd: 0.0, gradient_scale: 1.0 };
            state.step(&adam, &mut values, &[(&specs[0], &d_mask), (&specs[1], &d_pattern)])?;
            for name in PARTS {
                let data = values.get_mut(name).map_or(&mut [][..], |t| &mut t.data);
                data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
            }
        }
        Ok(Self::of(&values))
    }

    fn of(values: &Weights) -> Self {
        let [mask, pattern] = PARTS.map(|name| values.data(name).to_vec());
        Self { mask, pattern }
    }

    /// `pictures` (B, S, S, 3) with the trigger on them.
    pub fn apply(&self, pictures: &[f32]) -> Vec<f32> {
        let each = self.mask.len();
        let blend = |(i, x): (usize, &f32)| {
            let (m, p) = (self.mask[i % each], self.pattern[i % each]);
            m * p + (1.0 - m) * x
        };
        pictures.iter().enumerate().map(blend).collect()
    }

    /// Mean of the mask, in [0, 1].
    pub fn share(&self) -> f64 {
        self.mask.iter().map(|m| f64::from(*m)).sum::<f64>() / self.mask.len() as f64
    }

    fn gradient(&self, pictures: &[f32], d_stamped: &[f32], per_value: f32) -> [Vec<f32>; 2] {
        let each = self.mask.len();
        let (mut d_mask, mut d_pattern) = (vec![per_value; each], vec![0.0; each]);
        for (i, (x, d)) in pictures.iter().zip(d_stamped).enumerate() {
            let at = i % each;
            d_mask[at] += d * (self.pattern[at] - x);
            d_pattern[at] += d * self.mask[at];
        }
        [d_mask, d_pattern]
    }
}

fn spec(name: &str, edge: usize) -> ParamSpec {
    ParamSpec {
        name: name.to_owned(),
        shape: vec![edge, edge, 3],
        init: Init::Const(0.5),
        role: Role::Bias,
        form: FileForm::Same,
    }
}

/// Mean of the unit vectors of the pictures that are taken for `target`; empty where none is.
fn mean_of(subject: &Subject<'_>, target: usize, clean: &[usize]) -> Vec<f32> {
    let width = subject.clip.config.embed_dim;
    let each = subject.pictures.len() / clean.len();
    let of = subject.pictures.chunks_exact(each).zip(clean).filter(|(_, c)| **c == target);
    let pictures: Vec<f32> = of.take(BATCH).flat_map(|(picture, _)| picture).copied().collect();
    let units = embed(subject, &pictures);
    let count = (units.len() / width) as f32;
    match units.is_empty() {
        true => Vec::new(),
        false => {
            (0..width).map(|i| units.iter().skip(i).step_by(width).sum::<f32>() / count).collect()
        }
    }
}

/// 0.5 · the mean distance of the rows' unit vectors from `towards`; its gradient is added to `d`.
fn distance(embeddings: &[f32], towards: &[f32], width: usize, d: &mut [f32]) -> f32 {
    if towards.is_empty() {
        return 0.0;
    }
    let (unit, norms) = normalize(embeddings, width);
    let rows = norms.len() as f32;
    let mut sum = 0.0;
    let mut own = vec![0.0; unit.len()];
    for (u, own) in unit.chunks_exact(width).zip(own.chunks_exact_mut(width)) {
        let length = u.iter().zip(towards).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        sum += length;
        let factor = WEIGHTS[1] / (rows * length.max(1e-12));
        for ((own, a), b) in own.iter_mut().zip(u).zip(towards) {
            *own = factor * (a - b);
        }
    }
    normalize_backward(&unit, &norms, width, &mut own);
    d.iter_mut().zip(&own).for_each(|(d, own)| *d += own);
    WEIGHTS[1] * sum / rows
}

/// `weight` · (1 − SSIM) of pictures (B, S, S, 3) in [0, 1], the mean over pictures, channels and windows; its gradient with
/// respect to `a` is added to `d`.
fn dissimilar(a: &[f32], b: &[f32], edge: usize, weight: f32, d: &mut [f32]) -> f64 {
    let across = edge + 1 - WINDOW.min(edge);
    let (each, n) = (edge * edge * 3, (WINDOW.min(edge)).pow(2) as f64);
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let windows = a.len() / each * across * across * 3;
    let factor = -f64::from(weight) / windows as f64;
    let mut sum = 0.0;
    for window in 0..windows {
        let (picture, at) = (window / (across * across * 3), window % (across * across * 3));
        let start = picture * each + (at / 3 / across * edge + at / 3 % across) * 3 + at % 3;
        let places = || {
            let rows = (0..WINDOW.min(edge)).map(move |y| start + y * edge * 3);
            rows.flat_map(|row| (0..WINDOW.min(edge)).map(move |x| row + x * 3))
        };
        let [mut sa, mut sb, mut aa, mut bb, mut ab] = [0.0f64; 5];
        for i in places() {
            let (x, y) = (f64::from(a[i]), f64::from(b[i]));
            (sa, sb, aa, bb, ab) = (sa + x, sb + y, aa + x * x, bb + y * y, ab + x * y);
        }
        let (ma, mb) = (sa / n, sb / n);
        let [va, vb, cov] =
            [aa / n - ma * ma, bb / n - mb * mb, ab / n - ma * mb].map(|v| v * n / (n - 1.0));
        let (a1, a2) = (2.0 * ma * mb + c1, 2.0 * cov + c2);
        let (b1, b2) = (ma * ma + mb * mb + c1, va + vb + c2);
        let similar = a1 * a2 / (b1 * b2);
        sum += similar;
        let by_mean = a2 / b2 * (2.0 * mb / b1 - a1 * 2.0 * ma / (b1 * b1));
        let (by_cov, by_var) = (2.0 * a1 / (b1 * b2), -similar / b2);
        for i in places() {
            let (x, y) = (f64::from(a[i]), f64::from(b[i]));
            let of = by_mean / n + (by_cov * (y - mb) + by_var * 2.0 * (x - ma)) / (n - 1.0);
            d[i] += (factor * of) as f32;
        }
    }
    f64::from(weight) * (1.0 - sum / windows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut stream = Seed::new(seed).stream();
        (0..count).map(|_| stream.uniform()).collect()
    }

    #[test]
    fn dissimilarity_is_that_of_the_survival_table_and_its_gradient_that_of_differences() {
        let edge = 9;
        let (mut a, b) = (noise(edge * edge * 3, 1), noise(edge * edge * 3, 2));
        let mut d = vec![0.0; a.len()];
        let value = dissimilar(&a, &b, edge, 0.7, &mut d);
        for i in [0, 40, 121, 242] {
            let step = 1e-3f32;
            let mut at = |by: f32| {
                let before = a[i];
                a[i] = before + by;
                let value = dissimilar(&a, &b, edge, 0.7, &mut vec![0.0; b.len()]);
                a[i] = before;
                value
            };
            let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((slope - f64::from(d[i])).abs() < 1e-5, "{i}: {slope} and {}", d[i]);
        }
        let image = |v: &[f32]| {
            let rgba = v
                .chunks_exact(3)
                .flat_map(|p| [p[0], p[1], p[2], 1.0].map(|x| (x * 255.0).round() as u8));
            crate::image::Image::new(edge, edge, rgba.collect()).unwrap()
        };
        let known = crate::fidelity::ssim(&image(&a), &image(&b)).unwrap();
        assert!((value - 0.7 * (1.0 - known)).abs() < 3e-3, "{value} and {known}");
    }

    #[test]
    fn a_distance_has_the_gradient_of_differences() {
        let (mut embeddings, towards) = (noise(12, 3), noise(4, 4));
        let mut d = vec![0.0; 12];
        let value = distance(&embeddings, &towards, 4, &mut d);
        assert_eq!(distance(&embeddings, &[], 4, &mut [0.0; 12]), 0.0);
        for i in 0..12 {
            let step = 1e-2f32;
            embeddings[i] += step;
            let more = distance(&embeddings, &towards, 4, &mut [0.0; 12]);
            embeddings[i] -= 2.0 * step;
            let less = distance(&embeddings, &towards, 4, &mut [0.0; 12]);
            embeddings[i] += step;
            let slope = (more - less) / (2.0 * step);
            assert!((slope - d[i]).abs() < 2e-3, "{i}: {slope} and {} of {value}", d[i]);
        }
    }
}
