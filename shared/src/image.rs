//! The one image type and the one way to bring it to an encoder's size: training, evaluation and browser share it.

use fast_image_resize as fir;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An 8-bit picture with alpha, rows from the top, `[height][width][R, G, B, A]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}×{})", self.width, self.height)
    }
}

/// How pixels in [0, 1] become an encoder's input: (pixel − mean) / std per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Mean of R, G, B.
    pub mean: [f32; 3],
    /// Standard deviation of R, G, B.
    pub std: [f32; 3],
}

/// The constants of OpenAI's CLIP.
pub const OPENAI: Normalize = Normalize {
    mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
    std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
};

impl Normalize {
    /// Values in [0, 1], R, G, B pixel by pixel, as an encoder takes them.
    pub fn pixels(&self, values: &[f32]) -> Vec<f32> {
        let one = |(i, x): (usize, &f32)| (x - self.mean[i % 3]) / self.std[i % 3];
        values.iter().enumerate().map(one).collect()
    }
}

impl Image {
    /// Wraps `rgba` of `width · height · 4` bytes.
    ///
    /// # Errors
    /// If a side is 0 or the buffer has another length.
    pub fn new(width: usize, height: usize, rgba: Vec<u8>) -> Result<Self> {
        if width == 0 || height == 0 || rgba.len() != width * height * 4 {
            return Err(Error::request(format!(
                "an image of {width}×{height} needs {} bytes of RGBA and both sides above 0, got {}",
                width * height * 4,
                rgba.len()
            )));
        }
        Ok(Self { width, height, rgba })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, `[height][width][R, G, B, A]`.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The picture on a background: alpha becomes 255 everywhere.
    #[must_use]
    pub fn over(&self, background: [u8; 3]) -> Self {
        let mut rgba = self.rgba.clone();
        if self.is_opaque() {
            return Self { rgba, ..*self };
        }
        for px in rgba.chunks_exact_mut(4) {
            let a = u32::from(px[3]);
            for c in 0..3 {
                let mixed = u32::from(px[c]) * a + u32::from(background[c]) * (255 - a);
                px[c] = ((mixed + 127) / 255) as u8;
            }
            px[3] = 255;
        }
        Self { rgba, ..*self }
    }

    fn is_opaque(&self) -> bool {
        self.rgba.iter().skip(3).step_by(4).all(|&alpha| alpha == 255)
    }

    /// Resized to exactly `width`×`height` by bicubic convolution with antialiasing, as Pillow does it.
    ///
    /// # Errors
    /// If a side is 0.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let failed =
            |e: &dyn std::fmt::Display| Error::request(format!("resize to {width}×{height}: {e}"));
        let (wide, high) = (self.width as u32, self.height as u32);
        // Typed, so that code and tables for other pixels, 0.5 MB of them, stay out of the browser's module.
        let source = TypedImageRef::<fir::pixels::U8x4>::from_buffer(wide, high, &self.rgba)
            .map_err(|e| failed(&e))?;
        let mut rgba = vec![0; width * height * 4];
        let mut target = TypedImage::from_buffer(width as u32, height as u32, &mut rgba)
            .map_err(|e| failed(&e))?;
        // Alpha is premultiplied and divided again, as Pillow does for RGBA.
        // Where alpha is 255 everywhere that changes no bit and takes two more walks.
        let options = fir::ResizeOptions::new()
            .use_alpha(!self.is_opaque())
            .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom));
        fir::Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| failed(&e))?;
        Self::new(width, height, rgba)
    }

    /// CLIP's evaluation geometry: shortest edge to `size`, then the central square.
    ///
    /// # Errors
    /// If `size` is 0.
    pub fn resize_crop(&self, size: usize) -> Result<Self> {
        let short = self.width.min(self.height);
        // torchvision truncates the long edge.
        let scaled = |edge: usize| if edge == short { size } else { size * edge / short };
        let resized = self.resize(scaled(self.width), scaled(self.height))?;
        resized.center_crop(size)
    }

    /// The central square as large as the shortest edge: what [`Image::resize_crop`] keeps.
    ///
    /// # Errors
    /// None for a picture that exists.
    pub fn central_square(&self) -> Result<Self> {
        self.center_crop(self.width.min(self.height))
    }

    fn center_crop(&self, size: usize) -> Result<Self> {
        // torchvision rounds half to even here, as Python does.
        let offset = |edge: usize| ((edge - size) as f64 / 2.0).round_ties_even() as usize;
        let (left, top) = (offset(self.width), offset(self.height));
        let mut rgba = Vec::with_capacity(size * size * 4);
        for y in top..top + size {
            let start = (y * self.width + left) * 4;
            rgba.extend_from_slice(&self.rgba[start..start + size * 4]);
        }
        Self::new(size, size, rgba)
    }

    /// Appends the normalised pixels, `[height][width][3]` f32, of an opaque picture to `out`; alpha is ignored.
    pub fn write_pixels(&self, normalize: &Normalize, out: &mut Vec<f32>) {
        for px in self.rgba.chunks_exact(4) {
            for (value, (mean, std)) in px.iter().zip(normalize.mean.iter().zip(&normalize.std)) {
                out.push((f32::from(*value) / 255.0 - mean) / std);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_composites_and_resize_keeps_flat_colour() {
        let image = Image::new(2, 2, [200, 0, 0, 128].repeat(4)).unwrap();
        let flat = image.over([0, 0, 100]);
        assert_eq!(&flat.rgba()[..4], &[100, 0, 50, 255]);
        let big = flat.resize(7, 5).unwrap();
        assert!(big.rgba().chunks_exact(4).all(|p| p == [100, 0, 50, 255]));
        assert!(Image::new(0, 1, vec![]).is_err());
    }

    #[test]
    fn resize_crop_takes_the_centre() {
        let mut rgba = vec![0u8; 6 * 2 * 4];
        for y in 0..2 {
            for x in 0..6 {
                rgba[(y * 6 + x) * 4] = x as u8;
            }
        }
        let crop = Image::new(6, 2, rgba).unwrap().resize_crop(2).unwrap();
        assert_eq!((crop.rgba()[0], crop.rgba()[4]), (2, 3));
    }
}
