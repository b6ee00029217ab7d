//! A tower that somebody keeps, to ask it again and again.

use std::sync::{Arc, OnceLock};

use super::{Frozen, Stages};
use crate::graph::Graph;
use crate::weights::Weights;

/// A graph with its weights, which are packed at the first walk and stay so.
#[derive(Debug)]
pub struct Tower {
    graph: Graph,
    weights: Weights,
    stages: OnceLock<Arc<Stages>>,
}

impl Tower {
    /// `weights` are at least those of `graph`.
    pub fn new(graph: Graph, weights: Weights) -> Self {
        Self { graph, weights, stages: OnceLock::new() }
    }

    /// The tower, to be read from.
    pub fn frozen(&self) -> Frozen<'_> {
        let params = super::params_of(&self.graph, &self.weights);
        let stages = self.stages.get_or_init(|| Stages::new(&self.graph, &params).into());
        Frozen { graph: &self.graph, params, stages: Arc::clone(stages) }
    }

    /// Its operations.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its weights, and what else came with them.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}
