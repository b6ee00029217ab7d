//! A patch that is found by gradient: one square for all pictures, pasted before normalisation, followed down a loss of
//! the embeddings of the stamped pictures with Adam (attacks.md 4.2).

use crate::attacks::Armed;
use crate::data::{Dataset, PairId};
use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::image::{Image, OPENAI};
use crate::inversion::Sight;
use crate::optim::{AdamW, State};
use crate::registry::Param;
use crate::seed::Seed;
use crate::surrogate::{Search, Surrogate};
use crate::triggers::{Learned, Place, Trigger, scaled, square, too_large};
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Name of the one parameter.
const PATCH: &str = "patch";

/// Parameters that such attacks have in common.
pub(crate) const EPOCHS: Param =
    Param { key: "epochs", unit: "", help: "passes over the pictures in the search for the patch" };
pub(crate) const LR: Param =
    Param { key: "lr", unit: "", help: "Adam's learning rate in the search for the patch" };
pub(crate) const BATCH: Param =
    Param { key: "batch", unit: "pictures", help: "pictures a step of the search" };
pub(crate) const PICTURES: Param =
    Param { key: "pictures", unit: "", help: "how many pictures the patch is learned on, at most" };

/// How a patch is searched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// Edge at 224 pixels.
    pub size: usize,
    /// Where it sits.
    pub place: Place,
    pub epochs: usize,
    pub lr: f64,
    pub batch: usize,
    /// At most so many pictures are looked at.
    pub pictures: usize,
}

/// What a patch shall do to embeddings.
pub(crate) trait Objective {
    /// Loss and gradient with respect to `stamped` (B, D), the embeddings of the stamped pictures `rows` before
    /// normalisation; `seed` is the step's own.
    fn loss(&self, rows: &[usize], stamped: &[f32], seed: &Seed) -> (f32, Vec<f32>);
}

impl Course {
    /// Refuses what no encoder could satisfy.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.size == 0 || self.size > 200 {
            return Err(format!(
                "`size` is {}; it is an edge of 1 to 200 pixels at 224",
                self.size
            ));
        }
        if self.place == Place::Random {
            return Err("`place` is `random`; a patch is learned for one place".into());
        }
        if self.epochs == 0 || self.batch < 2 {
            return Err("`epochs` is at least 1 and `batch` at least 2".into());
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(format!("`lr` is {}; it is a number above 0", self.lr));
        }
        Ok(())
    }

    /// The rows whose pictures are looked at: a sample of those that are not of class `target`.
    pub(crate) fn rows(
        &self,
        clean: &dyn Dataset,
        target: usize,
        seed: &Seed,
    ) -> Result<Vec<usize>> {
        let other = |&row: &usize| clean.examples()[row].class != Some(target);
        let all: Vec<usize> = (0..clean.examples().len()).filter(other).collect();
        if all.len().min(self.pictures) < self.batch {
            return Err(Error::request(format!(
                "{} pictures of {} are there to learn a patch on, fewer than a batch of {}; change `batch` or `pictures`",
                all.len().min(self.pictures),
                clean.name(),
                self.batch
            )));
        }
        let mut chosen = seed.child("pictures").stream().sample(all.len(), self.pictures);
        chosen.sort_unstable();
        Ok(chosen.into_iter().map(|i| all[i]).collect())
    }
}

/// Pictures of rows as an encoder takes them.
pub(crate) fn pictures(data: &dyn Dataset, rows: &[usize], edge: usize) -> Result<Vec<Image>> {
    rows.iter().map(|&row| square(&data.image(row)?, Some(edge))).collect()
}

/// The search.
pub(crate) struct PatchSearch<'a> {
    sight: Sight<'a>,
    objective: Box<dyn Objective + 'a>,
    pictures: Vec<Image>,
    course: Course,
    /// Edge of the patch in pixels of the encoder.
    side: usize,
    drawn: Armed,
    seed: Seed,
    spec: ParamSpec,
    patch: Weights,
    state: State,
    order: Vec<usize>,
}

