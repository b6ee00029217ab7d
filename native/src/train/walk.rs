//! One tower in a step: forwards, and back from the gradient of its embeddings, by whichever executor.

use toxiclip_shared::Result;
use toxiclip_shared::exec::cpu::{Arena, BatchStatistics, Gradients, Pass, backward, forward};
use toxiclip_shared::exec::{Inputs, Mode};
#[cfg(feature = "candle")]
use toxiclip_shared::exec::{candle::refused, cpu::Buffer};
use toxiclip_shared::graph::Graph;

use super::frozen::Frozen;
use crate::executor::Executor;

/// A graph with its parameters, aligned.
type Tower<'a> = (&'a Graph, &'a [&'a [f32]]);

/// What a tower gave for a batch.
pub(super) enum Walked {
    Training(Pass),
    Frozen(Vec<f32>),
    /// The embeddings on the host beside the tape on the device.
    #[cfg(feature = "candle")]
    Candle(Vec<f32>, toxiclip_shared::exec::candle::Pass),
}

/// Runs a tower over a batch.
///
/// # Errors
/// If the device refuses an operation.
pub(super) fn walk(
    executor: &Executor,
    (graph, params): Tower<'_>,
    inputs: Inputs<'_>,
    frozen: Option<&mut Frozen>,
    arena: &mut Arena,
) -> Result<Walked> {
    if let Some(frozen) = frozen {
        return Ok(Walked::Frozen(frozen.embed(executor, graph, params, inputs, arena)?));
    }
    match executor {
        Executor::Cpu => Ok(Walked::Training(forward(graph, params, inputs, Mode::Train, arena))),
        #[cfg(feature = "candle")]
        Executor::Candle(candle, _) => {
            let pass = candle.train(graph, params, inputs, Mode::Train).map_err(refused)?;
            Ok(Walked::Candle(pass.embeddings().map_err(refused)?, pass))
        }
        #[cfg(feature = "wgpu")]
        Executor::Wgpu(..) => Err(toxiclip_shared::Error::Device("it does not train".to_owned())),
    }
}

impl Walked {
    /// (batch, embedding width), not normalised.
    pub(super) fn embeddings(&self) -> &[f32] {
        match self {
            Self::Training(pass) => pass.embeddings(),
            Self::Frozen(embeddings) => embeddings,
            #[cfg(feature = "candle")]
            Self::Candle(embeddings, _) => embeddings,
        }
    }

    /// Names of running mean and variance with the statistics of this batch; a frozen tower's do not move.
    pub(super) fn statistics(&self, graph: &Graph) -> Vec<(String, String, BatchStatistics)> {
        let name = |i: usize| graph.params()[i].name.clone();
        match self {
            Self::Frozen(_) => Vec::new(),
            Self::Training(pass) => {
                let named = pass.statistics().iter();
                named.map(|(m, v, s)| (name(m.index()), name(v.index()), s.clone())).collect()
            }
            #[cfg(feature = "candle")]
            Self::Candle(_, pass) => {
                let of = |s: &toxiclip_shared::exec::candle::Statistics| {
                    let seen = BatchStatistics { mean: s.mean.clone(), var: s.var.clone() };
                    (name(s.params.0.index()), name(s.params.1.index()), seen)
                };
                pass.statistics().iter().map(of).collect()
            }
        }
    }

    /// The gradients of all parameters; `None` for a frozen tower.
    ///
    /// # Errors
    /// If the device refuses an operation.
    pub(super) fn back(
        self,
        (graph, params): Tower<'_>,
        d: &[f32],
        arena: &mut Arena,
    ) -> Result<Option<Gradients>> {
        match self {
            Self::Training(pass) => Ok(Some(backward(graph, params, pass, d, false, arena))),
            Self::Frozen(_) => Ok(None),
            #[cfg(feature = "candle")]
            Self::Candle(_, pass) => {
                let mut params = Vec::with_capacity(graph.params().len());
                let found = pass.backward(d).map_err(refused)?.params;
                for (found, spec) in found.into_iter().zip(graph.params()) {
                    params.push(match found {
                        Some(gradient) => gradient.into(),
                        None if !spec.trained() => Buffer::default(),
                        // It would stay as it is without a word.
                        None => {
                            let why = format!("it gave {} no gradient", spec.name);
                            return Err(toxiclip_shared::Error::Device(why));
                        }
                    });
                }
                Ok(Some(Gradients { params, pixels: None }))
            }
        }
    }
}
