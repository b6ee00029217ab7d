//! The parts of the program `toxiclip`: a library so that its tests and benches can use them.

pub mod allocator;
pub mod argument;
pub mod benchmark;
pub mod catalogue;
pub mod cli;
pub mod cmd;
pub mod evidence;
pub mod failure;
pub mod files;
pub mod interrupt;
pub mod machine;
pub mod output;
pub mod progress;
pub mod provenance;
pub mod report;
pub mod row;
pub mod store;
pub mod table;
