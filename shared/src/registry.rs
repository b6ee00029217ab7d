//! Cards, parameters and the lists they stand in: what `list` and `show` print and what conformance tests walk.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// What a registered thing is, for people.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Card {
    /// kebab-case; equal to the stem of its file with `_` for `-`.
    pub name: &'static str,
    /// The name in words.
    pub title: &'static str,
    /// Year of the paper.
    pub year: u16,
    /// Where it is described: arXiv id, DOI, or authors and venue.
    pub paper: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// What the attacker controls, or what the defender needs and knows.
    pub threat_model: &'static str,
}

/// A parameter: key, unit (empty for names and switches), and what it means.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Param {
    /// kebab-case key.
    pub key: &'static str,
    /// `px`, `rows`, `epochs`, …
    pub unit: &'static str,
    /// One line.
    pub help: &'static str,
}

/// An entry of a registry: `T` is `dyn Attack`, `Defense`, ….
pub struct Entry<T: ?Sized> {
    /// For people.
    pub card: Card,
    /// All parameters, its own and those that it shares with others; a test compares them with the keys of the
    /// serialised default.
    pub params: &'static [&'static [Param]],
    /// Makes the thing from its parameters; unknown keys are errors.
    pub parse: fn(Value) -> serde_json::Result<Box<T>>,
    /// The parameters with defaults filled in, in canonical form.
    pub resolve: fn(Value) -> serde_json::Result<Value>,
}

impl<T: ?Sized> Entry<T> {
    /// All parameters, one behind the other.
    pub fn params(&self) -> impl Iterator<Item = &'static Param> + use<T> {
        self.params.iter().copied().flatten()
    }
}

impl<T: ?Sized> std::fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.card.name)
    }
}

/// Finds `name` in a list, or says which name was probably meant.
///
/// # Errors
/// If there is no such entry.
pub fn find<T: ?Sized>(
    kind: &str,
    list: &'static [&'static Entry<T>],
    name: &str,
) -> Result<&'static Entry<T>> {
    list.iter().copied().find(|e| e.card.name == name).ok_or_else(|| {
        let names: Vec<&str> = list.iter().map(|e| e.card.name).collect();
        Error::Request(unknown(kind, name, &names))
    })
}

/// "no attack called X; did you mean Y? (all of them)" in one line.
pub fn unknown(kind: &str, name: &str, names: &[&str]) -> String {
    let near = names.iter().min_by_key(|n| edit_distance(n, name));
    let hint = match near {
        Some(n) if edit_distance(n, name) <= 2 + name.len() / 4 => format!("; did you mean `{n}`?"),
        _ => String::new(),
    };
    format!("no {kind} called `{name}`{hint} (known: {})", names.join(", "))
}

/// Splits `name:key=value,key=value` into the name and a JSON object; values are read as JSON where
/// they are numbers, booleans or null (a parameter that is not given), else as text.
///
/// # Errors
/// If a part has no `=` or a key is given twice.
pub fn parse_spec(text: &str) -> Result<(String, Map<String, Value>)> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut map = Map::new();
    for part in rest.split(',').filter(|p| !p.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return Err(Error::request(format!("`{part}` in `{text}`: expected key=value")));
        };
        let value = match serde_json::from_str::<Value>(value) {
            Ok(v @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => v,
            _ => Value::from(value),
        };
        if map.insert(key.to_owned(), value).is_some() {
            return Err(Error::request(format!("`{key}` is given twice in `{text}`")));
        }
    }
    Ok((name.to_owned(), map))
}

/// Parts given parameters into those of `T` alone and the ones that it shares with others.
///
/// # Errors
/// If a key belongs to neither, or a value is none of its kind.
pub(crate) fn part<T: Default + Serialize + DeserializeOwned>(
    given: Value,
    shared: &[Param],
) -> serde_json::Result<(T, Map<String, Value>)> {
    let given: Map<String, Value> = serde_json::from_value(given)?;
    let (shared_ones, own): (Map<_, _>, Map<_, _>) =
        given.into_iter().partition(|(key, _)| shared.iter().any(|p| p.key == *key));
    let known: Map<String, Value> = serde_json::from_value(serde_json::to_value(T::default())?)?;
    // serde would name the own keys only.
    if let Some(key) = own.keys().find(|key| !known.contains_key(*key)) {
        let keys = known.keys().map(String::as_str).chain(shared.iter().map(|p| p.key));
        let keys: Vec<String> = keys.map(|key| format!("`{key}`")).collect();
        return Err(serde::de::Error::custom(format!(
            "unknown field `{key}`, expected one of {}",
            keys.join(", ")
        )));
    }
    Ok((serde_json::from_value(Value::Object(own))?, shared_ones))
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// The test of every registry: the files of its folder are its list, cards are filled in, and `params` are
/// exactly the keys that the parser knows.
///
/// # Panics
/// If something was forgotten; says what.
#[cfg(test)]
pub(crate) fn assert_complete<T: ?Sized>(list: &[&Entry<T>], folder: &str) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let stem = |e: std::fs::DirEntry| e.path().file_stem()?.to_str().map(|s| s.replace('_', "-"));
    let mut files: Vec<String> =
        std::fs::read_dir(&root).unwrap().filter_map(|e| stem(e.unwrap())).collect();
    files.retain(|name| !["mod", "tests", "README"].contains(&name.as_str()));
    files.sort();
    let mut names: Vec<&str> = list.iter().map(|e| e.card.name).collect();
    names.sort_unstable();
    assert_eq!(files, names, "files of {folder} and names in its list");
    for entry in list {
        let card = &entry.card;
        for text in [card.title, card.paper, card.summary, card.threat_model] {
            assert!(
                !text.is_empty() && !text.contains('\n'),
                "{}: a card of single lines",
                card.name
            );
        }
        assert!((1990..2100).contains(&card.year), "{}: year {}", card.name, card.year);
        let default = (entry.resolve)(Value::Object(Map::new())).unwrap();
        let mut keys: Vec<&str> = default.as_object().unwrap().keys().map(String::as_str).collect();
        let mut described: Vec<&str> = entry.params().map(|p| p.key).collect();
        // Some are not written at their default; the parser knows them all the same.
        described.retain(|key| keys.contains(key) || !knows(entry, key));
        keys.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, keys, "{}: parameters with and without description", card.name);
        assert!(entry.params().all(|p| !p.help.is_empty()), "{}: help", card.name);
    }
}

/// Whether the parser takes this key, with whatever value.
#[cfg(test)]
fn knows<T: ?Sized>(entry: &Entry<T>, key: &str) -> bool {
    let given = Map::from_iter([(key.to_owned(), Value::from(""))]);
    let refused = (entry.resolve)(Value::Object(given)).err();
    !refused.is_some_and(|e| e.to_string().contains("unknown field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_a_hint() {
        assert!(
            unknown("attack", "single-lable", &["none", "single-label"])
                .contains("did you mean `single-label`")
        );
        assert!(
            !unknown("attack", "zzzzzzzzz", &["none", "single-label"]).contains("did you mean")
        );
    }

    #[test]
    fn specs_are_name_and_parameters() {
        let (name, map) = parse_spec("single-label:from=ewe,rate=0.5,add=true").unwrap();
        assert_eq!(name, "single-label");
        assert_eq!(
            Value::Object(map),
            serde_json::json!({"from": "ewe", "rate": 0.5, "add": true})
        );
        assert!(parse_spec("a:b=null").unwrap().1["b"].is_null());
        assert!(parse_spec("a:b").is_err() && parse_spec("a:b=1,b=2").is_err());
    }
}
