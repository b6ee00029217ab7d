//! The embedded emoji art: drawings of the same concepts by several designers, as pairs of picture and composed captions.

mod art;
pub mod captions;
mod concepts;
#[cfg(feature = "emoji")]
mod embedded;

pub use art::{ART, ArtSet, DATASETS, DatasetInfo, Role};
pub use concepts::{Cell, Concept, Concepts, Described, HeldOut, Sheets};
#[cfg(all(feature = "emoji", feature = "text"))]
pub use embedded::tokenizer;
#[cfg(feature = "emoji")]
pub use embedded::{described, holdings, open};

/// Side of every drawing in pixels.
pub const SIDE: usize = 64;
/// Ids per text, both special tokens included: longer than nearly all captions.
pub const CONTEXT_LENGTH: usize = 16;

#[cfg(test)]
#[cfg(feature = "emoji")]
mod tests;
