//! `toxiclip embed`: unit vectors of pictures and captions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use toxiclip_shared::checkpoint::container::{self, Blob, Dtype};

use crate::argument::{Checkpoint, Place, Source};
use crate::cli::Context;
use crate::data;
use crate::encode;
use crate::failure::{Failure, Result};
use crate::model::{Model, banner};
use crate::output;
use crate::store::write_atomic;

/// Writes `image_features` [N, D] and `text_features` [M, D], L2-normalised, in input order.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("items").required(true).multiple(true).args(["images", "texts"])))]
pub struct Args {
    /// What is asked.
    #[command(flatten)]
    pub model: Checkpoint,
    /// Pictures: a data set's name, folder:DIR, csv:FILE, wds:PATTERN, or a plain folder (sorted by path).
    #[arg(long, value_name = "SOURCE|DIR")]
    pub images: Option<Source>,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// Captions, one a line.
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}

/// Embeds and writes.
///
/// # Errors
/// If the checkpoint, a picture or the file of captions cannot be read, or the output not be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let path = &args.model.checkpoint;
    let (model, provenance) = Model::load(path, args.model.encoder()?.as_ref())?;
    let model = model.on(&context.executor);
    if let Some(banner) = banner(path, provenance.as_ref()) {
        context.progress.warn(&banner);
    }
    let dim = model.clip.config.embed_dim;
    let mut blobs = Vec::new();
    let mut metadata = BTreeMap::new();
    if let Some(source) = &args.images {
        let pictures = data::pictures(&args.place.reads(source)?, args.place.root())?;
        if let Some(remark) = pictures.remark() {
            context.progress.warn(remark);
        }
        blobs.push(blob("image_features", dim, &encode::images(&model, &*pictures)?));
        let names: Vec<&str> = pictures.examples().iter().map(|e| e.id.0.as_str()).collect();
        metadata.insert("images".to_owned(), json!(names).to_string());
    } else {
        args.place.unread()?;
    }
    if let Some(file) = &args.texts {
        let texts = lines(file)?;
        blobs.push(blob("text_features", dim, &encode::texts(&model, &texts)?));
        metadata.insert("texts".to_owned(), json!(texts).to_string());
    }
    write_atomic(&args.out, &container::write(&blobs, &metadata))?;
    let shape = |b: &Blob| format!("{} [{}, {}]", b.name, b.shape[0], b.shape[1]);
    let shapes: Vec<String> = blobs.iter().map(shape).collect();
    output::print(&format!("{}: {}", args.out.display(), shapes.join(", ")))
}

fn blob(name: &str, dim: usize, values: &[f32]) -> Blob {
    Blob {
        name: name.to_owned(),
        dtype: Dtype::F32,
        shape: vec![values.len() / dim, dim],
        bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::io(file, &e))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.iter().position(|line| line.trim().is_empty()) {
        Some(i) => Err(Failure::request(format!(
            "{}:{}: an empty caption; remove the line",
            file.display(),
            i + 1
        ))),
        None if lines.is_empty() => {
            Err(Failure::request(format!("{}: no captions, one a line", file.display())))
        }
        None => Ok(lines),
    }
}
