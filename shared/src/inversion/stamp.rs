//! A trigger that is being searched for: a mask over the picture and the pattern that it lets through.

use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::optim::{AdamW, State};
use crate::seed::Seed;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

const MASK: &str = "mask";
const PATTERN: &str = "pattern";
/// Adam's constant that keeps a division finite: PyTorch's default.
const EPS: f32 = 1e-8;
/// Distance of the first values from 0 and 1, where the parameter would be infinite.
const MARGIN: f32 = 1e-6;

/// A mask (S, S) and a pattern (S, S, 3) with values in (0, 1). What moves is a real number for each:
/// value = tanh(number) / 2 + 1/2, so that no step leaves the range (Wang et al. 2019; Feng et al. 2023).
#[derive(Clone, Debug)]
pub struct Stamp {
    edge: usize,
    numbers: Weights,
    specs: [ParamSpec; 2],
    state: State,
}

/// Gradient with respect to the numbers behind mask (S, S) and pattern (S, S, 3).
#[derive(Clone, Debug, PartialEq)]
pub struct StampGradient {
    /// Of the mask.
    pub mask: Vec<f32>,
    /// Of the pattern.
    pub pattern: Vec<f32>,
}

impl Stamp {
    /// Mask and pattern of the given values in [0, 1].
    ///
    /// # Errors
    /// If there are not `edge`² and 3·`edge`² of them.
    pub fn new(edge: usize, mask: &[f32], pattern: &[f32]) -> Result<Self> {
        if mask.len() != edge * edge || pattern.len() != 3 * edge * edge {
            return Err(Error::request(format!(
                "a stamp of edge {edge} has not {} and {} values; give one and three a pixel",
                mask.len(),
                pattern.len()
            )));
        }
        let number = |value: &f32| (2.0 * value.clamp(MARGIN, 1.0 - MARGIN) - 1.0).atanh();
        let spec = |name: &str, shape: Vec<usize>| ParamSpec {
            name: name.to_owned(),
            shape,
            init: Init::Const(0.0),
            role: Role::Weight,
            form: FileForm::Same,
        };
        let specs = [spec(MASK, vec![edge, edge]), spec(PATTERN, vec![edge, edge, 3])];
        let mut numbers = Weights::default();
        for (spec, values) in specs.iter().zip([mask, pattern]) {
            let data = values.iter().map(number).collect();
            numbers.insert(spec.name.clone(), Tensor { shape: spec.shape.clone(), data });
        }
        let state = State::new(&specs);
        Ok(Self { edge, numbers, specs, state })
    }

    /// Every value uniform in [0, 1).
    ///
    /// # Errors
    /// None for an edge that exists.
    pub fn random(edge: usize, seed: &Seed) -> Result<Self> {
        let draw = |name: &str, count: usize| -> Vec<f32> {
            let mut stream = seed.child(name).stream();
            (0..count).map(|_| stream.uniform()).collect()
        };
        Self::new(edge, &draw(MASK, edge * edge), &draw(PATTERN, 3 * edge * edge))
    }

    /// Edge in pixels.
    pub fn edge(&self) -> usize {
        self.edge
    }

    /// How opaque the pattern is, (S, S).
    pub fn mask(&self) -> Vec<f32> {
        self.values(MASK)
    }

    /// The pattern, (S, S, 3).
    pub fn pattern(&self) -> Vec<f32> {
        self.values(PATTERN)
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.numbers.data(name).iter().map(|x| 0.5 * x.tanh() + 0.5).collect()
    }

    /// Share of the picture that the mask covers: its L1 norm over that of a mask of ones.
    pub fn share(&self) -> f64 {
        let mask = self.mask();
        mask.iter().map(|m| f64::from(*m)).sum::<f64>() / mask.len() as f64
    }

    /// `pictures` (B, S, S, 3) with the pattern on them: (1 − m)·x + m·p.
    pub fn apply(&self, pictures: &[f32]) -> Vec<f32> {
        let (mask, pattern) = (self.mask(), self.pattern());
        let blend = |(i, x): (usize, &f32)| {
            let at = i % pattern.len();
            (1.0 - mask[at / 3]) * x + mask[at / 3] * pattern[at]
        };
        pictures.iter().enumerate().map(blend).collect()
    }

    /// The gradient where that of the stamped pictures is `d_stamped`, and the loss has `weight` times the sum of the
    /// mask besides.
    pub fn gradient(&self, pictures: &[f32], d_stamped: &[f32], weight: f32) -> StampGradient {
        let (mask, pattern) = (self.mask(), self.pattern());
        let mut d_mask = vec![weight; mask.len()];
        let mut d_pattern = vec![0.0f32; pattern.len()];
        for (i, (x, d)) in pictures.iter().zip(d_stamped).enumerate() {
            let at = i % pattern.len();
            d_mask[at / 3] += d * (pattern[at] - x);
            d_pattern[at] += d * mask[at / 3];
        }
        // With v = tanh(n)/2 + 1/2: dv/dn = 2·v·(1 − v).
        let chain = |d: &mut [f32], values: &[f32]| {
            d.iter_mut().zip(values).for_each(|(d, v)| *d *= 2.0 * v * (1.0 - v));
        };
        chain(&mut d_mask, &mask);
        chain(&mut d_pattern, &pattern);
        StampGradient { mask: d_mask, pattern: d_pattern }
    }

    /// One step of Adam.
    ///
    /// # Errors
    /// None for a gradient of this stamp.
    pub fn step(&mut self, lr: f32, betas: (f32, f32), gradient: &StampGradient) -> Result<()> {
        let adam = AdamW { lr, betas, eps: EPS, wd: 0.0, gradient_scale: 1.0 };
        let [mask, pattern] = &self.specs;
        let all = [(mask, &gradient.mask[..]), (pattern, &gradient.pattern[..])];
        self.state.step(&adam, &mut self.numbers, &all)
    }
}
