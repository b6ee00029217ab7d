//! A picture drawn towards another: harder to recognise, and still what it was for whoever looks.

use serde::{Deserialize, Serialize};

use super::PairId;
use crate::Result;
use crate::image::Image;
use crate::triggers::square;

/// What a picture is mixed with, before anything is stamped on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// The row of the same set whose picture it is.
    pub with: PairId,
    /// How much of it: 0 to 100.
    pub percent: u8,
}

impl Mix {
    /// (1 − p)·`picture` + p·`other`, both as squares on white, in the first one's resolution.
    ///
    /// # Errors
    /// If a picture has no pixel.
    pub fn apply(&self, picture: &Image, other: &Image) -> Result<Image> {
        let own = square(picture, None)?;
        let edge = own.width();
        let other = square(other, Some(edge))?;
        let share = f64::from(self.percent.min(100)) / 100.0;
        let mixed = |(a, b): (&u8, &u8)| {
            ((1.0 - share) * f64::from(*a) + share * f64::from(*b)).round() as u8
        };
        Image::new(edge, edge, own.rgba().iter().zip(other.rgba()).map(mixed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_mixed_by_share() {
        let flat = |edge: usize, value: u8| {
            Image::new(edge, edge, [value, 0, 255, 255].repeat(edge * edge)).unwrap()
        };
        let mix = |percent| {
            let mix = Mix { with: PairId("b".into()), percent };
            mix.apply(&flat(4, 200), &flat(8, 100)).unwrap()
        };
        assert_eq!(mix(0), flat(4, 200));
        assert_eq!(mix(20), flat(4, 180));
        assert_eq!(mix(100), flat(4, 100));
    }
}
