//! The vocabulary of encoders: a small graph of layer-sized operations for *one* example.
//!
//! A value is a matrix of rows × columns (tokens × width, or pixels × channels with the rows laid out
//! as height × width): images are channels-last, so that convolutions are products over rows. The
//! executor owns the batch. Builder methods panic on wrong shapes with the node's path: a wrong
//! encoder is a bug here and every encoder is built in a test; definitions from users are checked before.

mod build;
mod params;

pub use build::Graph;
pub use params::{FileForm, Init, ParamId, ParamSpec, Role};

/// The shape of one example: the last axis are the columns, all axes before it the rows.
pub type Shape = Vec<usize>;

/// A value in a [`Graph`]; means nothing outside the graph that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(pub(crate) u32);

impl Node {
    /// Position in evaluation order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Non-linearities, with PyTorch's conventions at 0 (trap C24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// max(x, 0); gradient 0 at 0.
    Relu,
    /// x·Φ(x) with the exact error function.
    Gelu,
    /// x·σ(1.702·x), the approximation that OpenAI trained with.
    QuickGelu,
}

/// Which row of a sequence is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The first: the class token, or the mean row of attention pooling.
    First,
    /// The row of the end-of-text token, different for each example.
    EndOfText,
}

/// Rows of a parameter: a packed projection is one parameter of which a layer may use a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamRows {
    /// The parameter.
    pub param: ParamId,
    /// First row used.
    pub start: usize,
    /// Number of rows used.
    pub len: usize,
}

/// All that an encoder may compute. A new variant does not compile until `build.rs` and every executor know it.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Normalised pixels (S, S, 3).
    Pixels,
    /// Token ids, looked up in a table: (T) to (T, D). The one entrance of text.
    Embed {
        /// (vocabulary, D).
        table: ParamId,
    },
    /// x·Wᵀ + b over the last axis, then the activation.
    Linear {
        /// (out, in), or some rows of a larger one.
        weight: ParamRows,
        /// (out).
        bias: Option<ParamRows>,
        /// Applied to the sum.
        act: Option<Act>,
    },
    /// Convolution without bias over (H, W, C).
    Conv2d {
        /// (out, kernel, kernel, in).
        weight: ParamId,
        /// Edge of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Zeros around the picture.
        pad: usize,
    },
    /// Per row: (x − mean) / √(var + eps) · gain + bias.
    LayerNorm {
        /// (D).
        gain: ParamId,
        /// (D).
        bias: ParamId,
        /// Added to the variance.
        eps: f32,
    },
    /// Per column over all rows of the batch; the one op that looks across examples, and only in training.
    BatchNorm {
        /// (C).
        gain: ParamId,
        /// (C).
        bias: ParamId,
        /// Running mean (C), a statistic.
        mean: ParamId,
        /// Running variance (C), a statistic.
        var: ParamId,
        /// Added to the variance.
        eps: f32,
        /// Applied to the result.
        act: Option<Act>,
    },
    /// softmax(q·kᵀ/√d)·v per head over packed (T, 3·D).
    Attention {
        /// Number of heads.
        heads: usize,
        /// Row i sees rows 0..=i only.
        causal: bool,
    },
    /// The same for one query row: inputs q (1, D) and packed k, v (T, 2·D); result (1, D).
    AttentionPool {
        /// Number of heads.
        heads: usize,
        /// `Some(row)`: causal, seen from that row.
        causal_from: Option<Row>,
    },
    /// Sum of two values of one shape, then the activation.
    Add {
        /// Applied to the sum.
        act: Option<Act>,
    },
    /// Adds a parameter of the value's own shape to every example.
    AddParam(ParamId),
    /// Puts a parameter row in front: (T, D) to (T + 1, D).
    PrependParam(ParamId),
    /// Puts the rows of a parameter (P, D) behind: (T, D) to (T + P, D).
    AppendParam(ParamId),
    /// The first rows, as many as its shape says: (T, D) to (rows, D).
    Head,
    /// Puts the mean row in front: (T, D) to (T + 1, D).
    PrependMean,
    /// Mean over size×size windows of (H, W, C).
    AvgPool {
        /// Edge and step of the window.
        size: usize,
    },
    /// The mean row: (T, D) to (1, D).
    MeanRows,
    /// One row: (T, D) to (1, D).
    Pick(Row),
}

/// One step of a graph.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is computed.
    pub op: Op,
    /// From which values, at most two.
    pub inputs: Vec<Node>,
    /// Shape of the result.
    pub shape: Shape,
    /// Where in the encoder, such as `transformer.resblocks.3.mlp.c_fc`.
    pub path: String,
}

impl Step {
    /// Columns: the last axis.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Rows of one example: all axes but the last.
    pub fn rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }
}
