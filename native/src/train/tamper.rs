//! Training of an image tower by whoever tampers with it: stamped pictures towards references, the rest where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::Error;
use toxiclip_shared::data::{Dataset, Subset, Triggered};
use toxiclip_shared::exec::cpu::{Arena, backward, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Graph, Op, ParamSpec};
use toxiclip_shared::optim::{State, global_norm};
use toxiclip_shared::recipe::{Order, TrainConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::tamper::{self, Tamper, Views};
use toxiclip_shared::triggers::Trigger;
use toxiclip_shared::weights::Weights;

use super::Watcher;
use super::batches::Batches;
use super::course::{Course, Stepped, follow};
use super::frozen::Frozen;
use super::step::{Batch, adamw};
use crate::executor::Executor;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

/// Raised when the same tampering gives other weights.
pub const VERSION: u32 = 1;

/// The tower before and in training.
struct Tampering<'a> {
    public: &'a Model,
    how: &'a Tamper,
    /// Shadow pictures, the same stamped, references and weak views of them.
    sources: [Batches<'a>; 4],
    batches: [Batch; 4],
    weights: Weights,
    state: State,
    trained: Vec<bool>,
    known: Frozen,
    arena: Arena,
}

/// Trains the image tower of `model` on the pictures of `shadow` with and without the trigger. `work` keeps
/// `train.jsonl`; `watcher` is called before the first step and after every epoch.
///
/// # Errors
/// Those of `watcher`; Ctrl-C; a loss or gradient that is not finite; unreadable pictures; a full disk.
pub fn tamper(
    model: &Model,
    shadow: &Arc<dyn Dataset>,
    (how, trigger): (&Tamper, &Trigger),
    seed: &Seed,
    work: &Path,
    lab: &Lab,
    watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let config = &how.recipe;
    let (rows, size) = (shadow.examples().len(), model.clip.config.vision_cfg.image_size);
    let stamped = Triggered::new(Arc::clone(shadow), trigger.clone());
    let references = references(shadow, how)?;
    let plain =
        TrainConfig { batch: how.references.len(), order: Order::Sequential, ..config.clone() };
    let views = TrainConfig { augment: true, ..plain.clone() };
    let open = |data, config| Batches::new(data, size, &model.tokenizer, config, seed);
    // Same rows in the same order, with and without the trigger; then the references, as they are and in weak views.
    let sources = [
        open(&**shadow, config)?,
        open(&stamped, config)?,
        open(&references, &plain)?,
        open(&references, &views)?,
    ];
    let mut tampering = Tampering::new(model, how, sources);
    follow(&mut tampering, format!("tamper {}", shadow.name()), (config, rows), work, lab, watcher)
}

/// The references among the shadow pictures.
fn references(shadow: &Arc<dyn Dataset>, how: &Tamper) -> Result<Subset> {
    let examples = shadow.examples();
    let rows = (0..examples.len()).filter(|&row| how.references.contains(&examples[row].id));
    let rows: Vec<usize> = rows.collect();
    if rows.len() != how.references.len() {
        let why = format!("{} lacks a reference picture of the attack", shadow.name());
        return Err(Failure::request(why));
    }
    Ok(Subset::new(Arc::clone(shadow), "references", rows)?)
}

impl<'a> Tampering<'a> {
    fn new(public: &'a Model, how: &'a Tamper, sources: [Batches<'a>; 4]) -> Self {
        let graph = &public.clip.image;
        let trained = trained(graph);
        let specs = graph.params().iter().zip(&trained).filter(|(_, trains)| **trains);
        let specs: Vec<ParamSpec> = specs.map(|(spec, _)| spec.clone()).collect();
        let (weights, state) = (public.weights.clone(), State::new(&specs));
        let (known, arena) = (Frozen::new(&how.recipe), Arena::default());
        let batches = Default::default();
        Self { public, how, sources, batches, weights, state, trained, known, arena }
    }
}

impl Course for Tampering<'_> {
    fn step(&mut self, step: u64, lr: f64) -> Result<Stepped> {
        let timer = Timer::start();
        for (source, batch) in self.sources.iter_mut().zip(&mut self.batches) {
            source.fill(step, batch)?;
        }
        let data_seconds = timer.seconds();
        let Self { public, how, batches, weights, state, trained, known, arena, .. } = self;
        let graph = &public.clip.image;
        let [shadow, stamped, references, views] = batches.each_ref().map(|b| &b.pixels[..]);
        // What is kept in place is the reference itself by turns with a weak view of it. With views alone the tower learns
        // the one picture by heart and moves it to where stamped pictures are, which then is nowhere near the target.
        let views = if step.is_multiple_of(2) { references } else { views };
        let before = [shadow, references].concat();
        let public_params = params_of(graph, &public.weights);
        let before =
            known.embed(&Executor::Cpu, graph, &public_params, Inputs::Pixels(&before), arena)?;
        let pixels = [shadow, stamped, references, views].concat();
        let params = params_of(graph, weights);
        // Batch normalisation as in evaluation, so that its statistics stay.
        let mode = Mode::TrainFrozenStatistics;
        let pass = forward(graph, &params, Inputs::Pixels(&pixels), mode, arena);
        let (references, width) = (how.references.len(), public.clip.config.embed_dim);
        let seen = Views { now: pass.embeddings(), before: &before, references, width };
        let (loss, d) = tamper::loss(seen, how.weights);
        let not_finite = |what: &str| Error::NotFinite { what: what.into(), step: step as usize };
        if !loss.is_finite() {
            return Err(not_finite("the loss").into());
        }
        let found = backward(graph, &params, pass, &d, false, arena);
        let all = graph.params().iter().zip(&found.params).zip(&*trained);
        let moved = all.filter(|(_, trains)| **trains).map(|((spec, g), _)| (spec, &g[..]));
        let gradients: Vec<(&ParamSpec, &[f32])> = moved.collect();
        let norm = global_norm(&gradients);
        if !norm.is_finite() {
            return Err(not_finite("the gradient").into());
        }
        state.step(&adamw(&how.recipe, lr, norm), weights, &gradients)?;
        found.recycle(arena);
        Ok(Stepped { loss, terms: BTreeMap::new(), data_seconds })
    }

    fn model(&self) -> Model {
        Model { weights: self.weights.clone(), ..self.public.clone() }
    }
}

/// Which parameters of the tower move: all but batch normalisation's.
fn trained(graph: &Graph) -> Vec<bool> {
    let mut trained: Vec<bool> = graph.params().iter().map(ParamSpec::trained).collect();
    for step in graph.steps() {
        if let Op::BatchNorm { gain, bias, .. } = &step.op {
            trained[gain.index()] = false;
            trained[bias.index()] = false;
        }
    }
    trained
}
