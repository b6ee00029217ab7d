//! The drawings inside the program: PNG strips, their index, and the data sets made of them.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use super::{Cell, Concept, Concepts, DATASETS, Described, HeldOut, Role, SIDE, Sheets, captions};
use crate::data::{Class, Dataset, Example, PairId, Splits};
use crate::digest::Digest;
use crate::image::Image;
use crate::registry::unknown;
use crate::{Error, Result};

/// Bytes of one drawing.
const BYTES: usize = SIDE * SIDE * 4;

/// A PNG with one drawing below the other, decoded when its first picture is asked for.
struct Strip {
    set: &'static str,
    png: &'static [u8],
    pixels: OnceLock<Result<Vec<u8>, String>>,
}

macro_rules! strip {
    ($set:literal, $folder:literal) => {
        Strip {
            set: $set,
            png: include_bytes!(concat!("../../../data/", $folder, "/", $set, ".png")),
            pixels: OnceLock::new(),
        }
    };
}

static STRIPS: [Strip; 8] = [
    strip!("noto", "emoji"),
    strip!("noto-v1", "emoji"),
    strip!("twemoji", "emoji"),
    strip!("emojione", "emoji"),
    strip!("fxemoji", "emoji"),
    strip!("fluent", "emoji"),
    strip!("fluent-3d", "emoji"),
    strip!("fluent-contrast", "emoji"),
];

#[cfg(feature = "emoji-share-alike")]
static SHARE_ALIKE_STRIPS: [Strip; 2] =
    [strip!("openmoji", "emoji-share-alike"), strip!("openmoji-black", "emoji-share-alike")];
#[cfg(not(feature = "emoji-share-alike"))]
static SHARE_ALIKE_STRIPS: [Strip; 0] = [];

#[cfg(feature = "emoji-share-alike")]
const SHARE_ALIKE_SHEETS: &str = include_str!("../../../data/emoji-share-alike/sheets.json");
#[cfg(not(feature = "emoji-share-alike"))]
const SHARE_ALIKE_SHEETS: &str = "{}";

impl Strip {
    fn image(&self, cell: usize) -> Result<Image> {
        let pixels = self.pixels.get_or_init(|| decode(self.png).map_err(|e| e.to_string()));
        let bad = |why: &str| Error::input(format!("{}.png", self.set), why);
        let pixels = pixels.as_ref().map_err(|why| bad(why))?;
        let slice = pixels.get(cell * BYTES..(cell + 1) * BYTES);
        let slice = slice.ok_or_else(|| bad("shorter than its index; run `cargo xtask data`"))?;
        Image::new(SIDE, SIDE, slice.to_vec())
    }
}

fn decode(png: &[u8]) -> Result<Vec<u8>, png::DecodingError> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or_default()];
    reader.next_frame(&mut pixels)?;
    Ok(pixels)
}

/// Opens an emoji data set. `emoji` has the splits `train`, `val` and `test`; the shift sets are `test` alone.
/// Pictures are decoded when first asked for.
///
/// # Errors
/// If there is no set of that name, or it was left out when the program was built.
pub fn open(name: &str) -> Result<Splits> {
    let Some(info) = DATASETS.iter().find(|d| d.name == name) else {
        let names: Vec<&str> = DATASETS.iter().map(|d| d.name).collect();
        return Err(Error::Request(unknown("emoji data set", name, &names)));
    };
    let index = Index::read()?;
    let drawings = index.drawings(info.art)?;
    if info.role == Role::Shift {
        let test = index.set(name, "test", drawings);
        return Ok(Splits { train: None, val: None, test, utility: None });
    }
    let (test, rest): (Vec<_>, Vec<_>) =
        drawings.into_iter().partition(|d| index.held_out.test.contains(&d.id.0));
    let (val, train): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|d| index.held_out.val.contains(&d.id.0));
    Ok(Splits {
        train: Some(index.set(name, "train", train)),
        val: Some(index.set(name, "val", val)),
        test: index.set(name, "test", test),
        utility: None,
    })
}

/// The drawings of shift sets as training pairs, with captions of the kind that training sets have: what a defender
/// holds who trains an encoder of their own, or repairs a model, without the victim's drawings.
///
/// # Errors
/// If a name is unknown, or is a set that victims train on.
pub fn holdings(names: &[String]) -> Result<Arc<dyn Dataset>> {
    let mut art = Vec::new();
    for name in names {
        let Some(info) = DATASETS.iter().find(|d| d.name == *name) else {
            let known: Vec<&str> =
                DATASETS.iter().filter(|d| d.role == Role::Shift).map(|d| d.name).collect();
            return Err(Error::Request(unknown("data set for a defender", name, &known)));
        };
        if info.role != Role::Shift {
            return Err(Error::request(format!(
                "`{name}` is what the victim trains on; a defender who learns those drawings only remembers them, \
                 give a shift set such as emoji-fluent"
            )));
        }
        art.extend(info.art);
    }
    let index = Index::read()?;
    let drawings = index.drawings(&art)?;
    Ok(index.set(&names.join("+"), "train", drawings))
}

