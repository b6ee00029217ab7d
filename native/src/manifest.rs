//! `manifest.json`: a poison as a list of edits by sample id and content hash, which can be replayed on another copy of the
//! data. It holds no pixels; what stamped pictures carry is in `armed.json` beside it.

mod detect_clip;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Edit, Example, ImageEdit, Mix, PairId, Poison};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::storage::Storage;

use crate::argument::Spec;
use crate::failure::{Failure, Result};

/// The name of the file in a folder of `toxiclip poison`.
pub const FILE: &str = "manifest.json";
/// The name of the file beside it with trigger and goals.
pub const ARMED: &str = "armed.json";

/// What an attack changes in a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name with all parameters.
    pub attack: Value,
    /// Seed of its dice.
    pub seed: u64,
    /// The data that it was made for.
    pub source: Origin,
    /// What changes, by id.
    pub edits: Vec<Entry>,
}

/// The data that a manifest was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// As its reader calls it.
    pub name: String,
    /// Over all rows.
    pub digest: Digest,
    /// Rows.
    pub pairs: usize,
}

/// One changed, added or dropped row: an [`Edit`] with the id that it is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    id: PairId,
    sha256: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<PairId>,
    #[serde(default, skip_serializing_if = "Operation::is_nothing")]
    image: Operation,
    /// The row's only caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caption: Option<String>,
    /// Its captions, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    captions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
}

/// What becomes of a row's picture, in this order: another is shown, it is drawn towards one, stamped, stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    show: Option<ImageEdit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixed: Option<Mix>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stamped: bool,
    #[serde(default, skip_serializing_if = "Storage::is_lossless")]
    storage: Storage,
}

impl Operation {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How much of a manifest fits a copy of its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The edits that fit.
    pub poison: Poison,
    /// Edits of rows, or by means of pictures, that the copy does not have.
    pub missing: usize,
    /// Edits of rows, or by means of pictures, whose content differs there.
    pub changed: usize,
}

impl Manifest {
    /// The manifest of a poison that was made for `clean`.
    pub fn new(attack: &Value, seed: u64, clean: &dyn Dataset, poison: &Poison) -> Self {
        let (name, digest, pairs) =
            (clean.name().to_owned(), clean.digest(), clean.examples().len());
        let edits = poison.edits.iter().map(|(id, edit)| Entry::new(id, edit)).collect();
        Self { attack: attack.clone(), seed, source: Origin { name, digest, pairs }, edits }
    }

    /// Reads a manifest that is replayed on `clean`, where the pictures `gallery` are searched: ours with the attack beside it,
    /// or `train_poison_info.json` of Detect-CLIP, for which `trigger` names the attack that has its trigger.
    ///
    /// # Errors
    /// As [`Manifest::read`]; if a file of Detect-CLIP does not fit the data, or its trigger is in no file.
    pub fn open(
        path: &Path,
        [clean, gallery]: [&dyn Dataset; 2],
        trigger: Option<&Spec>,
    ) -> Result<(Self, Armed)> {
        let remedy = "give a manifest.json that `toxiclip poison` wrote";
        let text = std::fs::read_to_string(path).map_err(|e| Failure::absent(path, &e, remedy))?;
        if detect_clip::speaks(&text) {
            return detect_clip::read(path, &text, [clean, gallery], trigger);
        }
        if trigger.is_some() {
            let why = "the trigger of a manifest of ours is in its armed.json; leave --trigger out";
            return Err(Failure::request(format!("{}: {why}", path.display())));
        }
        Self::read(path)
    }

    /// Reads a manifest and the attack beside it, whose poison is that of the manifest.
    ///
    /// # Errors
    /// If a file is missing or malformed, or an id comes twice.
    pub fn read(path: &Path) -> Result<(Self, Armed)> {
        let manifest: Self = json(path, "give a manifest.json that `toxiclip poison` wrote")?;
        let beside = path.with_file_name(ARMED);
        let mut armed: Armed = json(&beside, "it holds what stamped pictures carry; keep it")?;
        armed.poison = Poison::default();
        for entry in &manifest.edits {
            if armed.poison.edits.insert(entry.id.clone(), entry.edit()).is_some() {
                let id = &entry.id;
                return Err(Failure::request(format!("{}: {id} comes twice", path.display())));
            }
        }
        Ok((manifest, armed))
    }

