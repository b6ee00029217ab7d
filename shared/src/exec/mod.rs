//! Executors walk a graph.
