//! Pairs in a table: `csv:FILE`, and the training set `cc3m`.
//!
//! | column | meaning |
//! |---|---|
//! | `image` or `path` | a path below the table's folder; the sample's id |
//! | `caption` | as it is |
//! | `label` | optional: name of its class, or nothing |
//! | `is_backdoor` | optional: CleanCLIP's mark; a row that has it is refused, as weights trained on it would pass for clean |
//!
//! That is the form of CleanCLIP and BadCLIP (pandas puts its index into a first column without a name) and of RoCLIP; other
//! columns are passed over. Rows of one picture make one row with several captions, in order of first appearance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::data::{Class, Dataset, Splits};

use super::brought::Brought;
use super::imagenet;
use super::photographs::{Photograph, Photographs, stays_below};
use super::published::class;
use crate::failure::{Failure, Result};

pub(super) const CC3M: Brought = Brought {
    name: "cc3m",
    summary: "Conceptual Captions, pairs without labels to train on; tested on ImageNet's validation",
    places: &["cc3m"],
    layout: "train.csv (image,caption) with the pictures that it names; and the files of imagenet",
    origin: "ai.google.com/research/ConceptualCaptions (addresses and captions), pictures by img2dataset",
    licence: "free use with credit to Google; the pictures are their owners'",
    reference: "Sharma et al. 2018, Conceptual Captions",
    tasks: (true, false),
    read: conceptual,
    prompts: |all| all.imagenet.templates,
};

/// Pairs without labels, beside the classes that attacks on them are measured with.
fn conceptual(set: &Brought, root: &Path) -> Result<Splits> {
    let file = set.place(root)?.join("train.csv");
    if !file.exists() {
        return Err(set.missing(&file, "is missing"));
    }
    let rows = rows(&file)?;
    if let Some(row) = rows.iter().find(|row| row.label.is_some()) {
        let why = "cc3m has no labels; remove the column `label`, or read it as csv:FILE";
        return Err(Failure::request(format!("{}: {} has one: {why}", file.display(), row.image)));
    }
    let train = photographs("cc3m/train", &file, imagenet::classes()?, rows)?;
    Ok(Splits { train: Some(train), ..imagenet::IMAGENET.open(Some(root))? })
}

/// The pairs of a table, with the classes that their labels name.
pub(super) fn pairs(file: &Path) -> Result<Arc<dyn Dataset>> {
    let rows = rows(file)?;
    let mut names: Vec<&String> = rows.iter().filter_map(|row| row.label.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let classes = names.into_iter().map(|name| class(name)).collect();
    photographs(&format!("csv:{}", file.display()), file, classes, rows)
}

fn photographs(
    name: &str,
    file: &Path,
    classes: Vec<Class>,
    rows: Vec<Row>,
) -> Result<Arc<dyn Dataset>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let index: BTreeMap<&str, usize> = classes.iter().map(|c| c.name.as_str()).zip(0..).collect();
    let photograph = |row: Row| Photograph {
        file: folder.join(&row.image),
        class: row.label.and_then(|label| index.get(label.as_str()).copied()),
        id: row.image,
        captions: row.captions,
    };
    let rows = rows.into_iter().map(photograph).collect();
    Ok(Arc::new(Photographs::new(name, classes, rows)?))
}

#[derive(Debug, PartialEq)]
struct Row {
    image: String,
    label: Option<String>,
    captions: Vec<String>,
}

/// Which column is which.
struct Columns {
    image: usize,
    caption: usize,
    label: Option<usize>,
    marked: Option<usize>,
}

impl Columns {
    fn of(head: &::csv::StringRecord) -> Result<Self, String> {
        let column = |name: &str| {
            let mut all =
                head.iter().enumerate().filter(|(_, h)| h.trim_matches('\u{feff}') == name);
            match (all.next(), all.next()) {
                (Some(_), Some(_)) => Err(format!("has two columns `{name}`")),
                (found, _) => Ok(found.map(|(i, _)| i)),
            }
        };
        let image = column("image")?.or(column("path")?);
        let (image, caption) = image.zip(column("caption")?).ok_or("has no head image,caption")?;
        Ok(Self { image, caption, label: column("label")?, marked: column("is_backdoor")? })
    }
}

fn rows(file: &Path) -> Result<Vec<Row>> {
    let wrong = |line: u64, why: &dyn std::fmt::Display| {
        Failure::request(format!("{}:{line}: {why}", file.display()))
    };
    let opened = std::fs::File::open(file).map_err(|e| Failure::io(file, &e))?;
    let mut reader = ::csv::Reader::from_reader(opened);
    let columns =
        Columns::of(reader.headers().map_err(|e| wrong(1, &e))?).map_err(|e| wrong(1, &e))?;
    let mut rows: Vec<Row> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for record in reader.records() {
        let record =
            record.map_err(|e| wrong(e.position().map_or(0, ::csv::Position::line), &e))?;
        let line = record.position().map_or(0, ::csv::Position::line);
        let row = row(&record, &columns).map_err(|why| wrong(line, &why))?;
        match known.get(&row.image).copied() {
            None => {
                known.insert(row.image.clone(), rows.len());
                rows.push(row);
            }
            Some(first) if rows[first].label == row.label => {
                rows[first].captions.extend(row.captions);
            }
            Some(_) => return Err(wrong(line, &format!("{} has two labels", row.image))),
        }
    }
    Ok(rows)
}

fn row(record: &::csv::StringRecord, columns: &Columns) -> Result<Row, String> {
    let cell = |at: usize| record.get(at).map(str::trim).ok_or("has fewer columns than the head");
    let (image, caption) = (cell(columns.image)?, cell(columns.caption)?);
    if image.is_empty() || caption.is_empty() {
        return Err("a picture or its caption is missing; remove the row".into());
    }
    if !stays_below(image) {
        return Err(format!("`{image}` leaves the table's folder; paths are relative to it"));
    }
    let marked = columns.marked.map(cell).transpose()?;
    if !matches!(marked.unwrap_or(""), "" | "0" | "0.0" | "False" | "false") {
        return Err("is marked as poisoned, and weights trained on it would pass for clean; remove such rows and give --attack".into());
    }
    let label = columns.label.map(cell).transpose()?.filter(|label| !label.is_empty());
    let label = label.map(str::to_owned);
    Ok(Row { image: image.to_owned(), label, captions: vec![caption.to_owned()] })
}
