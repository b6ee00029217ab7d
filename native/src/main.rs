//! toxiclip, the program.
fn main() {}