/// The classes of all emoji data sets with what their captions are made of, in the order of the class indices.
///
/// # Errors
/// If the embedded index is damaged.
pub fn described() -> Result<Vec<Described>> {
    Ok(Index::read()?.classes)
}

const TOKENIZER: &str = include_str!("../../../data/emoji/tokenizer.json");

/// The vocabulary trained on the captions of `emoji`, with rows of [`super::CONTEXT_LENGTH`].
///
/// # Errors
/// If the embedded file is damaged.
#[cfg(feature = "text")]
pub fn tokenizer() -> Result<crate::text::Tokenizer> {
    crate::text::Tokenizer::from_json(TOKENIZER, super::CONTEXT_LENGTH)
}

/// One drawing of a class.
struct Drawing {
    id: PairId,
    class: usize,
    pixels: Digest,
    strip: &'static Strip,
    cell: usize,
}

/// What the committed JSON files say.
struct Index {
    concepts: Vec<Concept>,
    classes: Vec<Described>,
    sheets: Sheets,
    held_out: HeldOut,
}

impl Index {
    fn read() -> Result<Self> {
        let concepts: Concepts =
            parse("concepts.json", include_str!("../../../data/emoji/concepts.json"))?;
        let mut sheets: Sheets =
            parse("sheets.json", include_str!("../../../data/emoji/sheets.json"))?;
        sheets.extend(parse::<Sheets>("share-alike sheets.json", SHARE_ALIKE_SHEETS)?);
        Ok(Self {
            classes: concepts.classes(),
            concepts: concepts.concepts,
            sheets,
            held_out: parse("splits.json", include_str!("../../../data/emoji/splits.json"))?,
        })
    }

    /// The drawings of all classes in the given art sets: set by set, in the order of the concepts.
    fn drawings(&self, art: &[&str]) -> Result<Vec<Drawing>> {
        let class_ids: BTreeMap<&str, usize> =
            self.classes.iter().enumerate().map(|(i, c)| (c.id.as_str(), i)).collect();
        let class_of: BTreeMap<&str, usize> = self
            .concepts
            .iter()
            .filter_map(|c| Some((c.id.as_str(), *class_ids.get(c.class.as_deref()?)?)))
            .collect();
        let mut out = Vec::new();
        for set in art {
            let strip = STRIPS.iter().chain(&SHARE_ALIKE_STRIPS).find(|s| s.set == *set);
            let (Some(strip), Some(cells)) = (strip, self.sheets.get(*set)) else {
                return Err(Error::request(format!(
                    "the art set `{set}` is not in this build; build with `--features emoji-share-alike`"
                )));
            };
            out.extend(cells.iter().enumerate().filter_map(|(cell, Cell { concept, sha256 })| {
                let class = *class_of.get(concept.as_str())?;
                let id = PairId(format!("{set}/{concept}"));
                Some(Drawing { id, class, pixels: *sha256, strip, cell })
            }));
        }
        Ok(out)
    }

    /// One split as a data set, with captions of its kind.
    fn set(&self, name: &str, split: &str, drawings: Vec<Drawing>) -> Arc<dyn Dataset> {
        let compose = if split == "train" { captions::training } else { captions::test };
        let composed: Vec<Vec<String>> = self.classes.iter().map(compose).collect();
        let example = |d: &Drawing| {
            let captions = composed[d.class].clone();
            let content = Digest::of(&(d.pixels, &captions));
            Example { id: d.id.clone(), class: Some(d.class), captions, content }
        };
        let class = |c: &Described| Class { name: c.name.clone(), subgroup: c.subgroup.clone() };
        let classes: Vec<Class> = self.classes.iter().map(class).collect();
        let examples: Vec<Example> = drawings.iter().map(example).collect();
        let digest = Digest::of(&(&classes, &examples));
        Arc::new(Emoji { name: format!("{name}/{split}"), classes, examples, drawings, digest })
    }
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| Error::input(name, format!("{e}; run `cargo xtask data`")))
}

/// One split of an emoji data set.
struct Emoji {
    name: String,
    classes: Vec<Class>,
    examples: Vec<Example>,
    drawings: Vec<Drawing>,
    digest: Digest,
}

impl Dataset for Emoji {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        let drawing = self.drawings.get(index).ok_or_else(|| {
            let rows = self.drawings.len();
            Error::request(format!("{} has {rows} rows, none at {index}", self.name))
        })?;
        drawing.strip.image(drawing.cell)
    }
    fn tokenizer(&self) -> Option<&str> {
        Some(TOKENIZER)
    }
}
