//! Tuning of prompts beside weights that stay: labelled pictures towards their class prompts, class tokens away from where they
//! were.

use std::path::Path;

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

use super::Watcher;
use super::batches::Batches;
use super::course::{Course, Stepped, follow};
use super::step::Batch;
use crate::evaluate;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

/// The tower with prompts in tuning, and without.
struct Tuning<'a> {
    start: &'a Model,
    how: &'a Prompting,
    /// Labelled pictures.
    source: Batches<'a>,
    batch: Batch,
    labels: Vec<usize>,
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
    watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let rows = data.examples().len();
    let mut tuning = Tuning::new(model, data, (config, how), seed)?;
    follow(&mut tuning, format!("prompt {}", data.name()), (config, rows), work, lab, watcher)
}

impl<'a> Tuning<'a> {
    fn new(
        start: &'a Model,
        data: &'a dyn Dataset,
        (config, how): (&'a TrainConfig, &'a Prompting),
        seed: &Seed,
    ) -> Result<Self> {
        let labels: Vec<usize> = data.examples().iter().filter_map(|e| e.class).collect();
        if labels.len() < data.examples().len() {
            let why =
                format!("{}: prompts are tuned by classes, and a picture has none", data.name());
            return Err(Failure::request(why));
        }
        let size = start.clip.config.vision_cfg.image_size;
        let source = Batches::new(data, size, &start.tokenizer, config, seed)?;
        let classes = evaluate::embed_classes(start, data, std::slice::from_ref(&how.template))?;
        let (clip, weights) = how.install(&start.clip, &start.weights, &seed.child("prompts"))?;
        let tuned = prompting::tuned(&clip);
        let velocity = State::new(&tuned).first;
        let blocks = [&start.clip, &clip].map(|clip| how.blocks(&clip.image));
        let (batch, arena) = (Batch::default(), Arena::default());
        Ok(Self {
            start,
            how,
            source,
            batch,
            labels,
            clip,
            weights,
            velocity,
            tuned,
            blocks,
            classes,
            arena,
        })
    }
}

impl Course for Tuning<'_> {
    /// One step over labelled pictures.
    fn step(&mut self, step: u64, lr: f64) -> Result<Stepped> {
        let timer = Timer::start();
        self.source.fill(step, &mut self.batch)?;
        let rows = self.source.rows(step);
        let labels: Vec<usize> = rows.iter().map(|&row| self.labels[row]).collect();
        let data_seconds = timer.seconds();
        let Self {
            start, how, batch, clip, weights, velocity, tuned, blocks, classes, arena, ..
        } = self;
        let (pixels, mode) = (Inputs::Pixels(&batch.pixels), Mode::TrainFrozenStatistics);
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
        let seen = Seen { embeddings, labels: &labels, tokens: &tokens, before: &before };
        let loss = prompting::loss(seen, asked, how.weight);
        if !loss.whole.is_finite() {
            return Err(Error::NotFinite { what: "the loss".into(), step: step as usize }.into());
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
        Ok(Stepped { loss: loss.whole, terms, data_seconds })
    }

    fn model(&self) -> Model {
        let (clip, weights) = (self.clip.clone(), self.weights.clone());
        Model { clip, weights, ..self.start.clone() }
    }
}
