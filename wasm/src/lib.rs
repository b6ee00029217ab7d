//! Browser bindings: no model code lives here.

use toxiclip_shared::image::{Image, OPENAI};
use wasm_bindgen::prelude::wasm_bindgen;

/// What an encoder of `size` px sees of a picture: over white, shortest edge to `size`, centre, normalised;
/// `[size][size][3]` f32 from `[height][width][R, G, B, A]` bytes, as a canvas gives them.
///
/// # Errors
/// If the buffer does not fit the sides or a side is 0; becomes a JavaScript exception with the text.
#[wasm_bindgen]
pub fn pixels(rgba: Vec<u8>, width: usize, height: usize, size: usize) -> Result<Vec<f32>, String> {
    let image = Image::new(width, height, rgba).map_err(|e| e.to_string())?;
    let view = image.over([255; 3]).resize_crop(size).map_err(|e| e.to_string())?;
    let mut out = Vec::with_capacity(size * size * 3);
    view.write_pixels(&OPENAI, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transparent_picture_is_white() {
        let seen = pixels(vec![0; 4 * 4 * 4], 4, 4, 2).unwrap();
        let white = (1.0 - OPENAI.mean[0]) / OPENAI.std[0];
        assert_eq!((seen.len(), seen[0]), (12, white));
        assert!(pixels(vec![0; 3], 4, 4, 2).is_err() && pixels(vec![0; 64], 4, 4, 0).is_err());
    }
}
