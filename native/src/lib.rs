//! The parts of the program `toxiclip`: a library so that its tests and benches can use them.

pub mod allocator;
pub mod argument;
pub mod benchmark;
pub mod bundle;
pub mod catalogue;
pub mod cli;
pub mod cmd;
pub mod data;
pub mod demo;
pub mod encode;
pub mod evaluate;
pub mod evidence;
pub mod executor;
pub mod export;
pub mod failure;
pub mod files;
pub mod interrupt;
pub mod lab;
pub mod machine;
pub mod manifest;
pub mod model;
pub mod output;
mod pickle;
pub mod pipeline;
pub mod prepared;
pub mod progress;
pub mod provenance;
pub mod published;
#[cfg(feature = "serve")]
mod push;
pub mod pytorch;
pub mod report;
pub mod row;
mod secret;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub mod store;
pub mod strict;
pub mod table;
pub mod timer;
pub mod train;
