//! The line that README prints of a benchmark once its results are published: what is asked, what its paper says, and
//! which values of ours answer.
//!
//! ```toml
//! [finding]
//! question = "Can captions of one class fetch pictures of another?"
//! paper = "hit@10 .936, random captions .200 (table 4)"        # quoted as published
//! ours = "hit@10 {}, clean model {}"                            # a value for each pair of braces
//! values = [{ metric = "hit@10", attack = "single-label" }, { metric = "hit@10", attack = "none", against = "single-label" }]
//! ```

use serde::Deserialize;
use toxiclip_shared::metrics;

/// A line of README's table of findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    /// What is asked, one sentence.
    pub question: String,
    /// What the paper found, in its own numbers, with the table or figure.
    pub paper: String,
    /// What we found: text with `{}` where a value of [`Finding::values`] belongs.
    pub ours: String,
    /// The values, in the order of the braces.
    pub values: Vec<Wanted>,
}

/// Estimates by the words of a report's lines: those given must fit. The name of an attack or defense alone fits
/// whatever parameters follow it there, as in `single-label` and `single-label:rate=0.5`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// A metric's name.
    pub metric: String,
    /// An attack; `none` is the control.
    pub attack: String,
    /// For a control on an attack's goals, that attack.
    pub against: Option<String>,
    /// A defense; `none` by default.
    pub defense: Option<String>,
    /// An encoder with all that is special about its victim, as in `tiny-resnet, epochs=1`.
    pub encoder: Option<String>,
}

impl Finding {
    /// What cannot be printed.
    pub(super) fn check(&self) -> Result<(), String> {
        if [&self.question, &self.paper, &self.ours].iter().any(|text| text.trim().is_empty()) {
            return Err("give `question`, `paper`, `ours` and `values`".into());
        }
        let braces = self.ours.matches("{}").count();
        if braces != self.values.len() {
            return Err(format!("`ours` has {braces} `{{}}` for {} values", self.values.len()));
        }
        for wanted in &self.values {
            metrics::find(&wanted.metric).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
