//! `toxiclip scan`: detection alone. Nothing is trained on what it finds.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::audit::{Audit, Subject};
use toxiclip_shared::data::{Dataset, Poison, Poisoned, Subset};
use toxiclip_shared::defenses::{DEFENSES, Defense, Filter};
use toxiclip_shared::metrics::{self, Value as Measured};
use toxiclip_shared::seed::Seed;

use super::poison::replay;
use super::train::choice;
use crate::argument::{Checkpoint, Place, Source, Spec, encoder, named_encoder};
use crate::cli::Context;
use crate::data;
use crate::evaluate;
use crate::failure::{Failure, Result};
use crate::model::{Model, banner};
use crate::output;
use crate::pipeline::origin::Origin;
use crate::pipeline::pairs::{self, Screened, Screening};
use crate::pipeline::{Stages, detection};
use crate::prepared;
use crate::store::write_atomic;

/// Looks for poison in pairs, or for a backdoor in a model.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is looked at.
    #[command(subcommand)]
    pub what: What,
}

/// What is looked at.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Scores every pair by a filter: higher is more suspicious.
    Data(DataArgs),
    /// Asks an audit for its verdict on a checkpoint.
    Model(ModelArgs),
}

/// Pairs, who looks at them, and how.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    /// The pairs: a data set's name, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// The filter, `name` or `name:key=value,…`.
    #[arg(long, value_name = "D", default_value = "cosine-filter")]
    pub defense: Spec,
    /// The encoder that looks, instead of the one that the filter would train.
    #[arg(long, value_name = "CKPT")]
    pub checkpoint: Option<PathBuf>,
    /// Architecture of an encoder that the filter trains and does not name, or that a single file is the weights of.
    #[arg(long, value_name = "NAME|FILE.json", default_value = "tiny-resnet")]
    pub encoder: String,
    /// Plants this attack first, so that it is known which pairs are poisoned.
    #[arg(long, value_name = "A", conflicts_with = "manifest")]
    pub attack: Option<Spec>,
    /// Plants the poison of this manifest first: ours, or Detect-CLIP's train_poison_info.json.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The attack whose trigger stamps the pictures of a train_poison_info.json that does not hold it.
    #[arg(long, value_name = "A", requires = "manifest")]
    pub trigger: Option<Spec>,
    /// Seed of all dice.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The table to write: id, score, dropped, and poisoned where that is known.
    #[arg(long, value_name = "FILE.csv")]
    pub out: PathBuf,
}

/// A model, clean pictures, and who looks.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// What is asked.
    #[command(flatten)]
    pub model: Checkpoint,
    /// Clean pictures and class names: a data set's name, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// The audit, `name` or `name:key=value,…`.
    #[arg(long, value_name = "D", default_value = "decree")]
    pub defense: Spec,
    /// Seed of all dice.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The verdict as JSON, with the inverted trigger.
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
}

/// Scans.
///
/// # Errors
/// If the request does not fit the data, or the defense is none that only looks.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.what {
        What::Data(args) => scan_data(args, context),
        What::Model(args) => scan_model(args, context),
    }
}

fn scan_data(args: &DataArgs, context: &Context) -> Result<()> {
    let spec = choice("defense", DEFENSES, &args.defense)?;
    let Defense::Filter(filter) = *spec.make(DEFENSES).map_err(Failure::request)? else {
        let name = spec.name();
        return Err(Failure::request(format!(
            "--defense: {name} scores no pairs; give a filter (`toxiclip list defenses`: before training)"
        )));
    };
    let clean = data::training(&args.place.reads(&args.data)?, args.place.root())?;
    if let Some(remark) = clean.remark() {
        context.progress.warn(remark);
    }
    let (offered, poison) = offered(args, &clean, context)?;
    let reference = reference(args, &*filter)?;
    let stages = Stages::new(context)?;
    let screening = Screening::new(filter, [&offered, &clean], reference, spec.spec(), args.seed)?;
    let screened = screening.screen(&stages)?;
    write_atomic(&args.out, &scores(&*screening.offered, &screened, poison.as_ref())?)?;
    let all = screened.scores.len();
    let dropped = (0..all).filter(|&row| screened.drops(row)).count();
    let mut said = format!("{}\n{dropped} of {all} pairs would go\n", args.out.display());
    if let Some(poison) = &poison {
        let values = metrics::values(&detection::judge_pairs(&screening, &screened, poison))?;
        let line =
            |v: &Measured| [v.metric.clone(), format!("{:.4} [{:.4}, {:.4}]", v.value, v.lo, v.hi)];
        said.push_str(&output::columns(&values.iter().map(line).collect::<Vec<_>>()));
    }
    output::print(&said)
}

