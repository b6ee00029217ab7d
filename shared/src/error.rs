//! The one error type of this crate: every variant is one line that says what, where and what to do.

/// What can go wrong in `toxiclip-shared`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong: a name, key, value or combination. Nothing has been computed.
    #[error("{0}")]
    Request(String),
    /// Input that was read is malformed; says which file or item.
    #[error("{what}: {why}")]
    Input {
        /// File, key or sample id.
        what: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// Tensors that do not fit the encoder, all listed at once.
    #[error("weights do not fit the encoder: {0}")]
    Weights(String),
    /// A number left the finite range.
    #[error(
        "{what} is not finite at step {step}; lower the learning rate or look at the data of this step"
    )]
    NotFinite {
        /// The quantity, such as the loss or a gradient with its parameter's name.
        what: String,
        /// 0-based optimiser step.
        step: usize,
    },
    /// A device refused an operation, or has no room.
    #[error("the device: {0}; use a smaller batch, or --device cpu")]
    Device(String),
    /// The operating system refused a file operation.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// A request error from any displayable text.
    pub fn request(text: impl std::fmt::Display) -> Self {
        Self::Request(text.to_string())
    }

    /// Another error in its place where a file was not there.
    pub(crate) fn where_absent(self, other: impl FnOnce(std::io::Error) -> Self) -> Self {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        match self {
            Self::Io { source, .. } if matches!(source.kind(), NotFound | NotADirectory) => {
                other(source)
            }
            same => same,
        }
    }

    /// An input error.
    pub fn input(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Input { what: what.to_string(), why: why.to_string() }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
