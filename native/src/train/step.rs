//! One optimiser step: both towers forward, loss, both backward, clip, AdamW.

use toxiclip_shared::encoders::{Clip, LOGIT_SCALE};
use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::{Arena, BatchStatistics, params_of};
use toxiclip_shared::graph::ParamSpec;
use toxiclip_shared::objectives::Objective;
use toxiclip_shared::optim::{AdamW, State, global_norm};
use toxiclip_shared::pruning::Pruned;
use toxiclip_shared::recipe::{Freeze, TrainConfig};
use toxiclip_shared::weights::Weights;
use toxiclip_shared::{Error, Result};

use super::frozen::Frozen;
use super::rule::Rule;
use super::walk::walk;
use crate::executor::Executor;

/// open_clip's ceiling of the temperature's logarithm, ln 100.
const MAX_LOGIT_SCALE: f32 = 4.605_170_2;
/// PyTorch's momentum of running statistics.
const MOMENTUM: f32 = 0.1;

/// Host inputs of one step; where an objective asks for several views, all rows of the first come first.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Normalised pixels (batch, size, size, 3).
    pub pixels: Vec<f32>,
    /// Token ids (batch, context length).
    pub ids: Vec<u32>,
    /// Row of the end-of-text token of each caption.
    pub end: Vec<u32>,
}

/// What a step tells.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The objective before the step.
    pub loss: f32,
    /// Its terms by name, where it has several.
    pub terms: Vec<(&'static str, f32)>,
    /// Logarithm of the temperature after it.
    pub logit_scale: f32,
}

/// A model in training with its optimiser and its buffers.
#[derive(Debug)]
pub struct Trainer {
    pub(super) clip: Clip,
    pub(super) weights: Weights,
    pub(super) state: State,
    config: TrainConfig,
    total: u64,
    scale_spec: ParamSpec,
    /// Units of the image tower that are gone and do not come back.
    pruned: Pruned,
    /// Buffers of the image and of the text tower.
    arenas: [Arena; 2],
    /// What the tower that `freeze` names, if it is a whole one, has given so far.
    pub(super) frozen: Frozen,
    pub(super) rule: Rule,
    executor: Executor,
}

impl Trainer {
    /// Fresh optimiser state around a model, for `total` steps.
    pub fn new(clip: Clip, weights: Weights, config: &TrainConfig, total: u64) -> Self {
        let specs = clip.params();
        let frozen = |spec: &ParamSpec| config.freeze.keeps(&spec.name);
        let trained: Vec<ParamSpec> = specs.iter().filter(|s| !frozen(s)).cloned().collect();
        let state = State::new(&trained);
        let scale_spec = specs.into_iter().find(|s| s.name == LOGIT_SCALE);
        let scale_spec = scale_spec.unwrap_or_else(|| unreachable!("every CLIP has a temperature"));
        let (config, frozen) = (config.clone(), Frozen::new(config));
        let (arenas, pruned) = (<[Arena; 2]>::default(), Pruned::default());
        let (rule, executor) = (Rule::default(), Executor::Cpu);
        Self {
            clip,
            weights,
            state,
            config,
            total,
            scale_spec,
            pruned,
            arenas,
            frozen,
            rule,
            executor,
        }
    }

    /// Walked by another executor than our own.
    #[must_use]
    pub fn on(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }

    /// Another objective than CLIP's. The weights are those that training starts from; an epoch has `per_epoch` steps.
    #[must_use]
    pub fn with_objective(mut self, objective: Objective, per_epoch: u64) -> Self {
        self.rule = Rule::new(objective, per_epoch, &self.weights, self.config.augment);
        self
    }

    /// Takes units out of the image tower for good: without a gradient, what reads them stays 0.
    #[must_use]
    pub fn without(mut self, pruned: Pruned) -> Self {
        pruned.prune(&mut self.weights);
        self.pruned = pruned;
        self
    }

    /// Optimiser steps made so far.
    pub fn steps_done(&self) -> u64 {
        self.state.step
    }

