//! The parts of the program `toxiclip`: a library so that its tests and benches can use them.

pub mod allocator;
pub mod failure;
pub mod interrupt;
pub mod store;
