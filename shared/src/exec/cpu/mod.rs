//! The CPU executor: slices in, slices out, forward and backward over a whole graph.
//!
//! It does not use an autograd library: the graph is static, so the backward walk is known. Gradients
//! are written once or added in place, activations are given back to the [`Arena`] as soon as the walk
//! has passed them, and nothing is zeroed that is overwritten anyway.

mod act;
mod arena;
mod attention;
mod backward;
mod batch_norm;
pub mod contrastive;
pub(crate) mod conv;
mod forward;
mod frozen;
mod layer_norm;
mod linear;
pub mod matmul;
pub(crate) mod parallel;
pub mod peak;
mod rows;
mod scratch;
pub(crate) mod simd;
mod sinks;

pub use arena::{Arena, Buffer};
pub use backward::{Gradients, backward, backward_from};
pub use batch_norm::BatchStatistics;
pub use forward::{Pass, forward};
pub use frozen::{Frozen, Tower};

use crate::graph::{Graph, Op, Row, Step};
use crate::weights::Weights;

use super::Inputs;

/// The parameters of one graph as slices, aligned with [`Graph::params`].
pub fn params_of<'a>(graph: &Graph, weights: &'a Weights) -> Vec<&'a [f32]> {
    graph.params().iter().map(|spec| weights.data(&spec.name)).collect()
}

/// Sizes of a batch that the graph, which knows one example, leaves open.
#[derive(Clone, Debug)]
struct Batch {
    size: usize,
    /// Rows of a text sequence in this batch: rows behind the last end-of-text token of the batch
    /// are not computed where attention is causal, since nobody reads them.
    tokens: Option<usize>,
    /// Ids of the rows that are computed, (size, tokens).
    ids: Vec<u32>,
    /// Row of each example's end-of-text token.
    end: Vec<u32>,
}

impl Batch {
    fn new(graph: &Graph, inputs: Inputs<'_>) -> Self {
        match inputs {
            Inputs::Pixels(pixels) => {
                let len: usize = graph.steps()[0].shape.iter().product();
                assert!(
                    pixels.len().is_multiple_of(len),
                    "{} pixels, {len} a picture",
                    pixels.len()
                );
                Self { size: pixels.len() / len, tokens: None, ids: vec![], end: vec![] }
            }
            Inputs::Tokens { ids, end } => {
                let length = ids.len() / end.len().max(1);
                let sees_all = |s: &Step| {
                    matches!(
                        s.op,
                        Op::Attention { causal: false, .. }
                            | Op::AttentionPool { causal_from: None, .. }
                    )
                };
                let needed = match graph.steps().iter().any(sees_all) {
                    true => length,
                    false => end.iter().map(|&e| e as usize + 1).max().unwrap_or(length),
                };
                let kept = ids.chunks_exact(length.max(1)).flat_map(|row| &row[..needed]).copied();
                Self {
                    size: end.len(),
                    tokens: Some(needed),
                    ids: kept.collect(),
                    end: end.to_vec(),
                }
            }
        }
    }

    /// Rows of one example of a step's result.
    fn rows(&self, step: &Step) -> usize {
        match self.tokens {
            Some(tokens) if step.rows() > 1 => tokens,
            _ => step.rows(),
        }
    }

    /// Rows of the whole batch.
    fn all_rows(&self, step: &Step) -> usize {
        self.size * self.rows(step)
    }

    /// Elements of the whole batch.
    fn len(&self, step: &Step) -> usize {
        self.all_rows(step) * step.columns()
    }

    /// The row of example `b` that `row` means.
    fn row(&self, row: Row, b: usize) -> usize {
        match row {
            Row::First => 0,
            Row::EndOfText => self.end[b] as usize,
        }
    }
}
