//! The error of the program: one line of text, and the exit code it asks for.
//!
//! | code | variant | meaning |
//! |---|---|---|
//! | 0 | – | all well |
//! | 1 | `Failed`, `Full`, `Interrupted` | the work ran; something in it failed, or it was stopped |
//! | 2 | `Request` | the request was wrong and nothing was written |

use std::fmt::Display;
use std::io;
use std::path::Path;

/// Why a command ended without success. Its text is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Usage, configuration, missing or malformed input; nothing was written.
    #[error("{0}")]
    Request(String),
    /// The work ran and something in it failed.
    #[error("{0}")]
    Failed(String),
    /// There is no room to write: whatever comes next would fail as well, so work stops here.
    #[error("{0}")]
    Full(String),
    /// Ctrl-C: finished stages and the trainer's last checkpoint are kept.
    #[error("stopped by Ctrl-C; the same command continues from here")]
    Interrupted,
}

/// Result with [`Failure`].
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A wrong request, from any displayable text.
    pub fn request(text: impl Display) -> Self {
        Self::Request(one_line(&text))
    }

    /// Work that failed, from any displayable text.
    pub fn failed(text: impl Display) -> Self {
        Self::Failed(one_line(&text))
    }

    /// The system refused to do something with `path`; adds the remedy where there is a known one.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        io_failure(&path.display(), error)
    }

    /// As [`Failure::io`]; where `path` is missing, says what to do about it.
    pub fn absent(path: &Path, error: &io::Error, remedy: &str) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::request(format!("{}: {error}; {remedy}", path.display()))
            }
            _ => Self::io(path, error),
        }
    }

    /// Puts `what` before the text, keeping the kind: `cell 3: the loss is not finite …`.
    #[must_use]
    pub fn during(self, what: impl Display) -> Self {
        match self {
            Self::Request(text) => Self::request(format!("{what}: {text}")),
            Self::Failed(text) => Self::failed(format!("{what}: {text}")),
            Self::Full(text) => Self::Full(one_line(&format!("{what}: {text}"))),
            Self::Interrupted => Self::Interrupted,
        }
    }

    /// The same text as a failure of work: for errors met after something has been written.
    #[must_use]
    pub fn after_work(self) -> Self {
        match self {
            Self::Request(text) => Self::Failed(text),
            other => other,
        }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Failed(_) | Self::Full(_) | Self::Interrupted => 1,
        }
    }
}

impl From<toxiclip_shared::Error> for Failure {
    fn from(error: toxiclip_shared::Error) -> Self {
        use toxiclip_shared::Error;
        match &error {
            Error::Request(_) | Error::Input { .. } | Error::Weights(_) => Self::request(error),
            Error::NotFinite { .. } | Error::Device(_) => Self::failed(error),
            Error::Io { path, source } => io_failure(path, source),
        }
    }
}

/// `anyhow` carries causes through code that has several error types; a [`Failure`] or a shared error
/// inside keeps its exit code.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let code = error.chain().find_map(|cause| {
            let own = cause.downcast_ref::<Self>().map(Self::code);
            own.or_else(|| {
                let shared = cause.downcast_ref::<toxiclip_shared::Error>()?;
                use toxiclip_shared::Error::{Device, NotFinite};
                let request = !matches!(shared, NotFinite { .. } | Device(_));
                Some(if request { 2 } else { 1 })
            })
        });
        if error.chain().any(|c| matches!(c.downcast_ref(), Some(Self::Interrupted))) {
            return Self::Interrupted;
        }
        let text = format!("{error:#}");
        if error.chain().any(|c| matches!(c.downcast_ref(), Some(Self::Full(_)))) {
            return Self::Full(one_line(&text));
        }
        if code == Some(2) { Self::request(text) } else { Self::failed(text) }
    }
}

fn io_failure(path: &impl Display, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Failure::Full(format!(
            "{path}: {error}; free some space or choose another folder, then repeat the command"
        )),
        Kind::ReadOnlyFilesystem | Kind::PermissionDenied => Failure::request(format!(
            "{path}: {error}; make it accessible or choose another folder"
        )),
        Kind::NotFound
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::AlreadyExists
        | Kind::InvalidData
        | Kind::InvalidFilename => Failure::request(format!("{path}: {error}")),
        _ => Failure::failed(format!("{path}: {error}")),
    }
}

/// Parsers like to draw arrows below the offending line; a log wants one line.
fn one_line(text: &impl Display) -> String {
    let text = text.to_string();
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_kind_of_error() {
        let not_finite = toxiclip_shared::Error::NotFinite { what: "loss".into(), step: 3 };
        assert_eq!(Failure::from(not_finite).code(), 1);
        assert_eq!(Failure::from(toxiclip_shared::Error::request("x")).code(), 2);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let full = Failure::io(Path::new("/out"), &full);
        assert!(full.code() == 1 && full.to_string().contains("free some space"), "{full}");
        assert_eq!(Failure::request("x").after_work().code(), 1);
    }

    #[test]
    fn anyhow_context_keeps_the_code() {
        use anyhow::Context as _;
        let wrong = Err::<(), _>(toxiclip_shared::Error::request("bad")).context("reading");
        let failure = Failure::from(wrong.unwrap_err());
        assert_eq!((failure.code(), failure.to_string()), (2, "reading: bad".into()));
        assert_eq!(Failure::from(anyhow::anyhow!("odd")).code(), 1);
        let stopped = Err::<(), _>(Failure::Interrupted).context("training").unwrap_err();
        assert!(matches!(Failure::from(stopped), Failure::Interrupted));
    }

    #[test]
    fn every_text_is_one_line() {
        assert_eq!(Failure::request("a\n  | b\n\n").to_string(), "a | b");
    }
}
