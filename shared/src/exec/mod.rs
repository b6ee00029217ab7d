//! Executors walk a graph. [`cpu`] trains and runs everywhere; `candle` composes the same operations of
//! differentiable primitives: the path that CUDA takes, and the oracle of the CPU's own operations. `wgpu` runs towers that
//! are only read from, on a graphics card or in a browser.

#[cfg(feature = "candle")]
pub mod candle;
pub mod cpu;
mod fusion;
#[cfg(feature = "wgpu")]
pub mod wgpu;

/// A batch of inputs to one tower, borrowed from the host.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Normalised pixels (batch, size, size, 3).
    Pixels(&'a [f32]),
    /// Token ids (batch, length), and for each example the row of its end-of-text token.
    Tokens {
        /// Ids, padded to one length.
        ids: &'a [u32],
        /// 0-based row of the end-of-text token of each example; its length is the batch size.
        end: &'a [u32],
    },
}

/// What batch normalisation does. Activations are kept for the backward walk; a tower that is only read from is
/// [`Frozen`](cpu::Frozen).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of this batch.
    Train,
    /// Running statistics.
    TrainFrozenStatistics,
}
