//! Tuning of prompts beside weights that stay: labelled pictures towards their class prompts, class tokens away from where they
//! were.
//!
//! There is no resume point: a killed training starts over, and comes to the same bits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use toxiclip_shared::Error;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::encoders::{Clip, LOGIT_SCALE};
use toxiclip_shared::exec::cpu::{Arena, backward_from, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Node, ParamSpec};
use toxiclip_shared::optim::{Sgd, State};
use toxiclip_shared::prompting::{self, Asked, Prompting, Seen};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

use super::batches::Batches;
use super::step::Batch;
use super::{StepRecord, Watcher};
use crate::evaluate;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

/// The tower with prompts in tuning, and without.
struct Tuning<'a> {
    start: &'a Model,
    how: &'a Prompting,
    clip: Clip,
    weights: Weights,
    velocity: Weights,
    /// Prompts.
    tuned: Vec<ParamSpec>,
    /// Where the class tokens are, in the tower without prompts and with them.
    blocks: [Vec<Node>; 2],
    /// Unit vectors of the classes.
    classes: Vec<f32>,
    arena: Arena,
}

/// Tunes prompts in the image tower of `model` on the pictures of `data`, each of which has a class. `work` keeps `train.jsonl`;
/// `watcher` is called before the first step and after every epoch.
///
/// # Errors
/// If a picture has no class; those of `watcher`; Ctrl-C; a loss that is not finite; unreadable pictures; a full disk.
pub fn prompt(
    model: &Model,
    data: &dyn Dataset,
    (config, how): (&TrainConfig, &Prompting),
    seed: &Seed,
    work: &Path,
    lab: &Lab,
    mut watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let labels: Vec<usize> = data.examples().iter().filter_map(|e| e.class).collect();
    let rows = data.examples().len();
    if labels.len() < rows {
        let why = format!("{}: prompts are tuned by classes, and a picture has none", data.name());
        return Err(Failure::request(why));
    }
    let (total, per_epoch) = (config.total_steps(rows) as u64, (rows / config.batch).max(1) as u64);
    let size = model.clip.config.vision_cfg.image_size;
    let mut source = Batches::new(data, size, &model.tokenizer, config, seed)?;
    let mut tuning = Tuning::new(model, data, how, seed)?;
    let path = work.join("train.jsonl");
    let io = |e: std::io::Error| Failure::io(&path, &e);
    let mut log = BufWriter::new(File::create(&path).map_err(io)?);
    if let Some(watch) = watcher.as_mut() {
        watch(0, &tuning.model())?;
    }
    let stage = lab.progress.stage(format!("prompt {}", data.name()), total, "steps");
    let mut batch = Batch::default();
    for step in 0..total {
        let timer = Timer::start();
        source.fill(step, &mut batch)?;
        let labels: Vec<usize> = source.rows(step).iter().map(|&row| labels[row]).collect();
        let data_seconds = timer.seconds();
        let lr = config.lr_at(step as usize, total as usize);
        let (loss, terms) = tuning.step(&batch.pixels, &labels, lr, step as usize)?;
        let record = StepRecord {
            step,
            loss,
            terms,
            lr,
            logit_scale: model.weights.data(LOGIT_SCALE)[0],
            pairs_per_second: config.batch as f64 / timer.seconds().max(1e-9),
            data_seconds,
        };
        writeln!(log, "{}", json!(record)).map_err(io)?;
        if let Some(watch) = watcher.as_mut().filter(|_| (step + 1).is_multiple_of(per_epoch)) {
            watch((step + 1) / per_epoch, &tuning.model())?;
        }
        stage.advance(1);
        stage.note(format!("loss {loss:.3}"));
        lab.interrupt.check()?;
    }
    log.flush().map_err(io)?;
    stage.finish();
    Ok(tuning.model())
}

impl<'a> Tuning<'a> {
    fn new(start: &'a Model, data: &dyn Dataset, how: &'a Prompting, seed: &Seed) -> Result<Self> {
        let classes = evaluate::embed_classes(start, data, std::slice::from_ref(&how.template))?;
        let (clip, weights) = how.install(&start.clip, &start.weights, &seed.child("prompts"))?;
        let tuned = prompting::tuned(&clip);
        let velocity = State::new(&tuned).first;
        let blocks = [&start.clip, &clip].map(|clip| how.blocks(&clip.image));
        let arena = Arena::default();
        Ok(Self { start, how, clip, weights, velocity, tuned, blocks, classes, arena })
    }

    /// One step over pictures of these classes; the loss before it and its terms.
    fn step(
        &mut self,
        pixels: &[f32],
        labels: &[usize],
        lr: f64,
        step: usize,
    ) -> Result<(f32, BTreeMap<String, f32>)> {
        let Self { start, how, clip, weights, velocity, tuned, blocks, classes, arena } = self;
        let (pixels, mode) = (Inputs::Pixels(pixels), Mode::TrainFrozenStatistics);
        let graph = &start.clip.image;
        let params = params_of(graph, &start.weights);
        let pass = forward(graph, &params, pixels, mode, arena);
        let before = prompting::class_tokens(&pass, graph, &blocks[0], labels.len());
        pass.recycle(arena);
        let graph = &clip.image;
        let params = params_of(graph, weights);
        let pass = forward(graph, &params, pixels, mode, arena);
        let tokens = prompting::class_tokens(&pass, graph, &blocks[1], labels.len());
        let scale = start.weights.data(LOGIT_SCALE)[0].exp();
        let asked = Asked { classes, width: clip.config.embed_dim, scale };
        let embeddings = pass.embeddings();
        let seen = Seen { embeddings, labels, tokens: &tokens, before: &before };
        let loss = prompting::loss(seen, asked, how.weight);
        if !loss.whole.is_finite() {
            return Err(Error::NotFinite { what: "the loss".into(), step }.into());
        }
        let inner = prompting::spread(&pass, graph, &blocks[1], &loss.d_tokens);
        let found = backward_from(graph, &params, pass, (&loss.d_embeddings, &inner), false, arena);
        let of = |spec: &&ParamSpec| graph.params().iter().position(|p| p.name == spec.name);
        let gradients: Vec<(&ParamSpec, &[f32])> = tuned
            .iter()
            .filter_map(|spec| of(&spec).map(|at| (spec, &found.params[at][..])))
            .collect();
        let sgd = Sgd { lr: lr as f32, momentum: how.momentum as f32 };
        sgd.step(velocity, weights, &gradients)?;
        found.recycle(arena);
        let terms = [("class", loss.class), ("likeness", loss.likeness)];
        let terms = terms.map(|(name, value)| (name.to_owned(), value)).into();
        Ok((loss.whole, terms))
    }

    /// The model as it is now.
    fn model(&self) -> Model {
        let (clip, weights) = (self.clip.clone(), self.weights.clone());
        Model { clip, weights, ..self.start.clone() }
    }
}
