//! Contact sheets: what a set looks like, for people.

use anyhow::Result;
use toxiclip_shared::data::emoji::{Concepts, SIDE};
use toxiclip_shared::image::Image;

use super::drawings::Drawings;
use super::sheets;

/// Rows and columns of a contact sheet.
const EDGE: usize = 10;

/// 100 classes spread evenly over all of them, the same for every set, row by row; a class that the set does not
/// draw stays white. The second value names them.
pub(crate) fn sheet(concepts: &Concepts, drawings: &Drawings, set: &str) -> Result<Vec<u8>> {
    let images: Vec<Option<&Image>> =
        shown(concepts).iter().map(|(id, _)| drawings[set].get(id)).collect();
    grid(&images, EDGE)
}

/// Id and name of the concepts shown.
pub(crate) fn shown(concepts: &Concepts) -> Vec<(String, String)> {
    let classes = concepts.classes();
    let pick = |i: usize| &classes[i * classes.len() / (EDGE * EDGE)];
    (0..EDGE * EDGE).map(pick).map(|c| (c.id.clone(), c.name.clone())).collect()
}

/// Drawings on white, `columns` in a row.
pub(crate) fn grid(images: &[Option<&Image>], columns: usize) -> Result<Vec<u8>> {
    let (width, height) = (columns * SIDE, images.len().div_ceil(columns) * SIDE);
    let mut rgba = vec![255; width * height * 4];
    for (i, image) in images.iter().enumerate() {
        let Some(image) = image else { continue };
        let (left, top) = (i % columns * SIDE, i / columns * SIDE);
        for (y, line) in image.over([255; 3]).rgba().chunks_exact(SIDE * 4).enumerate() {
            let start = ((top + y) * width + left) * 4;
            rgba[start..start + line.len()].copy_from_slice(line);
        }
    }
    sheets::png(width, height, &rgba)
}
