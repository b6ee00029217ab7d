//! SVG and WebP art as square pictures with alpha.

use anyhow::{Context as _, Result};
use resvg::tiny_skia::{Pixmap, PremultipliedColorU8, Transform};
use resvg::usvg::{Options, Tree};
use toxiclip_shared::data::emoji::SIDE;
use toxiclip_shared::image::Image;

/// Renders an SVG to `SIDE`×`SIDE`: the longer side fills the square, the shorter is centred.
pub(crate) fn svg(text: &str) -> Result<Image> {
    let tree = Tree::from_str(text, &Options::default())?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let side = SIDE as f32;
    let scale = side / width.max(height);
    let (left, top) = ((side - width * scale) / 2.0, (side - height * scale) / 2.0);
    let mut pixmap = Pixmap::new(SIDE as u32, SIDE as u32).context("a sheet cell has no pixels")?;
    let transform = Transform::from_scale(scale, scale).post_translate(left, top);
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    let straight = pixmap.pixels().iter().map(PremultipliedColorU8::demultiply);
    let rgba = straight.flat_map(|c| [c.red(), c.green(), c.blue(), c.alpha()]).collect();
    Ok(clear(&Image::new(SIDE, SIDE, rgba)?)?)
}

/// Decodes a square WebP picture and reduces it to `SIDE`×`SIDE`.
pub(crate) fn webp(bytes: &[u8]) -> Result<Image> {
    let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::WebP)?.to_rgba8();
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let full = Image::new(width, height, decoded.into_raw())?;
    Ok(clear(&full.resize(SIDE, SIDE)?)?)
}

/// Zeroes the colour of fully transparent pixels, so that it neither costs bytes nor bleeds when resized.
fn clear(image: &Image) -> toxiclip_shared::Result<Image> {
    let clear = |px: &[u8]| if px[3] == 0 { [0; 4] } else { [px[0], px[1], px[2], px[3]] };
    Image::new(SIDE, SIDE, image.rgba().chunks_exact(4).flat_map(clear).collect())
}
