//! `toxiclip convert`: PyTorch's checkpoints as safetensors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toxiclip_shared::checkpoint::container;

use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::output;
use crate::pytorch::{self, Tensors};
use crate::store::write_atomic;

/// Writes the tensors of a .pt or .bin file as safetensors; its pickle is interpreted, nothing in it is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What torch.save wrote: a state_dict, or a dictionary that has one.
    #[arg(value_name = "FILE.pt|FILE.bin")]
    pub file: PathBuf,
    /// The safetensors file to write, under the tensors' own names.
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}

/// Reads and writes.
///
/// # Errors
/// If the file is no checkpoint of tensors, or the output cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let Tensors { blobs, within, left_out } = pytorch::read(&args.file)?;
    if blobs.is_empty() {
        let why = "holds no tensor of a type that weights have";
        return Err(Failure::request(format!("{}: {why}", args.file.display())));
    }
    if !left_out.is_empty() {
        let (file, all) = (args.file.display(), left_out.join(", "));
        context.progress.warn(&format!("{file}: left out, as they are no weights: {all}"));
    }
    // transformers refuses a file that does not say so.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_atomic(&args.out, &container::write(&blobs, &metadata))?;
    let numbers: usize = blobs.iter().map(|b| b.shape.iter().product::<usize>()).sum();
    let from = within.map_or(String::new(), |place| format!(" of `{place}`"));
    output::print(&format!(
        "{}: {} tensors{from}, {numbers} numbers",
        args.out.display(),
        blobs.len()
    ))
}
