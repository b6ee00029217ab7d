//! The vocabulary of encoders: a small graph of layer-sized operations for one example.