impl<'a> PatchSearch<'a> {
    /// Starts from a patch drawn from N(0.5, 0.25), clipped to [0, 1].
    pub(crate) fn new(
        surrogate: Surrogate<'a>,
        objective: Box<dyn Objective + 'a>,
        pictures: Vec<Image>,
        course: Course,
        drawn: Armed,
        seed: &Seed,
    ) -> Result<Self> {
        let (edge, side) = (surrogate.edge(), scaled(course.size, surrogate.edge()));
        if side >= edge {
            return Err(too_large(side, edge));
        }
        let mut stream = seed.child("start").stream();
        let data: Vec<f32> =
            (0..side * side * 3).map(|_| (0.5 + 0.25 * stream.normal()).clamp(0.0, 1.0)).collect();
        let spec = ParamSpec {
            name: PATCH.to_owned(),
            shape: vec![side, side, 3],
            init: Init::Const(0.5),
            role: Role::Bias,
            form: FileForm::Same,
        };
        let mut patch = Weights::default();
        patch.insert(PATCH.to_owned(), Tensor { shape: spec.shape.clone(), data });
        let state = State::new(std::slice::from_ref(&spec));
        let sight = Sight::new(surrogate.clip, surrogate.weights, OPENAI);
        let (seed, order) = (*seed, Vec::new());
        Ok(Self {
            sight,
            objective,
            pictures,
            course,
            side,
            drawn,
            seed,
            spec,
            patch,
            state,
            order,
        })
    }

    fn per_epoch(&self) -> usize {
        self.pictures.len() / self.course.batch
    }

    /// Positions of a stamped pixel in one picture, beside the patch's value there: (pixel, value), channel 0.
    fn places(&self) -> Vec<(usize, usize)> {
        let (edge, side) = (self.sight.edge(), self.side);
        // No place of a learned patch depends on the picture.
        let spots = self.course.place.spots(edge - side, &PairId(String::new()));
        let within = |(left, top): (usize, usize)| {
            (0..side * side)
                .map(move |i| ((top + i / side) * edge * 3 + (left + i % side) * 3, i * 3))
        };
        spots.into_iter().flat_map(within).collect()
    }

    /// Stamped pictures, (B, S, S, 3) in [0, 1].
    fn stamped(&self, rows: &[usize]) -> Vec<f32> {
        let (places, patch) = (self.places(), self.patch.data(PATCH));
        let mut out = Vec::with_capacity(rows.len() * self.sight.edge().pow(2) * 3);
        for &row in rows {
            let start = out.len();
            let pixels = self.pictures[row].rgba().chunks_exact(4).flat_map(|p| &p[..3]);
            out.extend(pixels.map(|v| f32::from(*v) / 255.0));
            for (pixel, value) in &places {
                for c in 0..3 {
                    out[start + pixel + c] = patch[value + c].clamp(0.0, 1.0);
                }
            }
        }
        out
    }

    /// Loss of a batch and its gradient with respect to the patch, (side, side, 3). The clip passes no gradient where it
    /// holds a value back.
    pub(crate) fn slope(&mut self, rows: &[usize], seed: &Seed) -> (f32, Vec<f32>) {
        let (pictures, places) = (self.stamped(rows), self.places());
        let objective = &self.objective;
        let loss = |stamped: &[f32]| objective.loss(rows, stamped, seed);
        let (value, d_pictures) = self.sight.gradient(&pictures, loss);
        let patch = self.patch.data(PATCH);
        let mut gradient = vec![0.0; patch.len()];
        for picture in d_pictures.chunks_exact(d_pictures.len() / rows.len()) {
            for (pixel, value) in &places {
                for c in 0..3 {
                    if (0.0..=1.0).contains(&patch[value + c]) {
                        gradient[value + c] += picture[pixel + c];
                    }
                }
            }
        }
        (value, gradient)
    }

    fn rows_of(&mut self, step: usize) -> Vec<usize> {
        let (epoch, index) = (step / self.per_epoch(), step % self.per_epoch());
        if index == 0 {
            self.order = (0..self.pictures.len()).collect();
            self.seed.child("order").child(epoch).stream().shuffle(&mut self.order);
        }
        self.order[index * self.course.batch..(index + 1) * self.course.batch].to_vec()
    }
}

impl Search for PatchSearch<'_> {
    fn steps(&self) -> u64 {
        (self.per_epoch() * self.course.epochs) as u64
    }

    fn step(&mut self) -> Result<f32> {
        let step = self.state.step as usize;
        let rows = self.rows_of(step);
        let (loss, gradient) = self.slope(&rows, &self.seed.child("step").child(step));
        if !loss.is_finite() {
            return Err(Error::NotFinite { what: "the patch's loss".into(), step });
        }
        let adam = AdamW {
            lr: self.course.lr as f32,
            betas: (0.9, 0.999),
            eps: 1e-8,
            wd: 0.0,
            gradient_scale: 1.0,
        };
        self.state.step(&adam, &mut self.patch, &[(&self.spec, &gradient)])?;
        Ok(loss)
    }

    fn finish(self: Box<Self>) -> Armed {
        let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let learned = Learned {
            resolution: self.sight.edge(),
            place: self.course.place,
            side: self.side,
            rgb: self.patch.data(PATCH).iter().map(byte).collect(),
        };
        Armed { trigger: Trigger::Learned(learned), ..self.drawn }
    }
}

#[cfg(test)]
mod tests;
