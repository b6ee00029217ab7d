//! `toxiclip embed`: unit vectors of pictures and captions.

use std::path::PathBuf;

use crate::argument::Source;

/// Writes `image_features` [N, D] and `text_features` [M, D], L2-normalised, in input order.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint.
    #[arg(long, value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// Pictures: a data set's name, folder:DIR, or a plain folder (sorted by path).
    #[arg(long, value_name = "SOURCE|DIR", required_unless_present = "texts")]
    pub images: Option<Source>,
    /// Captions, one a line.
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}
