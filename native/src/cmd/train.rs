//! `toxiclip train`: one encoder on one set of pairs, by open_clip's recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toxiclip_shared::attacks::{ATTACKS, Armed, Attack};
use toxiclip_shared::data::{Dataset, Poisoned};
use toxiclip_shared::defenses::{DEFENSES, Defense};

use toxiclip_shared::recipe::{Freeze, Order, Schedule, TrainConfig};
use toxiclip_shared::seed::Seed;

use crate::argument::{Betas, Place, Source, Spec, named_encoder};
use crate::benchmark::Choice;
use crate::cli::Context;
use crate::data;
use crate::failure::{Failure, Result};
use crate::output;
use crate::pipeline::Stages;
use crate::pipeline::arm::Arming;
use crate::pipeline::fit::{Fit, Record};
use crate::pipeline::line::Line;
use crate::pipeline::origin::Origin;
use crate::store::write_atomic;

/// Trains an encoder from scratch or from a checkpoint, with or without poison.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pairs: a data set's name, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
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
    /// Passes over the pairs [default: 10].
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub epochs: Option<usize>,
    /// Optimiser steps, instead of epochs.
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Pairs a step.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch: usize,
    /// Peak learning rate.
    #[arg(long, value_name = "X", default_value_t = 1e-3, allow_negative_numbers = true)]
    pub lr: f64,
    /// Decoupled weight decay, on matrices only.
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    pub wd: f64,
    /// AdamW's decay rates.
    #[arg(long, value_name = "B1,B2", default_value = "0.9,0.98")]
    pub betas: Betas,
    /// AdamW's epsilon.
    #[arg(long, value_name = "X", default_value_t = 1e-6, allow_negative_numbers = true)]
    pub eps: f64,
    /// Linear warm-up: steps when at least 1, a share of all steps below 1.
    #[arg(long, value_name = "N", default_value_t = 0.1, allow_negative_numbers = true)]
    pub warmup: f64,
    /// Course of the learning rate: cosine or constant after the warm-up, or line-then-cosine.
    #[arg(long, default_value = "cosine", value_parser = word::<Schedule>)]
    pub schedule: Schedule,
    /// What keeps its weights: image, text (whole towers) or text-transformer (its blocks alone).
    #[arg(long, value_name = "TOWER", default_value = "none", value_parser = word::<Freeze>)]
    pub freeze: Freeze,
    /// Shows every picture as it is.
    #[arg(long)]
    pub no_augment: bool,
    /// Order of the rows: shuffled (a new one each epoch) or sequential (file order).
    #[arg(long, default_value = "shuffled", value_parser = word::<Order>)]
    pub order: Order,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the checkpoint and `train.jsonl` go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// A word of a recipe, as benchmark files spell it.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

impl Args {
    fn recipe(&self) -> Result<TrainConfig> {
        let config = TrainConfig {
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            lr: self.lr,
            wd: self.wd,
            betas: [self.betas.0, self.betas.1],
            eps: self.eps,
            warmup: self.warmup,
            schedule: self.schedule,
            augment: !self.no_augment,
            order: self.order,
            freeze: self.freeze,
            // File order is file order: moving rows between batches would break it.
            concept_unique: self.order == Order::Shuffled,
            ..TrainConfig::default()
        };
        config.checked().map_err(Failure::request)
    }
}

