//! The embedded emoji art.
