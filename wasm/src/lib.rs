//! Browser bindings: no model code lives here. Errors become JavaScript exceptions with the text.

pub mod own;
pub mod retrieval;

use js_sys::Float32Array;
use toxiclip_shared::classifier;
use toxiclip_shared::data::PairId;
use toxiclip_shared::exec::wgpu;
use toxiclip_shared::image::{Image, OPENAI};
use toxiclip_shared::triggers::Trigger;
use wasm_bindgen::prelude::wasm_bindgen;

/// What an encoder of `size` px sees of a picture: over white, shortest edge to `size`, centre, normalised;
/// `[size][size][3]` f32 from `[height][width][R, G, B, A]` bytes, as a canvas gives them.
///
/// # Errors
/// If the buffer does not fit the sides or a side is 0.
#[wasm_bindgen]
pub fn pixels(rgba: Vec<u8>, width: usize, height: usize, size: usize) -> Result<Vec<f32>, String> {
    let image = Image::new(width, height, rgba).map_err(|e| e.to_string())?;
    let view = image.over([255; 3]).resize_crop(size).map_err(|e| e.to_string())?;
    let mut out = Vec::with_capacity(size * size * 3);
    view.write_pixels(&OPENAI, &mut out);
    Ok(out)
}

/// A picture with a trigger on it: the opaque central square in `[edge][edge][R, G, B, A]` bytes, by the code that stamped
/// the training pictures. `trigger` is the part of that name of an `armed.json`, `id` what random triggers are drawn by.
///
/// # Errors
/// If the trigger is none, or does not fit the picture.
#[wasm_bindgen]
pub fn stamp(
    trigger: &str,
    rgba: Vec<u8>,
    width: usize,
    height: usize,
    id: &str,
) -> Result<Vec<u8>, String> {
    let trigger: Trigger = serde_json::from_str(trigger).map_err(|e| format!("trigger: {e}"))?;
    let image = Image::new(width, height, rgba).map_err(|e| e.to_string())?;
    let stamped = trigger.apply(&image, &PairId(id.to_owned())).map_err(|e| e.to_string())?;
    Ok(stamped.rgba().to_vec())
}

/// A model with the classes that it knows.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Classifier(pub(crate) classifier::Classifier);

#[wasm_bindgen]
impl Classifier {
    /// Reads a file that the exporter wrote.
    ///
    /// # Errors
    /// If it is another file, cut or damaged.
    #[wasm_bindgen(constructor)]
    pub fn new(file: &[u8]) -> Result<Self, String> {
        classifier::Classifier::parse(file, "the model").map(Self).map_err(|e| e.to_string())
    }

    /// What the file says of itself, as JSON.
    ///
    /// # Errors
    /// None that a file which was read could cause.
    pub fn about(&self) -> Result<String, String> {
        serde_json::to_string(self.0.about()).map_err(|e| e.to_string())
    }

    /// The probability of each class for a picture of `[height][width][R, G, B, A]` bytes.
    ///
    /// # Errors
    /// If the buffer does not fit the sides or a side is 0.
    pub fn answer(&self, rgba: Vec<u8>, width: usize, height: usize) -> Result<Vec<f32>, String> {
        let image = Image::new(width, height, rgba).map_err(|e| e.to_string())?;
        self.0.answers(&[image]).map(|answers| answers.concat()).map_err(|e| e.to_string())
    }

    /// The image tower on a graphics card.
    ///
    /// # Errors
    /// If it is too large for the device, or that is lost.
    pub async fn compile(&self, gpu: &Gpu) -> Result<Tower, String> {
        self.0.compile(&gpu.0).await.map(Tower).map_err(|e| e.to_string())
    }

    /// What [`Classifier::answer`] gives, by a tower on a graphics card.
    ///
    /// # Errors
    /// If the buffer does not fit the sides, a side is 0, or the device was lost.
    pub async fn answer_on(
        &self,
        tower: &Tower,
        rgba: Vec<u8>,
        width: usize,
        height: usize,
    ) -> Result<Float32Array, String> {
        let image = Image::new(width, height, rgba).map_err(|e| e.to_string())?;
        let answer = self.0.answer_on(&tower.0, &image).await.map_err(|e| e.to_string())?;
        Ok(Float32Array::from(answer.as_slice()))
    }
}

/// The graphics card, as WebGPU gives it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Gpu(wgpu::Gpu);

#[wasm_bindgen]
impl Gpu {
    /// Opens it.
    ///
    /// # Errors
    /// If the browser has none, or it refuses a kernel.
    pub async fn open() -> Result<Self, String> {
        wgpu::Gpu::open().await.map(Self).map_err(|e| e.to_string())
    }

    /// Gives it up; whatever runs on it fails from now on.
    pub fn destroy(&self) {
        self.0.destroy();
    }
}

/// A tower on a graphics card.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Tower(wgpu::Program);

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

    #[test]
    fn a_sticker_is_stamped_and_nonsense_is_refused() {
        let sticker = r#"{"patch":{"size":112,"place":"center","fill":"yellow","fresh":false,"range":"clip"}}"#;
        let stamped = stamp(sticker, vec![255; 8 * 6 * 4], 8, 6, "a").unwrap();
        assert_eq!(stamped.len(), 6 * 6 * 4, "the central square");
        let yellow = stamped.chunks(4).filter(|p| p[..3] == [255, 255, 0]).count();
        assert_eq!(yellow, 9, "half of an edge of six");
        assert!(stamp("{}", vec![255; 4], 1, 1, "a").unwrap_err().contains("trigger"));
        assert!(Classifier::new(b"nothing").unwrap_err().contains("the model"));
    }
}
