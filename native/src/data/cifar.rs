//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009), 32 by 32 pixels, in the two forms that its author's page offers.
//!
//! | form | below the root |
//! |---|---|
//! | Python | `cifar-10-batches-py/{data_batch_1…5,test_batch,batches.meta}`, `cifar-100-python/{train,test,meta}` |
//! | binary | `cifar-10-batches-bin/{data_batch_1…5,test_batch}.bin`, `cifar-100-binary/{train,test}.bin`, class names in text files |
//!
//! The Python form is pickled and read by [`crate::pickle`], which runs nothing. Both forms give the same rows, named by their
//! place: `test/00042`. Labels of CIFAR-100 are the fine ones. An underscore in a class name becomes a space.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use toxiclip_shared::Result as Shared;
use toxiclip_shared::data::{Class, Dataset, Example, PairId, Splits};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;

use super::brought::Brought;
use super::photographs::digest_of;
use super::published::{Published, caption, class};
use crate::failure::{Failure, Result};
use crate::pickle;

/// Edge of a picture in pixels.
const EDGE: usize = 32;
/// Bytes of a picture: a plane of red, one of green, one of blue.
const BYTES: usize = 3 * EDGE * EDGE;

const TERMS: &str = "no licence is given; cite the report";

pub(super) const CIFAR_10: Brought = Brought {
    name: "cifar-10",
    summary: "CIFAR-10, 50,000 and 10,000 photographs of 10 classes, 32 px",
    places: &["cifar-10-batches-py", "cifar-10-batches-bin"],
    layout: "test_batch, data_batch_1…5, batches.meta (or *.bin, batches.meta.txt)",
    origin: "www.cs.toronto.edu/~kriz/cifar.html",
    licence: TERMS,
    reference: "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    tasks: (true, false),
    read: |set, root| open(set, root, &TEN),
    prompts,
};

pub(super) const CIFAR_100: Brought = Brought {
    name: "cifar-100",
    summary: "CIFAR-100, 50,000 and 10,000 photographs of 100 classes, 32 px",
    places: &["cifar-100-python", "cifar-100-binary"],
    layout: "test, train, meta (or *.bin, fine_label_names.txt)",
    origin: "www.cs.toronto.edu/~kriz/cifar.html",
    licence: TERMS,
    reference: "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    tasks: (true, false),
    read: |set, root| open(set, root, &HUNDRED),
    prompts,
};

fn prompts(all: Published) -> Vec<String> {
    all.cifar.templates
}

/// What tells the two apart.
struct Kind {
    train: &'static [&'static str],
    test: &'static str,
    /// The pickle with class names, and the key there.
    meta: (&'static str, &'static str),
    /// The text file with class names.
    names: &'static str,
    classes: usize,
    /// Key of the labels in a pickle.
    labels: &'static str,
    /// Bytes of labels before each picture of the binary form; the last counts.
    label_bytes: usize,
}

const TEN: Kind = Kind {
    train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
    test: "test_batch",
    meta: ("batches.meta", "label_names"),
    names: "batches.meta.txt",
    classes: 10,
    labels: "labels",
    label_bytes: 1,
};

const HUNDRED: Kind = Kind {
    train: &["train"],
    test: "test",
    meta: ("meta", "fine_label_names"),
    names: "fine_label_names.txt",
    classes: 100,
    labels: "fine_labels",
    label_bytes: 2,
};

/// Labels and pictures of a file.
type Rows = (Vec<usize>, Vec<u8>);

fn open(set: &Brought, root: &Path, kind: &Kind) -> Result<Splits> {
    let folder = set.place(root)?;
    let binary = folder.ends_with(set.places[1]);
    let names =
        if binary { text_names(set, &folder, kind)? } else { pickled_names(set, &folder, kind)? };
    if names.len() != kind.classes {
        return Err(set.missing(&folder, &format!("names {} classes", names.len())));
    }
    let classes: Vec<Class> = names.iter().map(|name| class(&name.replace('_', " "))).collect();
    let file = |name: &&str| match binary {
        true => unpacked(set, &folder.join(format!("{name}.bin")), kind),
        false => pickled(set, &folder.join(name), kind),
    };
    let split = |name: &str, files: &[&str]| -> Result<Arc<dyn Dataset>> {
        let (mut labels, mut pixels) = Rows::default();
        for (more, planes) in files.iter().map(file).collect::<Result<Vec<_>>>()? {
            labels.extend(more);
            pixels.extend(planes);
        }
        Ok(Arc::new(Planes::new(set.name, name, classes.clone(), &labels, pixels)))
    };
    let train = split("train", kind.train)?;
    Ok(Splits { train: Some(train), val: None, test: split("test", &[kind.test])?, utility: None })
}