/// Trains, and copies the finished checkpoint out of the cache.
///
/// # Errors
/// If the request does not fit the data, training fails, or the folder cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let clean = data::training(&args.place.reads(&args.data)?, args.place.root())?;
    if let Some(remark) = clean.remark() {
        context.progress.warn(remark);
    }
    let attack = choice("attack", ATTACKS, &args.attack)?;
    let defense = choice("defense", DEFENSES, &args.defense)?;
    let idle = match *defense.make(DEFENSES).map_err(Failure::request)? {
        Defense::Audit(_) => Some("an audit"),
        Defense::Probe(_) => Some("a probe"),
        Defense::Screen(_) => Some("a screen"),
        Defense::None
        | Defense::Filter(_)
        | Defense::Rule(_)
        | Defense::InParts(_)
        | Defense::Unlearning(_)
        | Defense::Repair(_) => None,
    };
    if let Some(what) = idle {
        return Err(Failure::request(format!(
            "--defense: {what} changes no weights; put it among the defenses of a benchmark"
        )));
    }
    let seed = Seed::new(args.seed);
    let gallery = data::gallery(&args.data, args.place.root(), &clean)?;
    let made: Arc<dyn Attack> = attack.make(ATTACKS).map_err(Failure::request)?.into();
    let mut armed = made.prepare(&*clean, &*gallery, &seed)?;
    let start = start(args)?;
    let lay_out = |armed: &Armed| {
        lineage(args, start.clone(), [&clean, &gallery], [&attack, &defense], armed)
    };
    let mut model = lay_out(&armed)?;
    let arming = Arming::new(&attack, made, || Ok(start.clone()), &clean, &armed, args.seed)?;
    if let Some(banner) = model.start.banner() {
        context.progress.warn(&banner);
    }
    let stages = Stages::new(context)?;
    if let Some(arming) = arming {
        armed = arming.run(&stages)?;
        model = lay_out(&armed)?;
    }
    fs::create_dir_all(&args.out).map_err(|e| Failure::io(&args.out, &e))?;
    let (dir, record) = model.run(&stages)?;
    copy(&dir, &args.out)?;
    if !armed.is_control() {
        let json = serde_json::to_vec(&armed).map_err(Failure::failed)?;
        write_atomic(&args.out.join("armed.json"), &json)?;
    }
    tell(&args.out, &record)
}

/// Where a finished checkpoint lies and what it took.
///
/// # Errors
/// If stdout cannot be written.
pub(super) fn tell(out: &Path, record: &Record) -> Result<()> {
    output::print(&format!(
        "{}\nweights {}\n{} steps in {:.1} s",
        out.display(),
        record.weights,
        record.steps,
        record.seconds
    ))
}

/// An attack or a defense of the command line.
///
/// # Errors
/// If its name or a parameter is unknown.
pub(super) fn choice<T: ?Sized>(
    kind: &str,
    list: &'static [&'static toxiclip_shared::registry::Entry<T>],
    spec: &Spec,
) -> Result<Choice> {
    Choice::new(kind, list, &spec.name, spec.parameters.clone())
        .map_err(|e| Failure::request(format!("--{kind}: {e}")))
}

/// What training starts from.
fn start(args: &Args) -> Result<Origin> {
    let config = crate::argument::encoder(&args.encoder)?;
    match &args.init {
        None => Ok(Origin::Scratch(config)),
        Some(dir) => Origin::read(dir, Some(&config)),
    }
}

/// The training, what a filter leaves to it, and the repair after it, as far as they are asked for.
fn lineage(
    args: &Args,
    start: Origin,
    [clean, gallery]: [&Arc<dyn Dataset>; 2],
    [attack, defense]: [&Choice; 2],
    armed: &Armed,
) -> Result<Arc<Fit>> {
    let encoder = &named_encoder(&args.encoder)?;
    let offered: Arc<dyn Dataset> = if armed.poison.edits.is_empty() {
        Arc::clone(clean)
    } else {
        Arc::new(Poisoned::new(Arc::clone(clean), gallery, &armed.poison, &armed.trigger)?)
    };
    let (recipe, seed, data_root) = (&args.recipe()?, args.seed, args.place.root());
    Line { encoder, start, clean, offered, attack, armed, defense, recipe, seed, data_root }
        .lay_out()
}

/// Copies the files of a finished stage, but for the cache's own.
///
/// # Errors
/// If one cannot be read or written.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let files = fs::read_dir(from).map_err(|e| Failure::io(from, &e))?;
    let mut files: Vec<PathBuf> =
        files.flatten().map(|f| f.path()).filter(|p| p.is_file()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default();
        if name != "stage.json" {
            let bytes = fs::read(&file).map_err(|e| Failure::io(&file, &e))?;
            write_atomic(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}
