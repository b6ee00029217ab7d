//! `toxiclip defend`: a repair of a finished checkpoint.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::recipe::TrainConfig;

use super::train::{choice, copy, tell};
use crate::argument::{Checkpoint, Place, Source, Spec};
use crate::benchmark::Choice;
use crate::cli::Context;
use crate::data;
use crate::failure::{Failure, Result};
use crate::files::name_of;
use crate::pipeline::Stages;
use crate::pipeline::fit::Fit;
use crate::pipeline::line::{self, Chain};
use crate::pipeline::origin::Origin;
use crate::pipeline::pairs::Pairs;

/// Trains a checkpoint on by a repair, on pairs that the defender has.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// It stays as it is.
    #[command(flatten)]
    pub model: Checkpoint,
    /// The repair, `name` or `name:key=value,…`.
    #[arg(long, value_name = "D")]
    pub defense: Spec,
    /// The clean pairs, or those that the checkpoint was trained on for a repair that unlearns: a data set's name,
    /// folder:DIR, csv:FILE or wds:PATTERN. A repair's `share` says how many of them are taken.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the repaired checkpoint and `train.jsonl` go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Repairs, and copies the finished checkpoint out of the cache.
///
/// # Errors
/// If the defense is no repair, the data are too few, training fails, or the folder cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let spec = choice("defense", DEFENSES, &args.defense)?;
    let defense = spec.make(DEFENSES).map_err(Failure::request)?;
    let moment = defense.moment();
    let instead = match *defense {
        Defense::Repair(how) => {
            return go(&spec, args, context, |start, pairs, said| {
                line::repaired(&*how, start, pairs, args.seed, |recipe, rows| {
                    said(&Pairs::Whole(Arc::clone(rows)), recipe)
                })
            });
        }
        Defense::Unlearning(how) => {
            return go(&spec, args, context, |start, pairs, said| {
                let parts = how.plan(&**pairs, &TrainConfig::default())?;
                let chain = Chain {
                    stage: "defend",
                    offered: pairs,
                    clean: pairs,
                    defense: &spec,
                    seed: args.seed,
                };
                chain.lay_out(&start, parts, said)
            });
        }
        Defense::Filter(_) => "it acts in `toxiclip train`, or looks in `toxiclip scan data`",
        Defense::Rule(_) | Defense::InParts(_) => "it acts in `toxiclip train`",
        Defense::Audit(_) => "it looks in `toxiclip scan model`",
        Defense::None | Defense::Probe(_) | Defense::Screen(_) => {
            "put it among the defenses of a benchmark"
        }
    };
    Err(Failure::request(format!(
        "--defense: {} acts {moment} and repairs no checkpoint; {instead}",
        spec.name()
    )))
}

/// Lays the trainings out by the start, the pairs and what checkpoints say of themselves, and runs them.
fn go(
    spec: &Choice,
    args: &Args,
    context: &Context,
    lay_out: impl FnOnce(
        Origin,
        &Arc<dyn Dataset>,
        &dyn Fn(&Pairs, &TrainConfig) -> Provenance,
    ) -> Result<Arc<Fit>>,
) -> Result<()> {
    let data: Arc<dyn Dataset> = data::training(&args.place.reads(&args.data)?, args.place.root())?;
    if let Some(remark) = data.remark() {
        context.progress.warn(remark);
    }
    let start = Origin::read(&args.model.checkpoint, args.model.encoder()?.as_ref())?;
    let encoder = match &start {
        Origin::Checkpoint { provenance: Some(said), .. } => said.encoder.clone(),
        _ => name_of(&args.model.checkpoint)?,
    };
    if let Some(banner) = start.banner() {
        context.progress.warn(&banner);
    }
    let said = |pairs: &Pairs, recipe: &TrainConfig| Provenance {
        encoder: encoder.clone(),
        defense: Some(spec.spec().clone()),
        data: json!({ "name": pairs.offered().name(), "digest": pairs.key() }),
        recipe: json!({ "train": recipe, "seed": args.seed }),
        ..Provenance::default()
    };
    let fit = lay_out(start, &data, &said)?;
    let stages = Stages::new(context)?;
    fs::create_dir_all(&args.out).map_err(|e| Failure::io(&args.out, &e))?;
    let (dir, record) = fit.run(&stages)?;
    copy(&dir, &args.out)?;
    tell(&args.out, &record)
}
