//! An attack or a defense of the matrix: a registered name with all parameters filled in.

use serde::Serialize;
use serde_json::{Map, Value};
use toxiclip_shared::registry::{self, Entry, parse_spec};

/// A registered thing with resolved parameters; equal choices have equal JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Choice(Value);

impl Choice {
    /// Looks `name` up and fills in defaults; parameters are checked by the thing's own parser.
    ///
    /// # Errors
    /// If the name or a parameter is unknown, or a value is impossible; one line.
    pub fn new<T: ?Sized>(
        kind: &str,
        list: &'static [&'static Entry<T>],
        name: &str,
        parameters: Map<String, Value>,
    ) -> Result<Self, String> {
        let entry = registry::find(kind, list, name).map_err(|e| e.to_string())?;
        let parameters = Value::Object(parameters);
        let wrong = |e: serde_json::Error| format!("{kind} {name}: {e}");
        (entry.parse)(parameters.clone()).map_err(wrong)?;
        let resolved = (entry.resolve)(parameters).map_err(wrong)?;
        let mut all = Map::from_iter([("name".to_owned(), Value::from(name))]);
        all.extend(resolved.as_object().cloned().unwrap_or_default());
        Ok(Self(Value::Object(all)))
    }

    /// Reads `"name"`, `"name:key=value,…"` or `{ name = …, key = … }`.
    ///
    /// # Errors
    /// As [`Choice::new`], or if the form is another.
    pub fn read<T: ?Sized>(
        kind: &str,
        list: &'static [&'static Entry<T>],
        value: &toml::Value,
    ) -> Result<Self, String> {
        match serde_json::to_value(value).map_err(|e| e.to_string())? {
            Value::String(text) => {
                let (name, parameters) = parse_spec(&text).map_err(|e| e.to_string())?;
                Self::new(kind, list, &name, parameters)
            }
            Value::Object(mut table) => match table.remove("name") {
                Some(Value::String(name)) => Self::new(kind, list, &name, table),
                _ => Err(format!("{kind}: `name` is missing; write {{ name = \"…\", … }}")),
            },
            other => {
                Err(format!("{kind}: expected a name or {{ name = \"…\", … }}, found {other}"))
            }
        }
    }

    /// The registered name.
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// Name and all parameters, as rows carry them.
    pub fn spec(&self) -> &Value {
        &self.0
    }

    /// The thing itself.
    ///
    /// # Errors
    /// Never for a choice that was made by [`Choice::new`] from the same list.
    pub fn make<T: ?Sized>(&self, list: &'static [&'static Entry<T>]) -> Result<Box<T>, String> {
        let entry = registry::find("entry", list, self.name()).map_err(|e| e.to_string())?;
        let mut parameters = self.0.as_object().cloned().unwrap_or_default();
        parameters.remove("name");
        (entry.parse)(Value::Object(parameters)).map_err(|e| e.to_string())
    }

    /// Whether `text` (`name` or `name:key=value,…`) describes this choice: the same name, and every parameter
    /// that is given has that value.
    ///
    /// # Errors
    /// If `text` is malformed.
    pub fn matches(&self, text: &str) -> Result<bool, String> {
        let (name, parameters) = parse_spec(text).map_err(|e| e.to_string())?;
        let equal = |(key, value): (&String, &Value)| same(&self.0[key], value);
        Ok(self.name() == name && parameters.iter().all(equal))
    }

    /// The name alone where `all` has no namesake, else with the parameters that tell it apart.
    pub fn label(&self, all: &[Self]) -> String {
        let short = self.telling(all, brief);
        let twice = all.iter().filter(|c| c.telling(all, brief) == short).count() > 1;
        if twice { self.telling(all, plain) } else { short }
    }

    fn telling(&self, all: &[Self], written: fn(&Value) -> String) -> String {
        let namesakes: Vec<&Self> = all.iter().filter(|c| c.name() == self.name()).collect();
        let differs = |key: &str, v: &Value| namesakes.iter().any(|c| &c.0[key] != v);
        let parameters = self.0.as_object().into_iter().flatten();
        let telling: Vec<String> = parameters
            .filter(|(key, value)| differs(key, value) && is_given(value))
            .map(|(key, value)| format!("{key}={}", written(value)))
            .collect();
        if telling.is_empty() {
            return self.name().to_owned();
        }
        format!("{}:{}", self.name(), telling.join(","))
    }
}

/// Whether a parameter says something: one that is left out is null or an empty text.
pub(crate) fn is_given(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// As [`plain`], a list of more than two by its first item and how many follow: a label must fit into a table.
pub(crate) fn brief(value: &Value) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([first, rest @ ..]) if rest.len() > 1 => {
            format!("{}+{} more", plain(first), rest.len())
        }
        _ => plain(value),
    }
}

/// As the command line writes it: text without quotes, a list joined by +.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

/// Equal as numbers where both are: `1` and `1.0` are the same rate.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_leave_out_what_is_not_given_and_shorten_lists_while_they_stay_unique() {
        let all = |specs: &[Value]| specs.iter().cloned().map(Choice).collect::<Vec<_>>();
        let labels = |specs: &[Value]| {
            let all = all(specs);
            all.iter().map(|choice| choice.label(&all)).collect::<Vec<_>>()
        };
        let told = [
            json!({"name": "a", "data": "", "k": null}),
            json!({"name": "a", "data": "x", "k": 1}),
        ];
        assert_eq!(labels(&told), ["a", "a:data=x,k=1"]);
        let lists =
            [json!({"name": "a", "l": ["p", "q", "r"]}), json!({"name": "a", "l": ["p", "q"]})];
        assert_eq!(labels(&lists), ["a:l=p+2 more", "a:l=p+q"]);
        let alike = [
            json!({"name": "a", "l": ["p", "q", "r"]}),
            json!({"name": "a", "l": ["p", "q", "s"]}),
        ];
        assert_eq!(labels(&alike), ["a:l=p+q+r", "a:l=p+q+s"]);
    }
}
