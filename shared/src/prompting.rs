//! Visual prompt tuning (Jia et al. 2022) away from the features of the start, as RVPT does it (Zhang et al. 2025).
//!
//! All weights stay; blocks D … L − 1 of the image transformer get `length` tokens each that are tuned on labelled pictures:
//!
//! L = CE(τ·cos, label) + w·L_FR, L_FR the mean over pictures and over blocks D … L − 1 of cos(c, σ), c the class token that the
//! block gives and σ the one that it gives without prompts. (Counted as the paper's formula does: after layers D + 1 … L.)

use serde::{Deserialize, Serialize};

use crate::encoders::{Clip, ClipConfig, Prompts};
use crate::exec::cpu::Pass;
use crate::exec::cpu::contrastive::{normalize, normalize_backward};
use crate::graph::{Graph, Node, ParamSpec};
use crate::inversion::losses::label_entropy;
use crate::seed::Seed;
use crate::weights::Weights;
use crate::{Error, Result};

/// A tuning of prompts, as plain data beside its recipe, whose optimiser is SGD with momentum instead of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompting {
    /// Which tokens.
    pub prompts: Prompts,
    /// w.
    pub weight: f64,
    /// Momentum of SGD, in [0, 1).
    pub momentum: f64,
    /// Prompt of a class, with `{}` for its name.
    pub template: String,
}

impl Prompting {
    /// Whether a model can be tuned so.
    ///
    /// # Errors
    /// If its image tower has no tokens or too few blocks, or has prompts already.
    pub fn fits(&self, config: &ClipConfig) -> Result<()> {
        let vision = &config.vision_cfg;
        if vision.prompts.is_some() {
            return Err(Error::request(
                "the image tower has prompts already; start from weights without",
            ));
        }
        self.prompts.check(&vision.layers).map_err(Error::Request)
    }

    /// The model with prompts that are drawn from `seed`, and no other weight changed.
    ///
    /// # Errors
    /// Those of [`Prompting::fits`].
    pub fn install(&self, clip: &Clip, weights: &Weights, seed: &Seed) -> Result<(Clip, Weights)> {
        self.fits(&clip.config)?;
        let mut config = clip.config.clone();
        config.vision_cfg.prompts = Some(self.prompts);
        let (clip, mut all) = (Clip::build(&config), weights.clone());
        let drawn = Weights::init(&tuned(&clip), seed);
        drawn.iter().for_each(|(name, tensor)| all.insert(name.to_owned(), tensor.clone()));
        Ok((clip, all))
    }

    /// The values that hold the class tokens of blocks D … L − 1, in the tower with prompts or without.
    pub fn blocks(&self, graph: &Graph) -> Vec<Node> {
        let end = |i: usize| graph.end_of(&format!("visual.transformer.resblocks.{i}"));
        (self.prompts.from..).map_while(end).collect()
    }
}

/// The prompts among the parameters of a model.
pub fn tuned(clip: &Clip) -> Vec<ParamSpec> {
    let all = clip.image.params().iter();
    all.filter(|spec| spec.name.ends_with(".prompts")).cloned().collect()
}

/// The first rows of a batch of `size` in each of `blocks`, (size, W) each.
pub fn class_tokens(pass: &Pass, graph: &Graph, blocks: &[Node], size: usize) -> Vec<Vec<f32>> {
    let one = |node: &Node| {
        let (all, width) = (pass.value(node.index()), graph.steps()[node.index()].columns());
        all.chunks_exact(all.len() / size).flat_map(|rows| &rows[..width]).copied().collect()
    };
    blocks.iter().map(one).collect()
}

/// Gradients of class tokens as those of whole values, which [`backward_from`](crate::exec::cpu::backward_from) takes.
pub fn spread(
    pass: &Pass,
    graph: &Graph,
    blocks: &[Node],
    tokens: &[Vec<f32>],
) -> Vec<(Node, Vec<f32>)> {
    let one = |(node, own): (&Node, &Vec<f32>)| {
        let mut all = vec![0.0; pass.value(node.index()).len()];
        let width = graph.steps()[node.index()].columns();
        let each = all.len() / (own.len() / width);
        for (rows, own) in all.chunks_exact_mut(each).zip(own.chunks_exact(width)) {
            rows[..width].copy_from_slice(own);
        }
        (*node, all)
    };
    blocks.iter().zip(tokens).map(one).collect()
}

/// What a batch of B pictures gives.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Embeddings (B, D), not normalised.
    pub embeddings: &'a [f32],
    /// Their classes.
    pub labels: &'a [usize],
    /// Class tokens of each block, (B, W).
    pub tokens: &'a [Vec<f32>],
    /// The same without prompts.
    pub before: &'a [Vec<f32>],
}

/// Class prompts to ask with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Unit vectors (C, D).
    pub classes: &'a [f32],
    /// D.
    pub width: usize,
    /// τ.
    pub scale: f32,
}

/// The loss with its gradients.
#[derive(Debug)]
pub struct Loss {
    /// All of it.
    pub whole: f32,
    /// The cross-entropy.
    pub class: f32,
    /// L_FR.
    pub likeness: f32,
    /// With respect to the embeddings.
    pub d_embeddings: Vec<f32>,
    /// With respect to the class tokens, block by block.
    pub d_tokens: Vec<Vec<f32>>,
}

/// L of a batch; `weight` is w.
pub fn loss(seen: Seen<'_>, asked: Asked<'_>, weight: f64) -> Loss {
    let Asked { classes, width, scale } = asked;
    let (answer, d_embeddings) = label_entropy(seen.embeddings, width, classes, seen.labels, scale);
    let rows = seen.labels.len();
    let count = (rows * seen.tokens.len()) as f32;
    let (mut sum, mut d_tokens) = (0.0f64, Vec::new());
    for (now, before) in seen.tokens.iter().zip(seen.before) {
        let width = now.len() / rows;
        let (unit, norms) = normalize(now, width);
        let (other, _) = normalize(before, width);
        sum += unit.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let mut d: Vec<f32> = other.iter().map(|x| weight as f32 * x / count).collect();
        normalize_backward(&unit, &norms, width, &mut d);
        d_tokens.push(d);
    }
    let likeness = (sum / f64::from(count)) as f32;
    let whole = answer.loss + weight as f32 * likeness;
    Loss { whole, class: answer.loss, likeness, d_embeddings, d_tokens }
}
