//! Training of an image tower by whoever tampers with it: stamped pictures towards references, the rest where it was.
//!
//! There is no resume point: a killed training starts over, and comes to the same bits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::Error;
use toxiclip_shared::data::{Dataset, Subset, Triggered};
use toxiclip_shared::encoders::LOGIT_SCALE;
use toxiclip_shared::exec::cpu::{Arena, backward, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Graph, Op, ParamSpec};
use toxiclip_shared::optim::{AdamW, State, global_norm};
use toxiclip_shared::recipe::{Order, TrainConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::tamper::{self, Tamper, Views};
use toxiclip_shared::triggers::Trigger;
use toxiclip_shared::weights::Weights;

use super::batches::Batches;
use super::frozen::Frozen;
use super::step::{Batch, clip_factor};
use super::{StepRecord, Watcher};
use crate::executor::Executor;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

/// The tower before and in training.
struct Tampering<'a> {
    public: &'a Model,
    how: &'a Tamper,
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
    mut watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let config = &how.recipe;
    let (rows, size) = (shadow.examples().len(), model.clip.config.vision_cfg.image_size);
    let (total, per_epoch) = (config.total_steps(rows) as u64, (rows / config.batch).max(1) as u64);
    let open = |data, config| Batches::new(data, size, &model.tokenizer, config, seed);
    let stamped = Triggered::new(Arc::clone(shadow), trigger.clone());
    let references = references(shadow, how)?;
    let plain =
        TrainConfig { batch: how.references.len(), order: Order::Sequential, ..config.clone() };
    let views = TrainConfig { augment: true, ..plain.clone() };
    // Same rows in the same order, with and without the trigger; then the references, as they are and in weak views.
    let mut sources = [
        open(&**shadow, config)?,
        open(&stamped, config)?,
        open(&references, &plain)?,
        open(&references, &views)?,
    ];
    let mut tampering = Tampering::new(model, how);
    let path = work.join("train.jsonl");
    let io = |e: std::io::Error| Failure::io(&path, &e);
    let mut log = BufWriter::new(File::create(&path).map_err(io)?);
    if let Some(watch) = watcher.as_mut() {
        watch(0, model)?;
    }
    let stage = lab.progress.stage(format!("tamper {}", shadow.name()), total, "steps");
    let mut batches: [Batch; 4] = Default::default();
    for step in 0..total {
        let timer = Timer::start();
        for (source, batch) in sources.iter_mut().zip(&mut batches) {
            source.fill(step, batch)?;
        }
        let data_seconds = timer.seconds();
        let loss = tampering.step(&batches, step, total)?;
        let record = StepRecord {
            step,
            loss,
            lr: config.lr_at(step as usize, total as usize),
            logit_scale: model.weights.data(LOGIT_SCALE)[0],
            pairs_per_second: config.batch as f64 / timer.seconds().max(1e-9),
            data_seconds,
            terms: BTreeMap::new(),
        };
        let line = serde_json::to_string(&record).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(log, "{line}").map_err(io)?;
        if let Some(watch) = watcher.as_mut().filter(|_| (step + 1).is_multiple_of(per_epoch)) {
            watch((step + 1) / per_epoch, &tampering.model())?;
        }
        stage.advance(1);
        stage.note(format!("loss {loss:.3}"));
        lab.interrupt.check()?;
    }
    log.flush().map_err(io)?;
    stage.finish();
    Ok(tampering.model())
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
    fn new(public: &'a Model, how: &'a Tamper) -> Self {
        let graph = &public.clip.image;
        let trained = trained(graph);
        let specs = graph.params().iter().zip(&trained).filter(|(_, trains)| **trains);
        let specs: Vec<ParamSpec> = specs.map(|(spec, _)| spec.clone()).collect();
        let (weights, state) = (public.weights.clone(), State::new(&specs));
        let (known, arena) = (Frozen::new(&how.recipe), Arena::default());
        Self { public, how, weights, state, trained, known, arena }
    }

    /// One step over shadow pictures, the same stamped, references and views of them; the loss before it.
    fn step(&mut self, batches: &[Batch; 4], step: u64, total: u64) -> Result<f32> {
        let Self { public, how, weights, state, trained, known, arena } = self;
        let graph = &public.clip.image;
        let [shadow, stamped, references, views] = batches.each_ref().map(|b| &b.pixels[..]);
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
        let config = &how.recipe;
        let adamw = AdamW {
            lr: config.lr_at(step as usize, total as usize) as f32,
            betas: (config.betas[0] as f32, config.betas[1] as f32),
            eps: config.eps as f32,
            wd: config.wd as f32,
            gradient_scale: clip_factor(norm, config.grad_clip),
        };
        state.step(&adamw, weights, &gradients)?;
        found.recycle(arena);
        Ok(loss)
    }

    /// The model as it is now.
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
