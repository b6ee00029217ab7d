//! The recipe that `[train]`, `[init]`, `toxiclip train` and fine-tuning defenses share.
//!
//! It lives in the shared crate, because a defense's plan holds one.

pub use toxiclip_shared::recipe::{Freeze, Order, Schedule, TrainConfig};
