//! The parts of the program `toxiclip`: a library so that its tests and benches can use them.

pub mod allocator;
pub mod argument;
pub mod benchmark;
pub mod catalogue;
pub mod cli;
pub mod cmd;
pub mod data;
pub mod encode;
pub mod evaluate;
pub mod evidence;
pub mod failure;
pub mod files;
pub mod interrupt;
pub mod lab;
pub mod machine;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod provenance;
pub mod report;
pub mod row;
pub mod store;
pub mod table;
pub mod timer;
pub mod train;
