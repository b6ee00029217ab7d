//! A tower whose weights stay: they are packed once, and what follows a product is computed while its result lies
//! in the cache. The bits are those of [`forward`](super::forward) with frozen statistics: batch normalisation
//! keeps its own order of operations instead of being multiplied into the weights, which costs nothing there.

mod layer;
mod tower;

use std::sync::Arc;

use crate::exec::fusion::{self, Planned};
use layer::Layer;
pub use tower::Tower;

use super::forward::Walk;
use super::{Arena, Batch, Buffer, params_of};
use crate::exec::{Inputs, Mode};
use crate::graph::{Graph, Node};
use crate::weights::Weights;

/// A tower that is only read from.
#[derive(Debug)]
pub struct Frozen<'a> {
    graph: &'a Graph,
    params: Vec<&'a [f32]>,
    stages: Arc<Stages>,
}

/// What does not depend on a batch.
#[derive(Debug)]
struct Stages {
    list: Vec<Stage>,
    /// After which stage a value is read no more.
    last_reads: Vec<usize>,
}

#[derive(Debug)]
enum Stage {
    Alone,
    Within,
    Product(Layer),
}

impl<'a> Frozen<'a> {
    /// Packs the weights of `graph`: as much memory again as they take.
    pub fn new(graph: &'a Graph, weights: &'a Weights) -> Self {
        Self::of(graph, params_of(graph, weights))
    }

    /// The same with parameters that are aligned with [`Graph::params`].
    pub fn of(graph: &'a Graph, params: Vec<&'a [f32]>) -> Self {
        let stages = Arc::new(Stages::new(graph, &params));
        Self { graph, params, stages }
    }

    /// Embeddings of a batch (batch, embedding width), not normalised.
    ///
    /// # Panics
    /// If inputs do not belong to this kind of tower, or the graph is empty.
    pub fn embed(&self, inputs: Inputs<'_>, arena: &mut Arena) -> Buffer {
        let batch = Batch::new(self.graph, inputs);
        let steps = self.graph.steps();
        let mut values: Vec<Buffer> = Vec::with_capacity(steps.len());
        for (i, (step, stage)) in steps.iter().zip(&self.stages.list).enumerate() {
            let value = match stage {
                Stage::Within => Buffer::default(),
                Stage::Product(layer) => {
                    let mut y = match layer.residual() {
                        None => arena.take(batch.len(step)),
                        Some(node) => self.held(node, i, &mut values, arena),
                    };
                    layer.forward(steps, &batch, &values, &mut y);
                    y
                }
                Stage::Alone => {
                    let mode = Mode::TrainFrozenStatistics;
                    let mut walk = Walk::new(&self.params, inputs, mode, arena, &batch);
                    let (value, kept) = walk.step(step, &values, steps);
                    kept.give(arena);
                    value
                }
            };
            values.push(value);
            for (value, &last) in values.iter_mut().zip(&self.stages.last_reads).take(i) {
                if last == i {
                    arena.give(std::mem::take(value));
                }
            }
        }
        values.pop().unwrap_or_else(|| panic!("an empty graph has no output"))
    }

    /// The value of `node` to write over in step `i`: itself where nobody reads it later.
    fn held(&self, node: Node, i: usize, values: &mut [Buffer], arena: &mut Arena) -> Buffer {
        let value = &mut values[node.index()];
        if self.stages.last_reads[node.index()] == i {
            return std::mem::take(value);
        }
        let mut copy = arena.take(value.len());
        copy.copy_from_slice(value);
        copy
    }
}

impl Stages {
    fn new(graph: &Graph, params: &[&[f32]]) -> Self {
        let planned = fusion::plan(graph);
        let mut last_reads = vec![0; planned.len()];
        for (i, step) in planned.iter().enumerate() {
            fusion::reads(graph, step, i).iter().for_each(|n| last_reads[n.index()] = i);
        }
        let stage = |step: Planned| match step {
            Planned::Alone => Stage::Alone,
            Planned::Within => Stage::Within,
            Planned::Product(fused) => Stage::Product(Layer::new(graph, params, fused)),
        };
        Self { list: planned.into_iter().map(stage).collect(), last_reads }
    }
}
