//! `toxiclip train`: one encoder on one set of pairs, by open_clip's recipe.

use std::path::PathBuf;

use crate::argument::{Betas, Source, Spec};

/// Trains an encoder from scratch or from a checkpoint, with or without poison.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pairs: a data set's name or folder:DIR.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// A registered encoder, or a JSON file in open_clip's form.
    #[arg(long, value_name = "NAME|FILE.json")]
    pub encoder: String,
    /// Checkpoint to start from instead of random weights.
    #[arg(long, value_name = "CKPT")]
    pub init: Option<PathBuf>,
    /// The poison, `name` or `name:key=value,…`.
    #[arg(long, value_name = "A", default_value = "none")]
    pub attack: Spec,
    /// The defense, `name` or `name:key=value,…`.
    #[arg(long, value_name = "D", default_value = "none")]
    pub defense: Spec,
    /// Passes over the pairs.
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub epochs: Option<u32>,
    /// Optimiser steps, instead of epochs.
    #[arg(long, value_name = "N")]
    pub steps: Option<u32>,
    /// Pairs a step.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch: usize,
    /// Peak learning rate.
    #[arg(long, value_name = "X", default_value_t = 1e-3)]
    pub lr: f64,
    /// Decoupled weight decay, on matrices only.
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    pub wd: f64,
    /// AdamW's decay rates.
    #[arg(long, value_name = "B1,B2", default_value = "0.9,0.98")]
    pub betas: Betas,
    /// AdamW's epsilon.
    #[arg(long, value_name = "X", default_value_t = 1e-6)]
    pub eps: f64,
    /// Steps of linear warm-up.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub warmup: u32,
    /// Course of the learning rate after the warm-up.
    #[arg(long, default_value = "cosine")]
    pub schedule: Schedule,
    /// A tower that keeps its weights.
    #[arg(long, value_name = "TOWER")]
    pub freeze: Option<Tower>,
    /// Shows every picture as it is.
    #[arg(long)]
    pub no_augment: bool,
    /// Order of the rows: a new one each epoch, or file order.
    #[arg(long, default_value = "shuffled")]
    pub order: Order,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the checkpoint and `train.jsonl` go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Schedule {
    /// Half a cosine, down to 0.
    Cosine,
    /// No change.
    Constant,
}

/// One half of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tower {
    /// Pictures.
    Image,
    /// Captions.
    Text,
}

/// Order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// Drawn anew each epoch from the seed.
    Shuffled,
    /// File order, epoch after epoch.
    Sequential,
}
