//! What a training minimises, with what that needs from step to step: the frozen start, or a bank of captions.

use toxiclip_shared::Result;
use toxiclip_shared::encoders::Clip;
use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::contrastive::contrastive;
use toxiclip_shared::exec::cpu::{Arena, params_of};
use toxiclip_shared::objectives::{Loss, Objective, crossed};
use toxiclip_shared::weights::Weights;

use super::frozen::Frozen;
use super::step::Batch;
use crate::executor::Executor;

/// An objective in use.
#[derive(Debug, Default)]
pub(super) struct Rule {
    objective: Objective,
    /// Steps of an epoch; 0 where nothing asks.
    per_epoch: u64,
    start: Option<Start>,
    /// Unit captions (or pairs) of earlier batches, the oldest first: the only part that a checkpoint has to hold.
    pub(super) bank: Vec<f32>,
}

/// The model as training began.
#[derive(Debug)]
struct Start {
    weights: Weights,
    towers: [Frozen; 2],
    arenas: [Arena; 2],
}

impl Rule {
    /// `weights` are those that training starts from, whatever checkpoint it goes on from.
    pub(super) fn new(
        objective: Objective,
        per_epoch: u64,
        weights: &Weights,
        augmented: bool,
    ) -> Self {
        let start = matches!(objective, Objective::Repel(_)).then(|| Start {
            weights: weights.clone(),
            // Augmented views are always new; captions come back.
            towers: [Frozen::keeping(!augmented), Frozen::keeping(true)],
            arenas: Default::default(),
        });
        Self { objective, per_epoch, start, bank: Vec::new() }
    }

    /// The loss of 0-based `step` from both towers' embeddings of `batch`.
    ///
    /// # Errors
    /// If the device refuses an operation.
    pub(super) fn loss(
        &mut self,
        executor: &Executor,
        step: u64,
        clip: &Clip,
        batch: &Batch,
        [image, text]: [&[f32]; 2],
        logit_scale: f32,
    ) -> Result<Loss> {
        let width = clip.config.embed_dim;
        Ok(match (&self.objective, &mut self.start) {
            (Objective::SelfSupervised(rule), _) => rule.loss(image, text, width, logit_scale),
            (Objective::Repel(rule), Some(start)) => {
                let [start_image, start_text] = start.embed(executor, clip, batch)?;
                rule.loss(image, text, [&start_image, &start_text], width, logit_scale)
            }
            (Objective::Bank(rule), _) => {
                let epoch = step / self.per_epoch.max(1);
                rule.loss(image, text, &self.bank, epoch, width, logit_scale)
            }
            (Objective::Unimodal(rule), _) => {
                rule.loss(image, text, &self.bank, width, logit_scale)
            }
            (Objective::Crossed, _) => crossed(image, text, width, logit_scale),
            (Objective::Agree(rule), _) => rule.loss(image, text, width),
            (Objective::Flood(rule), _) => rule.loss(image, text, width, logit_scale),
            (Objective::Contrastive | Objective::Repel(_), _) => {
                Loss { whole: contrastive(image, text, width, logit_scale), terms: vec![] }
            }
        })
    }

    /// What a finished step leaves behind: the embeddings of its pictures and captions.
    pub(super) fn remember(&mut self, [image, text]: [&[f32]; 2], width: usize) {
        match &self.objective {
            Objective::Bank(rule) => rule.push(&mut self.bank, text, width),
            Objective::Unimodal(rule) => rule.push(&mut self.bank, image, text, width),
            _ => {}
        }
    }

    /// Whether it asks for [`Rule::remember`].
    pub(super) fn remembers(&self) -> bool {
        matches!(self.objective, Objective::Bank(_) | Objective::Unimodal(_))
    }
}

impl Start {
    /// Embeddings of pictures and captions under running statistics, so that they do not depend on the batch.
    fn embed(&mut self, by: &Executor, clip: &Clip, batch: &Batch) -> Result<[Vec<f32>; 2]> {
        let Self { weights, towers: [image, text], arenas: [images, texts] } = self;
        let pixels = Inputs::Pixels(&batch.pixels);
        let tokens = Inputs::Tokens { ids: &batch.ids, end: &batch.end };
        let (image, text) = rayon::join(
            || image.embed(by, &clip.image, &params_of(&clip.image, weights), pixels, images),
            || text.embed(by, &clip.text, &params_of(&clip.text, weights), tokens, texts),
        );
        Ok([image?, text?])
    }
}
