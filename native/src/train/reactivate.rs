//! Tuning of the activations that an inverted trigger moves: back to what clean pictures give, whose embeddings stay.

use std::path::Path;

use serde_json::json;
use toxiclip_shared::activation_tuning::{ActivationTuning, Halves, Inverted, Moved, suspect};
use toxiclip_shared::audit::Subject;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::exec::cpu::contrastive::normalize;
use toxiclip_shared::exec::cpu::{Arena, backward_from, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::ParamSpec;
use toxiclip_shared::image::OPENAI;
use toxiclip_shared::optim::{State, global_norm};
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;
use toxiclip_shared::{Error, Result as Shared};

use super::Watcher;
use super::course::{Course, Stepped, follow};
use super::step::adamw;
use crate::evaluate;
use crate::failure::Result;
use crate::lab::Lab;
use crate::model::Model;
use crate::prepared::pixels;
use crate::store::write_atomic;

/// What was found before the tuning: the suspected class and by how much the patch raises its share of the pictures, the
/// mean of the inverted mask, and how many activations are tuned.
const FOUND: &str = "found.json";
/// Batch normalisation as in evaluation, so that its statistics stay.
const MODE: Mode = Mode::TrainFrozenStatistics;

/// The image tower in tuning.
struct Tuning<'a> {
    start: &'a Model,
    config: &'a TrainConfig,
    weight: f64,
    /// The one batch, normalised: clean pictures, then the same with the trigger.
    batch: Vec<f32>,
    /// Unit vectors of its clean half at the start.
    before: Vec<f32>,
    moved: Moved,
    weights: Weights,
    state: State,
    arena: Arena,
}

/// Tunes the image tower of `model` on the pictures of `data`. `work` keeps `found.json` and `train.jsonl`; `watcher` is called before the first
/// step and after as many as a pass over the pictures would take.
///
/// # Errors
/// If the inverted trigger moves nothing; those of `watcher`; Ctrl-C; a loss or gradient that is not finite; unreadable
/// pictures; a full disk.
pub fn reactivate(
    model: &Model,
    data: &dyn Dataset,
    (config, how): (&TrainConfig, &ActivationTuning),
    seed: &Seed,
    work: &Path,
    lab: &Lab,
    watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let pictures = pixels(data, model.clip.config.vision_cfg.image_size)?;
    let classes = evaluate::embed_classes(model, data, std::slice::from_ref(&how.template))?;
    let suspected = lab.watched(format!("suspect {}", data.name()), |tick| {
        let subject = subject(model, (&pictures, &classes), tick);
        suspect(&subject, how.patch, &seed.child("suspect"))
    })?;
    let trigger = lab.watched(format!("invert {}", data.name()), |tick| {
        let towards = (suspected.class, &suspected.clean[..]);
        let subject = subject(model, (&pictures, &classes), tick);
        Inverted::search(&subject, towards, how.inversion, &seed.child("invert"))
    })?;
    let rows = data.examples().len();
    let each = pictures.len() / rows;
    let mut chosen = seed.child("batch").stream().sample(rows, config.batch);
    chosen.sort_unstable();
    let of = |row: &usize| &pictures[row * each..(row + 1) * each];
    let clean: Vec<f32> = chosen.iter().flat_map(of).copied().collect();
    let mut tuning = Tuning::new(model, (config, how), &clean, &trigger)?;
    let found = json!({
        "class": data.classes()[suspected.class].name,
        "gain": suspected.gain,
        "mask": trigger.share(),
        "activations": tuning.moved.count(),
    });
    write_atomic(&work.join(FOUND), format!("{found:#}\n").as_bytes())?;
    follow(&mut tuning, format!("reactivate {}", data.name()), (config, rows), work, lab, watcher)
}

fn subject<'a>(
    model: &'a Model,
    (pictures, classes): (&'a [f32], &'a [f32]),
    tick: &'a dyn Fn(f64) -> Shared<()>,
) -> Subject<'a> {
    Subject { clip: &model.clip, weights: &model.weights, pictures, classes, tick }
}

impl<'a> Tuning<'a> {
    fn new(
        start: &'a Model,
        (config, how): (&'a TrainConfig, &ActivationTuning),
        clean: &[f32],
        trigger: &Inverted,
    ) -> Result<Self> {
        let batch = OPENAI.pixels(&[clean, &trigger.apply(clean)].concat());
        let (graph, mut arena) = (&start.clip.image, Arena::default());
        let params = params_of(graph, &start.weights);
        let pass = forward(graph, &params, Inputs::Pixels(&batch), MODE, &mut arena);
        let moved = Moved::find(Halves { pass: &pass, size: config.batch }, graph, how.layers)?;
        let all = pass.embeddings();
        let before = normalize(&all[..all.len() / 2], start.clip.config.embed_dim).0;
        pass.recycle(&mut arena);
        let (weights, state) = (start.weights.clone(), State::new(graph.params()));
        Ok(Self { start, config, weight: how.weight, batch, before, moved, weights, state, arena })
    }
}

impl Course for Tuning<'_> {
    fn step(&mut self, step: u64, lr: f64) -> Result<Stepped> {
        let Self { start, config, weight, batch, before, moved, weights, state, arena } = self;
        let (graph, width) = (&start.clip.image, start.clip.config.embed_dim);
        let params = params_of(graph, weights);
        let pass = forward(graph, &params, Inputs::Pixels(batch), MODE, arena);
        let halves = Halves { pass: &pass, size: config.batch };
        let loss = moved.loss(halves, before, width, *weight);
        let not_finite = |what: &str| Error::NotFinite { what: what.into(), step: step as usize };
        if !loss.whole.is_finite() {
            return Err(not_finite("the loss").into());
        }
        let d = (&loss.d_embeddings[..], &loss.inner[..]);
        let found = backward_from(graph, &params, pass, d, false, arena);
        let all = graph.params().iter().zip(&found.params);
        let gradients: Vec<(&ParamSpec, &[f32])> =
            all.filter(|(spec, _)| spec.trained()).map(|(spec, g)| (spec, &g[..])).collect();
        let norm = global_norm(&gradients);
        if !norm.is_finite() {
            return Err(not_finite("the gradient").into());
        }
        state.step(&adamw(config, lr, norm), weights, &gradients)?;
        found.recycle(arena);
        let terms = [("moved", loss.moved), ("drift", loss.drift)];
        let terms = terms.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Stepped { loss: loss.whole, terms, data_seconds: 0.0 })
    }

    fn model(&self) -> Model {
        Model { weights: self.weights.clone(), ..self.start.clone() }
    }
}