    /// Ends training.
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// One step over one batch.
    ///
    /// # Errors
    /// If the loss or a gradient is not finite, or the device refuses an operation; weights are then as before the step.
    pub fn step(&mut self, batch: &Batch) -> Result<Outcome> {
        let Self { clip, weights, state, config, arenas, scale_spec, pruned, frozen, .. } = self;
        let Self { rule, executor, .. } = self;
        let step = state.step as usize;
        let image_params = params_of(&clip.image, weights);
        let text_params = params_of(&clip.text, weights);
        let pixels = Inputs::Pixels(&batch.pixels);
        let tokens = Inputs::Tokens { ids: &batch.ids, end: &batch.end };
        let [images, texts] = arenas;
        let (frozen_image, frozen_text) = match config.freeze {
            Freeze::Image => (Some(frozen), None),
            Freeze::Text => (None, Some(frozen)),
            Freeze::None | Freeze::TextTransformer => (None, None),
        };
        // The towers meet only in the loss: side by side, one fills the gaps between the other's operations.
        let (image, text) = rayon::join(
            || walk(executor, (&clip.image, &image_params), pixels, frozen_image, images),
            || walk(executor, (&clip.text, &text_params), tokens, frozen_text, texts),
        );
        let (image, text) = (image?, text?);
        let scale = weights.data(LOGIT_SCALE)[0];
        let embeddings = [image.embeddings(), text.embeddings()];
        let loss = rule.loss(executor, state.step, clip, batch, embeddings, scale)?;
        let (loss, terms) = (loss.whole, loss.terms);
        let kept = rule.remembers().then(|| embeddings.map(<[f32]>::to_vec));
        if !loss.loss.is_finite() {
            return Err(Error::NotFinite { what: "the loss".into(), step });
        }
        let statistics = [image.statistics(&clip.image), text.statistics(&clip.text)].concat();
        let (image, text) = rayon::join(
            || image.back((&clip.image, &image_params), &loss.d_image, images),
            || text.back((&clip.text, &text_params), &loss.d_text, texts),
        );
        let (mut image, text) = (image?, text?);
        if let Some(image) = &mut image {
            let all = clip.image.params().iter().zip(&mut image.params);
            all.for_each(|(spec, gradient)| pruned.clear(&spec.name, gradient));
        }
        let d_scale = [loss.d_logit_scale];
        let trains = |spec: &ParamSpec| spec.trained() && !config.freeze.keeps(&spec.name);
        let mut gradients: Vec<(&ParamSpec, &[f32])> = vec![];
        for (graph, tower) in [(&clip.image, &image), (&clip.text, &text)] {
            let Some(tower) = tower else { continue };
            let all = graph.params().iter().zip(&tower.params);
            gradients.extend(all.filter(|(spec, _)| trains(spec)).map(|(spec, g)| (spec, &g[..])));
        }
        gradients.push((scale_spec, &d_scale));
        let norm = global_norm(&gradients);
        if !norm.is_finite() {
            return Err(Error::NotFinite { what: "the gradient".into(), step });
        }
        let adamw = adamw(config, config.lr_at(step, self.total as usize), norm);
        state.step(&adamw, weights, &gradients)?;
        apply_statistics(weights, &statistics);
        if let Some([image, text]) = &kept {
            rule.remember([image, text], clip.config.embed_dim);
        }
        let scale = weights.get_mut(LOGIT_SCALE).map_or(&mut [][..], |t| &mut t.data);
        scale.iter_mut().for_each(|s| *s = s.clamp(0.0, MAX_LOGIT_SCALE));
        let logit_scale = scale.first().copied().unwrap_or_default();
        for (tower, arena) in [(image, images), (text, texts)] {
            // Buffers that came from a device were never the arena's.
            if let (Some(gradients), Executor::Cpu) = (tower, &*executor) {
                gradients.recycle(arena);
            }
        }
        Ok(Outcome { loss: loss.loss, terms, logit_scale })
    }
}

/// The optimiser's step by a recipe at this learning rate, for a gradient of this norm.
pub(super) fn adamw(config: &TrainConfig, lr: f64, norm: f64) -> AdamW {
    AdamW {
        lr: lr as f32,
        betas: (config.betas[0] as f32, config.betas[1] as f32),
        eps: config.eps as f32,
        wd: config.wd as f32,
        gradient_scale: clip_factor(norm, config.grad_clip),
    }
}

/// PyTorch's `clip_grad_norm_`: the gradient times min(1, limit / (norm + 1e-6)).
fn clip_factor(norm: f64, limit: f64) -> f32 {
    if limit > 0.0 { (limit / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 }
}

fn apply_statistics(weights: &mut Weights, statistics: &[(String, String, BatchStatistics)]) {
    for (mean, var, batch) in statistics {
        for (name, new) in [(mean, &batch.mean), (var, &batch.var)] {
            if let Some(running) = weights.get_mut(name) {
                for (r, n) in running.data.iter_mut().zip(new) {
                    *r = (1.0 - MOMENTUM) * *r + MOMENTUM * n;
                }
            }
        }
        let counter = mean.replace("running_mean", "num_batches_tracked");
        if let Some(counter) = weights.get_mut(&counter) {
            counter.data[0] += 1.0;
        }
    }
}
