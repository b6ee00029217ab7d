//! A TOML file with the line of every key, its `[tiny]` or `[full]` part and `--set` already laid over it.
//!
//! Whatever is wrong later can be blamed on a line or on a `--set`, although values of three origins are mixed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::Form;
use crate::argument::Assignment;
use crate::failure::{Failure, Result};

/// Parts that are laid over the rest, one at a time.
const PARTS: [&str; 2] = ["tiny", "full"];

/// The merged content of a benchmark file and where each value comes from.
#[derive(Debug)]
pub(super) struct Document {
    table: Table,
    file: String,
    /// Dotted path of a key, array positions as numbers → 1-based line.
    lines: BTreeMap<String, usize>,
    set: Vec<String>,
    form: Form,
}

impl Document {
    /// Parses `text`, then lays the part of `form` and `set` over it.
    ///
    /// # Errors
    /// If it is no TOML, or has no part of that name.
    pub(super) fn parse(path: &Path, text: &str, form: Form, set: &[Assignment]) -> Result<Self> {
        let file = path.display().to_string();
        let syntax = |e: toml::de::Error| {
            let line = e.span().map_or(1, |span| line_of(text, span.start));
            Failure::request(format!("{file}:{line}: {}", e.message()))
        };
        let mut lines = BTreeMap::new();
        let spans = DeTable::parse(text).map_err(syntax)?;
        note_table(text, "", spans.get_ref(), &mut lines);
        let mut table: Table = toml::from_str(text).map_err(syntax)?;
        let mut parts = PARTS.map(|part| (part, table.remove(part)));
        let mut document = Self { table, file, lines, set: Vec::new(), form };
        for (part, over) in &mut parts {
            match over.take() {
                Some(Value::Table(over)) if form.part() == Some(*part) => {
                    lay_over(&mut document.table, over);
                }
                Some(Value::Table(_)) => {}
                Some(_) => {
                    let why = format!("must be a table of overrides, such as [{part}.train]");
                    return Err(document.error(part, why));
                }
                None if form == Form::Full && *part == "full" => {
                    let why = "no part of that name; this benchmark has no published setting";
                    return Err(document.error("full", why));
                }
                None => {}
            }
        }
        for assignment in set {
            document.assign(assignment)?;
        }
        Ok(document)
    }

    fn assign(&mut self, set: &Assignment) -> Result<()> {
        // What is no TOML value by itself (a bare word) is text.
        let value = toml::from_str::<Table>(&format!("v = {}", set.value))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| Value::String(set.value.clone()));
        let (parents, last) = set.key.rsplit_once('.').ok_or_else(|| {
            Failure::request(format!(
                "--set {}: name the section too, such as train.epochs or matrix.seed",
                set.key
            ))
        })?;
        let mut over = Table::from_iter([(last.to_owned(), value)]);
        for part in parents.rsplit('.') {
            over = Table::from_iter([(part.to_owned(), Value::Table(over))]);
        }
        lay_over(&mut self.table, over);
        self.set.push(set.key.clone());
        Ok(())
    }

    /// Takes a top-level value out of the document.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    /// Refuses what nobody has taken.
    pub(super) fn finish(&self, known: &[&str]) -> Result<()> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(key) => Err(self.error(key, format!("unknown key; known: {}", known.join(", ")))),
        }
    }

    /// A section as `T`, all of whose fields have defaults; blames the first key that `T` refuses.
    pub(super) fn section<T: DeserializeOwned>(&self, path: &str, value: &Value) -> Result<T> {
        let read = |value: &Value| value.clone().try_into::<T>();
        read(value).map_err(|error| {
            for (key, one) in value.as_table().into_iter().flatten() {
                let alone = Value::Table(Table::from_iter([(key.clone(), one.clone())]));
                if let Err(error) = read(&alone) {
                    return self.error(&format!("{path}.{key}"), error.message());
                }
            }
            self.error(path, error.message())
        })
    }

    /// An error about the value at a dotted path, with the place it was written at.
    pub(super) fn error(&self, path: &str, why: impl std::fmt::Display) -> Failure {
        let place = self.place(path);
        let key = path.rsplit_once('.').map_or(path, |(_, last)| last);
        // A position in an array says nothing that the line does not.
        let name = if key.parse::<usize>().is_ok() {
            path.trim_end_matches(&format!(".{key}"))
        } else {
            path
        };
        if place == format!("--set {name}") {
            return Failure::request(format!("{place}: {why}"));
        }
        Failure::request(format!("{place}: {name}: {why}"))
    }

    /// `file:line` of the nearest ancestor that was written, or the `--set` that made it.
    fn place(&self, path: &str) -> String {
        let inside = |set: &&String| path == set.as_str() || path.starts_with(&format!("{set}."));
        if let Some(set) = self.set.iter().rev().find(inside) {
            return format!("--set {set}");
        }
        let mut path = path;
        loop {
            let part = self.form.part().and_then(|part| self.lines.get(&format!("{part}.{path}")));
            if let Some(line) = part.or_else(|| self.lines.get(path)) {
                return format!("{}:{line}", self.file);
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.file.clone(),
            }
        }
    }
}

/// Tables join, everything else replaces. `epochs` and `steps` say the same thing, so that one ousts the other.
pub(super) fn lay_over(base: &mut Table, over: Table) {
    // A checkpoint is not trained: it stands in place of a recipe, not beside it.
    if over.contains_key("checkpoint") {
        base.clear();
    }
    for (key, value) in over {
        for (one, other) in [("epochs", "steps"), ("steps", "epochs")] {
            if key == one {
                base.remove(other);
            }
        }
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

fn note_table(text: &str, path: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", key.get_ref());
        lines.insert(path.clone(), line_of(text, key.span().start));
        note_value(text, &path, value, lines);
    }
}

fn note_value(
    text: &str,
    path: &str,
    value: &Spanned<DeValue<'_>>,
    lines: &mut BTreeMap<String, usize>,
) {
    match value.get_ref() {
        DeValue::Table(table) => note_table(text, path, table, lines),
        DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}.{i}");
                lines.insert(path.clone(), line_of(text, item.span().start));
                note_value(text, &path, item, lines);
            }
        }
        _ => {}
    }
}
