//! Hiding bits in pictures by a network that is trained for it (Tancik et al. 2020): one network turns a picture and bits
//! into a residual of a few 8-bit steps, another reads the bits from the stamped picture. Both learn together, from random
//! messages; what becomes a trigger is the first, with one message.
//!
//! loss = cross-entropy of the bits + w · ‖mean residual‖² / mean ‖residual‖², the second over pictures with one message:
//! a residual that is the same for all pictures would be no sample-specific one.

mod layer;
mod network;
#[cfg(test)]
mod tests;

use crate::attacks::Armed;
use crate::data::Dataset;
use crate::graph::ParamSpec;
use crate::optim::{AdamW, State};
use crate::seed::{Seed, Stream};
use crate::surrogate::Search;
use crate::triggers::{Residual, Trigger, square};
use crate::weights::Weights;
use crate::{Error, Result};

use network::{EDGE, Network};

/// Pictures in a row that get one message once messages are read: among them residuals are compared. Before that every
/// picture has its own, since few messages a step teach little.
const GROUP: usize = 4;
/// How many times stronger the residual is in the first step, and the share of the steps after which it is not: from a faint
/// one nobody learns to read.
const BOOST: f32 = 4.0;
const BOOSTED: f64 = 0.3;

/// How the networks are trained.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// What the trigger hides; 8 bits a byte.
    pub secret: String,
    /// 8-bit steps by which a channel moves at most.
    pub strength: f64,
    /// w in the module's formula, once all bits are read.
    pub own: f64,
    pub steps: usize,
    pub batch: usize,
    pub lr: f64,
    /// At most so many pictures are looked at.
    pub pictures: usize,
    /// Of the trigger.
    pub resolution: Option<usize>,
}

impl Course {
    /// Refuses what cannot be trained.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { secret, strength, own, steps, batch, lr, .. } = self;
        if secret.is_empty() || secret.len() > 16 {
            return Err(format!("`secret` has {} bytes; it has 1 to 16", secret.len()));
        }
        if !(*strength > 0.0 && *strength <= 255.0) {
            return Err(format!("`strength` is {strength}; it is above 0 and at most 255"));
        }
        if !(*own >= 0.0 && own.is_finite()) {
            return Err(format!("`own` is {own}; it is a weight of at least 0"));
        }
        if *steps == 0 || *batch == 0 || !batch.is_multiple_of(GROUP) {
            return Err(format!("`steps` is at least 1 and `batch` a multiple of {GROUP}"));
        }
        if !(*lr > 0.0 && lr.is_finite()) {
            return Err(format!("`lr` is {lr}; it is a number above 0"));
        }
        Ok(())
    }
}

/// −1 and 1 for the bits of a text, a byte's highest first.
fn bits(secret: &str) -> Vec<f32> {
    let of = |byte: u8| (0..8).map(move |i| if byte >> (7 - i) & 1 == 1 { 1.0 } else { -1.0 });
    secret.bytes().flat_map(of).collect()
}

/// The training of both networks.
pub(crate) struct Hiding {
    course: Course,
    drawn: Armed,
    seed: Seed,
    network: Network,
    specs: Vec<ParamSpec>,
    weights: Weights,
    state: State,
    /// Whether half of a bit has been read in some step.
    reads: bool,
    /// (N, E, E, 3) in [0, 1].
    pictures: Vec<f32>,
}

impl Hiding {
    /// Lays out the training on the pictures of `clean`.
    ///
    /// # Errors
    /// If there is no picture, or one cannot be read.
    pub(crate) fn new(
        course: Course,
        drawn: Armed,
        clean: &dyn Dataset,
        seed: &Seed,
    ) -> Result<Self> {
        let all = clean.examples().len();
        let mut rows = seed.child("pictures").stream().sample(all, course.pictures.min(all));
        rows.sort_unstable();
        if rows.is_empty() {
            return Err(Error::request(format!("{} has no picture to hide in", clean.name())));
        }
        let mut pictures = Vec::with_capacity(rows.len() * EDGE * EDGE * 3);
        for row in rows {
            let picture = square(&clean.image(row)?, Some(EDGE))?;
            let pixels = picture.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]);
            pictures.extend(pixels.map(|v| f32::from(v) / 255.0));
        }
        let network = Network::new(8 * course.secret.len(), (course.strength / 255.0) as f32);
        let specs = network.specs();
        let (weights, state) = (Weights::init(&specs, seed), State::new(&specs));
        let (seed, reads) = (*seed, false);
        Ok(Self { course, drawn, seed, network, specs, weights, state, reads, pictures })
    }

    /// Pictures and messages of a step, the latter the same for `group` in a row.
    fn batch(&self, group: usize, stream: &mut Stream) -> (Vec<f32>, Vec<f32>) {
        let (len, count) = (EDGE * EDGE * 3, 8 * self.course.secret.len());
        let (mut pictures, mut bits) = (Vec::new(), Vec::new());
        for _ in 0..self.course.batch / group {
            for _ in 0..group {
                let at = stream.below(self.pictures.len() / len) * len;
                pictures.extend_from_slice(&self.pictures[at..at + len]);
            }
            let message: Vec<f32> =
                (0..count).map(|_| if stream.chance(0.5) { 1.0 } else { -1.0 }).collect();
            (0..group).for_each(|_| bits.extend_from_slice(&message));
        }
        (pictures, bits)
    }

    fn trigger(&self) -> Residual {
        let Course { secret, resolution, .. } = &self.course;
        let trigger = self.network.trigger(&self.weights, secret, &bits(secret));
        Residual { resolution: *resolution, ..trigger }
    }
}

impl Search for Hiding {
    fn steps(&self) -> u64 {
        self.course.steps as u64
    }

    fn step(&mut self) -> Result<f32> {
        let step = self.state.step as usize;
        let done = step as f64 / self.course.steps as f64;
        let group = if self.reads { GROUP } else { 1 };
        let (pictures, bits) = self.batch(group, &mut self.seed.child("step").child(step).stream());
        self.network.boost = 1.0 + (BOOST - 1.0) * (1.0 - done / BOOSTED).max(0.0) as f32;
        let own = self.course.own as f32;
        let (loss, gradients) = self.network.slope(&self.weights, &pictures, &bits, (group, own));
        self.reads |= loss.bits < 0.5 * std::f32::consts::LN_2;
        let total = loss.total();
        if !total.is_finite() {
            return Err(Error::NotFinite { what: "the loss of hidden bits".into(), step });
        }
        let adam = AdamW {
            lr: (self.course.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())) as f32,
            betas: (0.9, 0.999),
            eps: 1e-8,
            wd: 0.0,
            gradient_scale: 1.0,
        };
        let pairs: Vec<(&ParamSpec, &[f32])> =
            self.specs.iter().map(|spec| (spec, &gradients[&spec.name][..])).collect();
        self.state.step(&adam, &mut self.weights, &pairs)?;
        Ok(total)
    }

    fn finish(self: Box<Self>) -> Armed {
        let trigger = Trigger::Residual(self.trigger());
        Armed { trigger, ..self.drawn }
    }
}
