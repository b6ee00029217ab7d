//! A victim of the matrix: how its training differs from `[train]` and `[init]`.
//!
//! ```toml
//! victim = [{}, { freeze = "image" }, { epochs = 2 }, { share = 0.5 }, { start = "scratch", epochs = 100 }]
//! ```
//! Every key of a recipe may be given; besides, `share` is the part of the training pairs that it has, drawn from the
//! cell's seed before poisoning, and `start = "scratch"` leaves the clean starting model out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::registry::parse_spec;

use super::check::recipe;
use super::choice::same;
use super::document::{Document, lay_over};
use crate::failure::Result;

/// One victim with its whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Victim {
    /// The differences as the file gives them; empty for the plain victim.
    pub spec: Value,
    /// How it trains.
    #[serde(skip)]
    pub recipe: TrainConfig,
    /// The share of the training pairs that it has, in (0, 1].
    #[serde(skip)]
    pub share: f64,
    /// Where its training starts.
    #[serde(skip)]
    pub start: StartOf,
}

/// Where a victim's training starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartOf {
    /// Where `[init]` says.
    #[default]
    Init,
    /// From start values drawn with the cell's seed.
    Scratch,
    /// Where `[init]` says, and it ends there: the model is measured as it is, which needs no training split.
    AsIs,
}

impl Victim {
    /// Lays the differences over `[train]`.
    pub(super) fn read(
        document: &Document,
        path: &str,
        train: &toml::Value,
        value: &toml::Value,
    ) -> Result<Self> {
        let toml::Value::Table(given) = value else {
            return Err(document.error(path, "expected { key = value, … }, or {} for none"));
        };
        let mut over = given.clone();
        let share = match over.remove("share") {
            None => 1.0,
            Some(v) => number(&v).filter(|s| *s > 0.0 && *s <= 1.0).ok_or_else(|| {
                document.error(&format!("{path}.share"), "expected a share above 0 and at most 1")
            })?,
        };
        let start = over.remove("start").map_or(Ok(StartOf::Init), |v| {
            let why = "expected \"init\", \"scratch\" or \"as-is\"";
            v.try_into().map_err(|_| document.error(&format!("{path}.start"), why))
        })?;
        if start == StartOf::AsIs && given.len() > 1 {
            return Err(document.error(path, "what is not trained has no key beside start"));
        }
        let mut merged = train.as_table().cloned().unwrap_or_else(Table::new);
        lay_over(&mut merged, over);
        let recipe = recipe(document, path, &toml::Value::Table(merged))?;
        // An empty form would pass for the plain victim, so what cannot be written down is refused.
        let spec = serde_json::to_value(given).map_err(|e| document.error(path, e.to_string()))?;
        Ok(Self { spec, recipe, share, start })
    }

    /// The one that trains as `[train]` says.
    pub fn plain(&self) -> bool {
        self.spec.as_object().is_none_or(serde_json::Map::is_empty)
    }

    /// `freeze=image`; nothing for the plain one.
    pub fn label(&self) -> String {
        let parts = self.spec.as_object().into_iter().flatten();
        let part = |(k, v): (&String, &Value)| format!("{k}={}", v.to_string().trim_matches('"'));
        parts.map(part).collect::<Vec<_>>().join(",")
    }

    /// Whether `text` (`key=value,…`) describes this victim; an empty text is the plain one.
    ///
    /// # Errors
    /// If `text` is malformed.
    pub fn matches(&self, text: &str) -> Result<bool, String> {
        let (_, wanted) = parse_spec(&format!("victim:{text}")).map_err(|e| e.to_string())?;
        if wanted.is_empty() {
            return Ok(self.plain());
        }
        Ok(wanted.iter().all(|(key, value)| same(&self.spec[key.as_str()], value)))
    }
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}