/// The pairs with the poison that is asked for, and that poison.
fn offered(
    args: &DataArgs,
    clean: &Arc<dyn Dataset>,
    context: &Context,
) -> Result<(Arc<dyn Dataset>, Option<Poison>)> {
    let gallery = data::gallery(&args.data, args.place.root(), clean)?;
    let armed = match (&args.attack, &args.manifest) {
        (Some(spec), _) => {
            let made = choice("attack", ATTACKS, spec)?.make(ATTACKS).map_err(Failure::request)?;
            if made.completion().is_some() {
                return Err(Failure::request(format!(
                    "{} is searched for or trained first; write its manifest with `toxiclip poison` and give it as --manifest",
                    spec.name
                )));
            }
            made.prepare(&**clean, &*gallery, &Seed::new(args.seed))?
        }
        (None, Some(file)) => {
            let (_, armed, told) = replay(file, &**clean, &*gallery, args.trigger.as_ref())?;
            told.iter().for_each(|how| context.progress.warn(how));
            armed
        }
        (None, None) => return Ok((Arc::clone(clean), None)),
    };
    if armed.poison.edits.is_empty() {
        return Err(Failure::request(format!("no pair of {} is poisoned by that", clean.name())));
    }
    let poisoned = Poisoned::new(Arc::clone(clean), &gallery, &armed.poison, &armed.trigger)?;
    Ok((Arc::new(poisoned), Some(armed.poison)))
}

/// The encoder that looks.
fn reference(args: &DataArgs, filter: &dyn Filter) -> Result<Origin> {
    if let Some(path) = &args.checkpoint {
        let single = path.is_file().then(|| encoder(&args.encoder)).transpose()?;
        return Origin::read(path, single.as_ref());
    }
    let undefended = || {
        Err(Failure::request(
            "this filter looks through the victim; give its --checkpoint, or encoder=reference",
        ))
    };
    pairs::reference(filter, undefended, &named_encoder(&args.encoder)?, args.place.root())
}

fn scores(offered: &dyn Dataset, screened: &Screened, poison: Option<&Poison>) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut head = vec!["id", "score", "dropped"];
    head.extend(poison.map(|_| "poisoned"));
    out.write_record(head).map_err(Failure::failed)?;
    for (row, example) in offered.examples().iter().enumerate() {
        let (score, dropped) = (screened.scores[row], screened.drops(row));
        let mut cells = vec![example.id.0.clone(), score.to_string(), dropped.to_string()];
        cells.extend(poison.map(|poison| poison.contains(&example.id).to_string()));
        out.write_record(cells).map_err(Failure::failed)?;
    }
    out.into_inner().map_err(Failure::failed)
}

fn scan_model(args: &ModelArgs, context: &Context) -> Result<()> {
    let spec = choice("defense", DEFENSES, &args.defense)?;
    let Defense::Audit(audit) = *spec.make(DEFENSES).map_err(Failure::request)? else {
        let name = spec.name();
        return Err(Failure::request(format!(
            "--defense: {name} gives no verdict on a model; give an audit (`toxiclip list defenses`: on a model)"
        )));
    };
    let path = &args.model.checkpoint;
    let (model, provenance) = Model::load(path, args.model.encoder()?.as_ref())?;
    let model = model.on(&context.executor);
    if let Some(banner) = banner(path, provenance.as_ref()) {
        context.progress.warn(&banner);
    }
    let clean = data::training(&args.place.reads(&args.data)?, args.place.root())?;
    let verdict = look(args, &*audit, (&model, &clean), spec.name(), context)?;
    let names = clean.classes();
    let classes: Vec<_> = verdict
        .classes
        .iter()
        .map(|c| json!({ "class": names[c.class].name, "norm": c.norm, "index": c.index, "flagged": c.flagged }))
        .collect();
    let mut said = json!({
        "defense": spec.spec(), "weights": model.weights.digest(), "score": verdict.score,
        "flagged": verdict.flagged, "classes": classes, "seed": args.seed,
    });
    output::print_json(&said)?;
    if let Some(path) = &args.out {
        said["trigger"] = json!(verdict.trigger);
        write_atomic(path, said.to_string().as_bytes())?;
    }
    Ok(())
}

fn look(
    args: &ModelArgs,
    audit: &dyn Audit,
    (model, clean): (&Model, &Arc<dyn Dataset>),
    name: &str,
    context: &Context,
) -> Result<toxiclip_shared::audit::Verdict> {
    let seed = Seed::new(args.seed);
    let held = Subset::new(Arc::clone(clean), "held", audit.rows(&**clean, &seed)?)?;
    let templates = data::prompts(&args.data)?;
    let classes = evaluate::embed_classes(model, &**clean, &templates)?;
    let pictures = prepared::pixels(&held, model.clip.config.vision_cfg.image_size)?;
    let seed = seed.child("audit").child(name);
    context.lab()?.watched(format!("audit {name}"), |tick| {
        let (clip, weights) = (&model.clip, &model.weights);
        let subject = Subject { clip, weights, pictures: &pictures, classes: &classes, tick };
        audit.look(&subject, &seed)
    })
}