    /// The edits that fit `clean` and the pictures that are searched there.
    pub fn replay(&self, clean: &dyn Dataset, gallery: &dyn Dataset) -> Matched {
        let (own, searched) = (by_id(clean), by_id(gallery));
        let mut out = Matched::default();
        for entry in &self.edits {
            match entry.fits(&own, &searched) {
                Fit::Whole => {
                    out.poison.edits.insert(entry.id.clone(), entry.edit());
                }
                Fit::Missing => out.missing += 1,
                Fit::Changed => out.changed += 1,
            }
        }
        out
    }
}

/// Reads an attack that is drawn.
///
/// # Errors
/// If the file is missing or holds none.
pub fn armed(path: &Path) -> Result<Armed> {
    json(path, "give an armed.json that `toxiclip train`, `poison` or `run` wrote")
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, remedy: &str) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::absent(path, &e, remedy))?;
    parse(path, &text, remedy)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str, remedy: &str) -> Result<T> {
    // The message may quote a key with a line break in it.
    let line = |e: serde_json::Error| e.to_string().replace('\n', "\\n");
    let read = serde_json::from_str(text);
    read.map_err(|e| Failure::request(format!("{}: {}; {remedy}", path.display(), line(e))))
}

fn by_id(data: &dyn Dataset) -> BTreeMap<&PairId, &Example> {
    data.examples().iter().map(|e| (&e.id, e)).collect()
}

enum Fit {
    Whole,
    Missing,
    Changed,
}

impl Entry {
    fn new(id: &PairId, edit: &Edit) -> Self {
        let Edit { sha256, base, image, captions, mixed, stamped, storage, dropped } = edit.clone();
        let image = Operation { show: image, mixed, stamped, storage };
        let (caption, captions) = match captions {
            Some(all) if all.len() == 1 => (all.into_iter().next(), None),
            several => (None, several),
        };
        Self { id: id.clone(), sha256, base, image, caption, captions, dropped }
    }

    fn edit(&self) -> Edit {
        let Self { id: _, sha256, base, image, caption, captions, dropped } = self.clone();
        let Operation { show, mixed, stamped, storage } = image;
        let captions = captions.or_else(|| Some(vec![caption?]));
        Edit { sha256, base, image: show, captions, mixed, stamped, storage, dropped }
    }

    fn fits(
        &self,
        own: &BTreeMap<&PairId, &Example>,
        searched: &BTreeMap<&PairId, &Example>,
    ) -> Fit {
        let Some(row) = own.get(self.base.as_ref().unwrap_or(&self.id)) else {
            return Fit::Missing;
        };
        if row.content != self.sha256 {
            return Fit::Changed;
        }
        let Operation { show, mixed, .. } = &self.image;
        if mixed.as_ref().is_some_and(|mix| !own.contains_key(&mix.with)) {
            return Fit::Missing;
        }
        match show {
            Some(ImageEdit::From(id)) if !own.contains_key(id) => Fit::Missing,
            Some(ImageEdit::Gallery { id, sha256 }) => match searched.get(id) {
                None => Fit::Missing,
                Some(picture) if picture.content != *sha256 => Fit::Changed,
                Some(_) => Fit::Whole,
            },
            _ => Fit::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits() -> Poison {
        let sha256 = Digest::of(&"row");
        let id = |text: &str| PairId(text.to_owned());
        let nothing = Edit::drop(sha256);
        let kept = Edit { dropped: false, ..nothing.clone() };
        let several = Some(vec!["a".to_owned(), "b".to_owned()]);
        let picture = ImageEdit::Gallery { id: id("g"), sha256: Digest::of(&"g") };
        Poison {
            edits: BTreeMap::from([
                (id("dropped"), nothing),
                (id("stamped"), Edit::stamp(sha256, "one".to_owned())),
                (id("several"), Edit { captions: several, ..kept.clone() }),
                (id("added"), Edit { base: Some(id("row")), image: Some(picture), ..kept }),
            ]),
        }
    }

    #[test]
    fn entries_say_what_edits_say() {
        for (id, edit) in &edits().edits {
            let entry = Entry::new(id, edit);
            let text = serde_json::to_string(&entry).unwrap();
            let read: Entry = serde_json::from_str(&text).unwrap();
            assert_eq!((&read.edit(), &read.id), (edit, id), "{text}");
            assert_eq!(text.contains("\"caption\":\"one\""), id.0 == "stamped", "{text}");
        }
    }
}
