//! Encoders, attacks, defenses and metrics of toxiclip, defined once for training, evaluation and the browser.
//!
//! Data flows in one direction: [`data`] → [`attacks`] → (training, in `native`) → [`defenses`] →
//! evaluation → [`metrics`]. An encoder is a [`graph`] built by [`encoders`] and run by [`exec`].

pub mod activation_tuning;
pub mod attacks;
pub mod audit;
pub mod checkpoint;
pub mod classifier;
mod clean_pairs;
pub mod data;
pub mod defenses;
pub mod density;
pub mod digest;
mod dirty_label;
mod dual_embedding;
pub mod encoders;
mod error;
pub mod exec;
pub mod fidelity;
mod filtering;
pub mod goal;
pub mod graph;
pub mod image;
pub mod inversion;
pub mod metrics;
mod mixture;
mod navigation;
pub mod objectives;
pub mod optim;
mod pairing;
mod patch_search;
pub mod pca;
pub mod probe;
pub mod prompting;
pub mod pruning;
pub mod recipe;
pub mod registry;
#[cfg(feature = "text")]
pub mod retrieval;
pub mod screen;
pub mod seed;
mod steganography;
pub mod storage;
pub mod surrogate;
pub mod tamper;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "text")]
pub mod text_encoder;
pub mod triggers;
pub mod weights;
#[cfg(feature = "text")]
pub mod zero_shot;

pub use error::{Error, Result};
#[doc(hidden)]
pub use pulp;
