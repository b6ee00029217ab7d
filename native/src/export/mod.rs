//! A data set written out for other programs, and for this one: pictures as PNG, so that no pixel changes.

mod csv;
mod wds;

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use rayon::prelude::*;
use toxiclip_shared::data::{Dataset, Example};
use toxiclip_shared::image::Image;

use crate::failure::{Failure, Result};
use crate::lab::Lab;

/// Pictures that are decoded and packed side by side: what memory holds of a set of any size.
const TOGETHER: usize = 256;

/// What the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Tar shards of WebDataset.
    Wds,
    /// A table beside a folder of pictures.
    Csv,
}

/// One kind of files that rows are put into, one after the other.
trait Sink {
    /// Adds a row with its picture as PNG.
    fn put(&mut self, row: usize, example: &Example, png: &[u8]) -> Result<()>;

    /// Completes the files; what to give as SOURCE to read them.
    fn finish(self: Box<Self>) -> Result<String>;
}

/// Writes every row of `data` below `dir`; returns the SOURCE that reads it back.
///
/// # Errors
/// If a picture cannot be read, the disk refuses, or on Ctrl-C; complete shards stay.
pub fn write(data: &dyn Dataset, form: Form, dir: &Path, lab: &Lab) -> Result<String> {
    let mut sink: Box<dyn Sink> = match form {
        Form::Wds => Box::new(wds::Shards::new(dir, data)?),
        Form::Csv => Box::new(csv::Table::new(dir, data)?),
    };
    let rows: Vec<usize> = (0..data.examples().len()).collect();
    let bar = lab.progress.stage("write", rows.len() as u64, "pairs");
    for part in rows.chunks(TOGETHER) {
        lab.interrupt.check()?;
        let one = |&row: &usize| -> Result<Vec<u8>> {
            png(&data.image(row)?).map_err(|e| Failure::failed(format!("PNG of row {row}: {e}")))
        };
        let pictures: Vec<Vec<u8>> = part.par_iter().map(one).collect::<Result<_>>()?;
        for (&row, picture) in part.iter().zip(&pictures) {
            sink.put(row, &data.examples()[row], picture)?;
        }
        bar.advance(part.len() as u64);
    }
    bar.finish();
    sink.finish()
}

/// With alpha only where the picture has it.
pub(crate) fn png(image: &Image) -> image::ImageResult<Vec<u8>> {
    let (width, height) = (image.width() as u32, image.height() as u32);
    let mut out = Cursor::new(Vec::new());
    let encoder =
        PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
    let pixels = image.rgba();
    if pixels.chunks_exact(4).all(|p| p[3] == 255) {
        let opaque: Vec<u8> = pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        encoder.write_image(&opaque, width, height, ExtendedColorType::Rgb8)?;
    } else {
        encoder.write_image(pixels, width, height, ExtendedColorType::Rgba8)?;
    }
    Ok(out.into_inner())
}
