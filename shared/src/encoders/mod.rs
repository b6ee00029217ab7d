//! JSON definitions become graphs.
