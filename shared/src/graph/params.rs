//! What a graph knows of its parameters: name, shape, start value, role, and form in a checkpoint file.

use super::Shape;

/// Index of a parameter in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamId(pub(crate) u32);

impl ParamId {
    /// Position in [`super::Graph::params`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Start values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All the same.
    Const(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// Uniform in ±bound: PyTorch's default for linear and convolution layers has bound 1/√fan-in.
    Uniform(f32),
}

/// Decides decay, freezing and saving; there is no list of name patterns anywhere (trap W12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Matrix of a linear or convolution layer.
    Weight,
    /// Added vector.
    Bias,
    /// Multiplied vector of a normalisation.
    Gain,
    /// Token, position or class embedding.
    Embedding,
    /// The logarithm of the temperature.
    Scale,
    /// Running statistic of batch normalisation: saved, never optimised (trap C9).
    Statistic,
    /// Number of batches seen: saved as i64, never optimised.
    Counter,
}

/// How the tensor stands in an open_clip file, where that differs from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// Name and shape as they are.
    Same,
    /// Our (out, in) is stored as (in, out): `proj`, `text_projection` (trap W5).
    Transposed,
    /// Our (out, k, k, in) is stored as (out, in, k, k).
    Convolution,
    /// Our rows are stored as several tensors, in this order, each under its own full name.
    Split(Vec<String>),
}

/// One parameter of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Full name in the model, open_clip's: `visual.transformer.resblocks.0.ln_1.weight`.
    pub name: String,
    /// Shape as we hold it, row-major.
    pub shape: Shape,
    /// Start value.
    pub init: Init,
    /// What it is for.
    pub role: Role,
    /// How it stands in a file.
    pub form: FileForm,
}

impl ParamSpec {
    /// Whether the optimiser moves it.
    pub fn trained(&self) -> bool {
        !matches!(self.role, Role::Statistic | Role::Counter)
    }

    /// Whether weight decay applies: matrices and tables, no vectors, no temperature.
    pub fn decays(&self) -> bool {
        matches!(self.role, Role::Weight | Role::Embedding) && self.shape.len() >= 2
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never: a parameter has at least one element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
