//! Pixels as what is optimised: a frozen encoder says how its embeddings answer to them, and a search moves them.
//!
//! Audits invert triggers with it, and whoever makes an optimised patch needs the same pieces: [`Sight`] turns a loss
//! on embeddings into a gradient of pixels, [`Stamp`] is a mask with a pattern that pixels are made of, [`losses`] has
//! the losses, [`Balance`] weighs the mask's size against success, `Passes` deals out
//! pictures, [`anomaly_indices`] compares the sizes found.

mod anomaly;
mod balance;
pub mod losses;
mod passes;
mod sight;
mod stamp;

pub use anomaly::anomaly_indices;
pub use balance::Balance;
pub(crate) use passes::Passes;
pub use sight::{Sight, unit_vectors};
pub use stamp::{Stamp, StampGradient};
