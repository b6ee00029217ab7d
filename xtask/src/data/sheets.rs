//! Drawings as PNG strips with an index.

use anyhow::Result;
use toxiclip_shared::data::emoji::{Cell, SIDE};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;

/// Keeps 5 bits of each colour and 4 of alpha (an error of at most 4 and 8 of 255), which halves the sheets;
/// a palette of the same size per set would lose three times as much.
pub(crate) fn posterise(image: &Image) -> toxiclip_shared::Result<Image> {
    let level = |x: u8, levels: u32| {
        let step = (u32::from(x) * levels + 127) / 255;
        ((step * 255 + levels / 2) / levels) as u8
    };
    let pixel = |px: &[u8]| match level(px[3], 15) {
        0 => [0; 4],
        a => [level(px[0], 31), level(px[1], 31), level(px[2], 31), a],
    };
    Image::new(SIDE, SIDE, image.rgba().chunks_exact(4).flat_map(pixel).collect())
}

/// One drawing below the other, so that drawing `k` is the `k`-th run of `SIDE`·`SIDE` pixels.
pub(crate) fn strip<'a>(drawings: impl Iterator<Item = &'a Image>) -> Result<Vec<u8>> {
    let rgba: Vec<u8> = drawings.flat_map(|d| d.rgba().iter().copied()).collect();
    png(SIDE, rgba.len() / (SIDE * 4), &rgba)
}

/// A PNG file. The same pixels give the same bytes as long as the locked encoder is the same.
pub(crate) fn png(width: usize, height: usize, rgba: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // Few levels and flat areas: repeated bytes compress better than differences.
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgba)?;
    writer.finish()?;
    Ok(out)
}

/// The index entry of a drawing.
pub(crate) fn cell(concept: &str, image: &Image) -> Cell {
    Cell { concept: concept.to_owned(), sha256: Digest::of_bytes(image.rgba()) }
}
