//! How an attacker's pictures reach the training set: as they were stamped, or through a lossy file.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use serde::{Deserialize, Serialize};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use crate::image::Image;
use crate::registry::Param;
use crate::{Error, Result};

/// The file that a stamped training picture is kept in: `lossless`, or `jpeg-75` with its quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Storage {
    /// No pixel changes.
    #[default]
    Lossless,
    /// JPEG of this quality, 1 to 100, with colour at half the resolution as Pillow writes it by default;
    /// 1.1 to 1.5 times the loss of Pillow, which smooths the halved colours when it reads them.
    Jpeg(u8),
}

/// The parameter of attacks that stamp pictures. It is not written where nothing is lost.
pub(crate) const STORAGE: Param = Param {
    key: "storage",
    unit: "",
    help: "file that stamped training pictures pass through: `lossless` (default) or `jpeg-75`",
};

impl Storage {
    /// Whether pictures stay as they are.
    pub fn is_lossless(&self) -> bool {
        *self == Self::Lossless
    }

    /// What is left of an opaque picture once it was written and read again.
    ///
    /// # Errors
    /// If the picture is larger than the format allows.
    pub fn round_trip(self, picture: &Image) -> Result<Image> {
        let Self::Jpeg(quality) = self else { return Ok(picture.clone()) };
        let failed = |e: &dyn std::fmt::Display| Error::request(format!("storage `{self}`: {e}"));
        let side = |pixels: usize| u16::try_from(pixels).map_err(|e| failed(&e));
        let (width, height) = (side(picture.width())?, side(picture.height())?);
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        encoder.encode(picture.rgba(), width, height, ColorType::Rgba).map_err(|e| failed(&e))?;
        let rgb = JpegDecoder::new(ZCursor::new(&file)).decode().map_err(|e| failed(&e))?;
        let rgba = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        Image::new(picture.width(), picture.height(), rgba)
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lossless => f.write_str("lossless"),
            Self::Jpeg(quality) => write!(f, "jpeg-{quality}"),
        }
    }
}

impl From<Storage> for String {
    fn from(storage: Storage) -> Self {
        storage.to_string()
    }
}

impl TryFrom<String> for Storage {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let quality = text.strip_prefix("jpeg-").and_then(|q| q.parse().ok());
        match quality {
            Some(quality @ 1..=100) => Ok(Self::Jpeg(quality)),
            _ if text == "lossless" => Ok(Self::Lossless),
            _ => Err(format!("storage `{text}`: expected lossless, or jpeg-1 to jpeg-100")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["lossless", "jpeg-1", "jpeg-75", "jpeg-100"] {
            let storage: Storage = serde_json::from_value(name.into()).unwrap();
            assert_eq!(serde_json::to_value(storage).unwrap(), name);
        }
        for wrong in ["jpeg-0", "jpeg-101", "jpeg", "png", "jpeg-x"] {
            let why = serde_json::from_value::<Storage>(wrong.into()).unwrap_err().to_string();
            assert!(why.contains("expected lossless, or jpeg-1"), "{why}");
        }
    }

    #[test]
    fn only_lossy_files_lose() {
        let noise: Vec<u8> = (0..40 * 24)
            .flat_map(|i: usize| [(i * 37 % 256) as u8, (i % 251) as u8, 90, 255])
            .collect();
        let picture = Image::new(40, 24, noise).unwrap();
        assert_eq!(Storage::Lossless.round_trip(&picture).unwrap(), picture);
        let lost = |quality| {
            let after = Storage::Jpeg(quality).round_trip(&picture).unwrap();
            let pairs = after.rgba().iter().zip(picture.rgba());
            pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
        };
        assert!(lost(50) > lost(90) && lost(90) > 0);
    }
}