/// Reads a file whole: the largest has 150 MB.
fn bytes(set: &Brought, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| set.missing(path, &format!("cannot be read ({e})")))
}

fn pickled_names(set: &Brought, folder: &Path, kind: &Kind) -> Result<Vec<String>> {
    let (file, key) = kind.meta;
    let path = folder.join(file);
    let bytes = bytes(set, &path)?;
    let read = pickle::read::<pickle::Cifar>(&bytes);
    let names = read.and_then(|all| all.item(key)?.list(key, pickle::Value::text));
    names.map_err(|why| damaged(&path, &why))
}

fn text_names(set: &Brought, folder: &Path, kind: &Kind) -> Result<Vec<String>> {
    let path = folder.join(kind.names);
    let text = String::from_utf8(bytes(set, &path)?).map_err(|e| damaged(&path, &e.to_string()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn pickled(set: &Brought, path: &Path, kind: &Kind) -> Result<Rows> {
    let bytes = bytes(set, path)?;
    let rows = || -> Result<Rows, String> {
        let all = pickle::read::<pickle::Cifar>(&bytes)?;
        let labels = all.item(kind.labels)?.list(kind.labels, pickle::Value::index)?;
        match all.item("data")? {
            pickle::Value::Array { shape, data } if *shape == [labels.len(), BYTES] => {
                Ok((labels, data.to_vec()))
            }
            _ => Err(format!("has no {} pictures of {BYTES} bytes in `data`", labels.len())),
        }
    };
    rows().and_then(|rows| checked(rows, kind)).map_err(|why| damaged(path, &why))
}

fn unpacked(set: &Brought, path: &Path, kind: &Kind) -> Result<Rows> {
    let bytes = bytes(set, path)?;
    let row = kind.label_bytes + BYTES;
    if bytes.len() % row != 0 {
        return Err(damaged(path, &format!("its {} bytes are no rows of {row}", bytes.len())));
    }
    let rows = bytes.chunks_exact(row).map(|row| row.split_at(kind.label_bytes));
    let labels = rows.clone().map(|(labels, _)| usize::from(labels[kind.label_bytes - 1]));
    let rows = (labels.collect(), rows.flat_map(|(_, planes)| planes).copied().collect());
    checked(rows, kind).map_err(|why| damaged(path, &why))
}

fn checked((labels, pixels): Rows, kind: &Kind) -> Result<Rows, String> {
    match labels.iter().position(|label| *label >= kind.classes) {
        Some(row) => Err(format!("row {row} has the label {} of {}", labels[row], kind.classes)),
        None if labels.is_empty() => Err("it has no rows".into()),
        None => Ok((labels, pixels)),
    }
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::request(format!("{}: {why}; unpack the archive anew", path.display()))
}

/// Pictures in memory, plane by plane.
struct Planes {
    name: String,
    classes: Vec<Class>,
    examples: Vec<Example>,
    pixels: Vec<u8>,
    digest: Digest,
}

impl Planes {
    fn new(set: &str, split: &str, classes: Vec<Class>, labels: &[usize], pixels: Vec<u8>) -> Self {
        let example = |(row, planes): (usize, &[u8])| {
            let label = labels[row];
            let captions = caption(&classes[label]);
            let content = Digest::of(&(Digest::of_bytes(planes), &captions));
            let id = PairId(format!("{split}/{row:05}"));
            Example { id, class: Some(label), captions, content }
        };
        let examples: Vec<Example> =
            pixels.par_chunks_exact(BYTES).enumerate().map(example).collect();
        let digest = digest_of(&classes, &examples);
        Self { name: format!("{set}/{split}"), classes, examples, pixels, digest }
    }
}

impl Dataset for Planes {
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
    fn image(&self, index: usize) -> Shared<Image> {
        let planes = &self.pixels[index * BYTES..(index + 1) * BYTES];
        let plane = EDGE * EDGE;
        let pixel = |i: usize| [planes[i], planes[plane + i], planes[2 * plane + i], 255];
        Image::new(EDGE, EDGE, (0..plane).flat_map(pixel).collect())
    }
}
