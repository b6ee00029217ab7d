//! `toxiclip poison`: what an attack changes in a data set, and the changed set.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toxiclip_shared::attacks::{ATTACKS, Armed, Attack};
use toxiclip_shared::data::{Dataset, Poisoned};
use toxiclip_shared::seed::Seed;

use super::train::choice;
use crate::argument::{Place, Source, Spec, encoder};
use crate::cli::Context;
use crate::data;
use crate::export::{self, Form};
use crate::failure::{Failure, Result};
use crate::manifest::{self, Manifest, Matched};
use crate::output;
use crate::pipeline::Stages;
use crate::pipeline::arm::Arming;
use crate::pipeline::origin::Origin;
use crate::store::write_atomic;

/// Writes the poison of an attack as a manifest that can be replayed, and the poisoned pairs if asked.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("poison").required(true).args(["attack", "manifest"])))]
pub struct Args {
    /// The clean pairs: a data set's name, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE")]
    pub data: Source,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// The attack, `name` or `name:key=value,…`.
    #[arg(long, value_name = "A")]
    pub attack: Option<Spec>,
    /// A manifest that is replayed on these pairs, instead of an attack: ours, or Detect-CLIP's train_poison_info.json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "count", "seed", "surrogate"])]
    pub manifest: Option<PathBuf>,
    /// The attack whose trigger stamps the pictures of a train_poison_info.json that does not hold it.
    #[arg(long, value_name = "A", requires = "manifest", conflicts_with = "attack")]
    pub trigger: Option<Spec>,
    /// The attack's parameter of this name.
    #[arg(long, value_name = "R", conflicts_with = "count", allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// The attack's parameter of this name.
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// The checkpoint that an optimised attack looks through.
    #[arg(long, value_name = "CKPT")]
    pub surrogate: Option<PathBuf>,
    /// What the surrogate is the weights of, where it is a single file.
    #[arg(long, value_name = "NAME|FILE.json", requires = "surrogate")]
    pub encoder: Option<String>,
    /// Seed of the attack's dice [default: 0].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where `manifest.json` and `armed.json` go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Writes the poisoned pairs there too, with lossless pictures.
    #[arg(long, value_name = "FORM")]
    pub write: Option<Form>,
}

/// Draws or replays the poison, and writes.
///
/// # Errors
/// If the attack does not fit the data, the manifest fits none of them, or the folder cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let clean = data::training(&args.place.reads(&args.data)?, args.place.root())?;
    if let Some(remark) = clean.remark() {
        context.progress.warn(remark);
    }
    let gallery = data::gallery(&args.data, args.place.root(), &clean)?;
    let stages = Stages::new(context)?;
    let (manifest, armed, replayed) = match (&args.manifest, &args.attack) {
        (Some(file), _) => replay(file, &*clean, &*gallery, args.trigger.as_ref())?,
        (None, Some(attack)) => draw(args, attack.clone(), &clean, &*gallery, &stages)?,
        (None, None) => return Err(Failure::request("give --attack or --manifest")),
    };
    let poisoned = Poisoned::new(Arc::clone(&clean), &gallery, &armed.poison, &armed.trigger)?;
    let text = serde_json::to_string_pretty(&manifest).map_err(Failure::failed)? + "\n";
    refuse_another(&args.out.join(manifest::FILE), &text)?;
    fs::create_dir_all(&args.out).map_err(|e| Failure::io(&args.out, &e))?;
    let json = serde_json::to_vec(&armed).map_err(Failure::failed)?;
    write_atomic(&args.out.join(manifest::ARMED), &json)?;
    write_atomic(&args.out.join(manifest::FILE), text.as_bytes())?;
    let (changed, all) = (armed.poison.pairs().count(), poisoned.examples().len());
    let mut said = format!(
        "{}\n{changed} of {all} pairs poisoned ({:.2} %)",
        args.out.display(),
        100.0 * changed as f64 / all as f64
    );
    said.extend(replayed.map(|how| format!("\n{how}")));
    if let Some(form) = args.write {
        let source = export::write(&poisoned, form, &args.out, &stages.lab)?;
        said.push_str(&format!("\nread it with --data '{source}'"));
    }
    output::print(&said)
}

/// A poison with its manifest, and how much of a replayed one fits.
type Drawn = (Manifest, Armed, Option<String>);

fn draw(
    args: &Args,
    mut spec: Spec,
    clean: &Arc<dyn Dataset>,
    gallery: &dyn Dataset,
    stages: &Stages,
) -> Result<Drawn> {
    for (key, value) in [("rate", args.rate.map(Into::into)), ("count", args.count.map(Into::into))]
    {
        let Some(value) = value else { continue };
        if spec.parameters.insert(key.to_owned(), value).is_some() {
            let why = format!("`{key}` is given in --attack and as --{key}; give it once");
            return Err(Failure::request(why));
        }
    }
    let attack = choice("attack", ATTACKS, &spec)?;
    let made: Arc<dyn Attack> = attack.make(ATTACKS).map_err(Failure::request)?.into();
    let seed = args.seed.unwrap_or(0);
    let mut armed = made.prepare(&**clean, gallery, &Seed::new(seed))?;
    let surrogate = || match &args.surrogate {
        Some(dir) => {
            let encoder = args.encoder.as_deref().map(encoder).transpose()?;
            Origin::read(dir, encoder.as_ref())
        }
        None => Err(Failure::request(format!(
            "{} looks through an encoder; give --surrogate CKPT",
            attack.name()
        ))),
    };
    if let Some(arming) = Arming::new(&attack, made, surrogate, clean, &armed, seed)? {
        armed = arming.run(stages)?;
    }
    if armed.poison.edits.is_empty() {
        return Err(Failure::request(format!(
            "{} changes no pair of {}; there is nothing to write",
            attack.name(),
            clean.name()
        )));
    }
    let manifest = Manifest::new(attack.spec(), seed, &**clean, &armed.poison);
    Ok((manifest, armed, None))
}

/// The part of a manifest that fits this copy of the data, with how much that is.
///
/// # Errors
/// If the manifest cannot be read, or nothing of it fits.
pub(super) fn replay(
    file: &Path,
    clean: &dyn Dataset,
    gallery: &dyn Dataset,
    trigger: Option<&Spec>,
) -> Result<Drawn> {
    let (manifest, armed) = Manifest::open(file, [clean, gallery], trigger)?;
    let Matched { poison, missing, changed } = manifest.replay(clean, gallery);
    let (fit, all) = (poison.edits.len(), manifest.edits.len());
    let told = format!(
        "{fit} of {all} edits matched, {missing} name rows that {} does not have, {changed} rows whose content differs",
        clean.name()
    );
    if fit == 0 {
        return Err(Failure::request(format!("{}: {told}", file.display())));
    }
    let own = Manifest::new(&manifest.attack, manifest.seed, clean, &poison);
    Ok((own, Armed { poison, ..armed }, Some(told)))
}

/// A folder with another poison is not overwritten.
fn refuse_another(path: &Path, text: &str) -> Result<()> {
    match fs::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(()),
        Ok(_) => Err(Failure::request(format!(
            "{} is another poison's; choose another --out or remove it",
            path.display()
        ))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::io(path, &e)),
    }
}
