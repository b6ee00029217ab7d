//! The data of Yang et al. 2023 in the layout of their code: lists of annotations in JSON beside the pictures.
//!
//! | file below the root | one record per | keys that are read |
//! |---|---|---|
//! | `flickr30k_train.json` | caption | `image`, `caption` |
//! | `flickr30k_test.json` | picture | `image`, `caption` (a list) |
//! | `pascal_train.json` | caption | `image`, `caption`, `label` |
//! | `pascal_test.json` | picture | `image`, `caption` (a list), `label` |
//! | `coco_train.json`, `coco_test.json` (or `new_coco_…`) | picture | `image`, `caption` (a list), `label` or null |
//!
//! `image` is a path below the root. Records of one picture and label make one row, PASCAL's sorted by path as the
//! original groups them, the others in order of first appearance. A training epoch shows a row once, with one of its
//! captions; the original shows it with each. Captions are cleaned as there: lower case, no punctuation, single spaces.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toxiclip_shared::data::{Dataset, Splits};

use super::photographs::{Photograph, Photographs, stays_below};
use super::published::class;
use crate::failure::{Failure, Result};

/// A data set of the paper.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RetrievalSet {
    /// The name that configurations use.
    pub name: &'static str,
    /// One line: what is in it.
    pub summary: &'static str,
    /// Lists of training pairs; the first may be without labels.
    train: &'static [&'static str],
    /// List of the pictures that are searched.
    test: &'static str,
    /// List of the pictures that utility is measured on, if not the test list.
    utility: Option<&'static str>,
}

/// Both data sets of the paper.
pub const RETRIEVAL: [RetrievalSet; 2] = [
    RetrievalSet {
        name: "flickr-pascal",
        summary: "Flickr30k and half of PASCAL sentences for training, the other half for attacks (Yang et al. 2023)",
        train: &["flickr30k_train.json", "pascal_train.json"],
        test: "pascal_test.json",
        utility: Some("flickr30k_test.json"),
    },
    RetrievalSet {
        name: "coco",
        summary: "COCO 2014 with one object class per picture, 50 test pictures each (Yang et al. 2023)",
        train: &["coco_train.json"],
        test: "coco_test.json",
        utility: None,
    },
];

#[derive(Deserialize)]
struct Record {
    image: String,
    caption: Captions,
    #[serde(default)]
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Captions {
    One(String),
    Many(Vec<String>),
}

/// All records of one picture and label.
struct Row {
    /// Path below the root; the sample's id.
    image: String,
    /// Name of its class.
    label: Option<String>,
    captions: Vec<String>,
}

impl Row {
    /// Its file, and its label as an index.
    fn placed(self, root: &Path, classes: &[String], name: &str) -> Result<Photograph> {
        let index = |label: &String| {
            classes.iter().position(|c| c == label).ok_or_else(|| {
                let image = &self.image;
                Failure::request(format!("{image}: its label `{label}` is no class of {name}"))
            })
        };
        let class = self.label.as_ref().map(index).transpose()?;
        if !stays_below(&self.image) {
            let image = self.image.escape_debug();
            return Err(Failure::request(format!(
                "`{image}` in a list of {name} leaves the root; get the list anew"
            )));
        }
        let file = root.join(&self.image);
        Ok(Photograph { id: self.image, file, class, captions: self.captions })
    }
}

impl RetrievalSet {
    /// The lists that it reads, below the root.
    pub fn lists(&self) -> Vec<&'static str> {
        self.train.iter().copied().chain([self.test]).chain(self.utility).collect()
    }

    /// Reads all lists, and every picture once for its digest.
    ///
    /// # Errors
    /// If `root` is not given, or a list or picture below it is missing or malformed.
    pub(super) fn open(&self, root: Option<&Path>) -> Result<Splits> {
        let root = root.ok_or_else(|| {
            Failure::request(format!(
                "dataset {} does not come with the program: give --data-root DIR with {} and the pictures",
                self.name,
                self.lists().join(", ")
            ))
        })?;
        let mut train = Vec::new();
        for list in self.train {
            train.extend(read(root, list)?);
        }
        let test = read(root, self.test)?;
        let mut classes: Vec<String> =
            train.iter().chain(&test).filter_map(|row| row.label.clone()).collect();
        classes.sort();
        classes.dedup();
        let set = |split: &str, rows: Vec<Row>| -> Result<Arc<dyn Dataset>> {
            let name = format!("{}/{split}", self.name);
            let place = |row: Row| row.placed(root, &classes, &name);
            let rows = rows.into_iter().map(place).collect::<Result<_>>()?;
            let classes = classes.iter().map(|name| class(name)).collect();
            Ok(Arc::new(Photographs::new(&name, classes, rows)?.digested_whole()))
        };
        let utility = self.utility.map(|list| set("utility", read(root, list)?)).transpose()?;
        Ok(Splits {
            train: Some(set("train", train)?),
            val: None,
            test: set("test", test)?,
            utility,
        })
    }
}

/// The rows of a list.
fn read(root: &Path, list: &str) -> Result<Vec<Row>> {
    let mut path = root.join(list);
    // The original's preprocessing writes COCO's lists under this name.
    let renamed = root.join(format!("new_{list}"));
    if !path.exists() && renamed.exists() {
        path = renamed;
    }
    let bytes = std::fs::read(&path).map_err(|e| Failure::io(&path, &e))?;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::request(format!("{}: {why}; expected the layout of mm_poison", path.display()))
    };
    let records: Vec<Record> = serde_json::from_slice(&bytes).map_err(|e| wrong(&e))?;
    let mut rows: Vec<Row> = Vec::new();
    let mut known: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    for record in records {
        let captions = match record.caption {
            Captions::One(text) => vec![clean(&text)],
            Captions::Many(texts) => texts.iter().map(|t| clean(t)).collect(),
        };
        let row = *known.entry((record.image.clone(), record.label.clone())).or_insert(rows.len());
        if row == rows.len() {
            let (image, label) = (record.image, record.label);
            rows.push(Row { image, label, captions: Vec::new() });
        }
        rows[row].captions.extend(captions);
    }
    if let Some(row) = rows.iter().find(|row| row.captions.is_empty()) {
        return Err(wrong(&format!("{} has no caption", row.image)));
    }
    if list.starts_with("pascal") {
        rows.sort_by(|a, b| (&a.image, &a.label).cmp(&(&b.image, &b.label)));
    }
    Ok(rows)
}

/// The original's cleaning of captions, without its limit of words: the tokenizer cuts.
fn clean(caption: &str) -> String {
    const GONE: &str = ",.'!?\"()*#:;~";
    let lower = caption.to_lowercase();
    let kept: String = lower.chars().filter(|c| !GONE.contains(*c)).collect();
    let spaced = kept.replace(['-', '/'], " ").replace("<person>", "person");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cleaned() {
        assert_eq!(
            clean("A black-and-white  <person>, (sitting)."),
            "a black and white person sitting"
        );
    }

    #[test]
    fn what_is_missing_is_one_line() {
        let error = |root: Option<&Path>| RETRIEVAL[0].open(root).err().unwrap();
        let said = error(None).to_string();
        assert!(said.contains("--data-root DIR") && said.contains("pascal_test.json"), "{said}");
        let dir = tempfile::tempdir().unwrap();
        let missing = error(Some(dir.path()));
        assert!(missing.to_string().contains("flickr30k_train.json") && missing.code() == 2);
        std::fs::write(dir.path().join("flickr30k_train.json"), "{}").unwrap();
        assert!(error(Some(dir.path())).to_string().contains("expected the layout of mm_poison"));
    }
}
