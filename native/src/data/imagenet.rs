//! ImageNet's validation pictures and four test sets that share its classes.
//!
//! | set | below the root | classes |
//! |---|---|---|
//! | `imagenet` | `imagenet/val/WNID/*.JPEG`, or `imagenet/val/*.JPEG` with labels beside `val` | 1,000 |
//! | `imagenet-v2` | `imagenetv2-matched-frequency-format-val/0…999/*.jpeg` | 1,000 |
//! | `imagenet-a` | `imagenet-a/WNID/*.jpg` | its 200 |
//! | `imagenet-r` | `imagenet-r/WNID/*.jpg` | its 200 |
//! | `imagenet-sketch` | `imagenet-sketch/sketch/WNID/*.JPEG` | 1,000 |
//!
//! Labels of the flat form: `ILSVRC2012_devkit_t12/data/` of the development kit, whose numbers are not the usual order of
//! the classes and are translated by its `meta.mat`; or Kaggle's `LOC_val_solution.csv`. All forms give the same rows, sorted
//! by class, then by file name. Class names are those that OpenAI curated. Folders of V2 are numbers: 10 comes after 9.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toxiclip_shared::data::{Class, Splits};

use super::brought::Brought;
use super::devkit;
use super::folder::{entries, pictures};
use super::photographs::{Photograph, Photographs};
use super::published::{ImageNet, Published, caption, class};
use crate::failure::{Failure, Result};

const TERMS: &str = "for research and education without profit; the pictures are their owners'";

pub(super) const IMAGENET: Brought = Brought {
    name: "imagenet",
    summary: "ImageNet-1k validation, 50,000 photographs of 1,000 classes; evaluation only",
    places: &["imagenet/val", "imagenet/ILSVRC/Data/CLS-LOC/val"],
    layout: "WNID/*.JPEG, or *.JPEG with ILSVRC2012_devkit_t12 or LOC_val_solution.csv in imagenet/",
    origin: "image-net.org or Kaggle's imagenet-object-localization-challenge, after registration",
    licence: TERMS,
    reference: "Russakovsky et al. 2015, arXiv:1409.0575",
    tasks: (true, false),
    read: |set, root| open(set, root, everything, true),
    prompts,
};

pub(super) const V2: Brought = Brought {
    name: "imagenet-v2",
    summary: "ImageNet-V2 matched frequency, 10,000 photographs chosen anew; evaluation only",
    places: &["imagenetv2-matched-frequency-format-val"],
    layout: "0…999/*.jpeg",
    origin: "huggingface.co/datasets/vaishaal/ImageNetV2 (imagenetv2-matched-frequency.tar.gz)",
    licence: "MIT; the pictures are their owners'",
    reference: "Recht et al. 2019, arXiv:1902.10811",
    tasks: (true, false),
    read: |set, root| open(set, root, everything, false),
    prompts,
};

pub(super) const A: Brought = Brought {
    name: "imagenet-a",
    summary: "ImageNet-A, 7,500 photographs that a ResNet-50 gets wrong, 200 classes; evaluation only",
    places: &["imagenet-a"],
    layout: "WNID/*.jpg",
    origin: "people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",
    licence: "MIT; the pictures are their owners'",
    reference: "Hendrycks et al. 2021, arXiv:1907.07174",
    tasks: (true, false),
    read: |set, root| open(set, root, |all| all.a.clone(), false),
    prompts,
};

pub(super) const R: Brought = Brought {
    name: "imagenet-r",
    summary: "ImageNet-R, 30,000 paintings, toys, sketches and the like, 200 classes; evaluation only",
    places: &["imagenet-r"],
    layout: "WNID/*.jpg",
    origin: "people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",
    licence: "MIT; the pictures are their owners'",
    reference: "Hendrycks et al. 2021, arXiv:2006.16241",
    tasks: (true, false),
    read: |set, root| open(set, root, |all| all.r.clone(), false),
    prompts,
};

pub(super) const SKETCH: Brought = Brought {
    name: "imagenet-sketch",
    summary: "ImageNet-Sketch, 50,889 sketches of 1,000 classes; evaluation only",
    places: &["imagenet-sketch/sketch", "imagenet-sketch", "sketch"],
    layout: "WNID/*.JPEG",
    origin: "huggingface.co/datasets/songweig/imagenet_sketch (ImageNet-Sketch.zip)",
    licence: "MIT; the pictures are their owners'",
    reference: "Wang et al. 2019, arXiv:1905.13549",
    tasks: (true, false),
    read: |set, root| open(set, root, everything, false),
    prompts,
};

fn everything(all: &ImageNet) -> Vec<usize> {
    (0..all.wnids.len()).collect()
}

fn prompts(all: Published) -> Vec<String> {
    all.imagenet.templates
}

/// The classes of ImageNet-1k, for pairs without labels whose attacks are measured on it.
pub(super) fn classes() -> Result<Vec<Class>> {
    Ok(Published::read()?.imagenet.names.iter().map(|name| class(name)).collect())
}

/// What folders are called, and the class each of them is.
type Places = BTreeMap<String, usize>;

fn open(
    set: &Brought,
    root: &Path,
    part: fn(&ImageNet) -> Vec<usize>,
    may_be_flat: bool,
) -> Result<Splits> {
    let folder = set.place(root)?;
    let all = Published::read()?.imagenet;
    let part = part(&all);
    let classes: Vec<Class> = part.iter().map(|&i| class(&all.names[i])).collect();
    let numbered = set.name == V2.name;
    let called = |i: usize| if numbered { i.to_string() } else { all.wnids[i].clone() };
    let names: Vec<String> = part.iter().map(|&i| called(i)).collect();
    let places: Places = names.iter().cloned().zip(0..).collect();
    let flat = may_be_flat && !entries(&folder)?.iter().any(|entry| entry.is_dir());
    let mut found = match flat {
        true => labelled(set, &folder, &root.join("imagenet"), &places)?,
        false => in_folders(set, &folder, &places)?,
    };
    found.sort_by_cached_key(|(file, class)| (*class, file.file_name().map(ToOwned::to_owned)));
    check_complete(set, &folder, &found, &names)?;
    let row = |(file, index): (PathBuf, usize)| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let captions = caption(&classes[index]);
        Photograph { id: format!("{}/{name}", names[index]), file, class: Some(index), captions }
    };
    let rows = found.into_iter().map(row).collect();
    let test = Photographs::new(&format!("{}/test", set.name), classes, rows)?;
    Ok(Splits { train: None, val: None, test: Arc::new(test), utility: None })
}

/// One folder per class.
fn in_folders(set: &Brought, folder: &Path, places: &Places) -> Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    for entry in entries(folder)?.into_iter().filter(|entry| entry.is_dir()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let class = places.get(&name).ok_or_else(|| {
            set.missing(&entry, &format!("is none of its {} classes", places.len()))
        })?;
        let mut files = Vec::new();
        pictures(&entry, &mut files)?;
        found.extend(files.into_iter().map(|file| (file, *class)));
    }
    Ok(found)
}

/// All pictures in one folder, their classes in a file.
fn labelled(
    set: &Brought,
    folder: &Path,
    beside: &Path,
    places: &Places,
) -> Result<Vec<(PathBuf, usize)>> {
    let kit = beside.join("ILSVRC2012_devkit_t12/data");
    let kaggle = beside.join("LOC_val_solution.csv");
    let labels = if kaggle.exists() {
        devkit::kaggle(&kaggle)?
    } else if kit.exists() {
        devkit::ground_truth(&kit)?
    } else {
        return Err(set.missing(folder, "has neither folders of classes nor labels beside it"));
    };
    let class = |(stem, wnid): (&String, &String)| {
        let class = places.get(wnid).ok_or_else(|| {
            Failure::request(format!(
                "{}: {stem} has the label {wnid}, which is no class of imagenet",
                beside.display()
            ))
        })?;
        let file = folder.join(format!("{stem}.JPEG"));
        if !file.exists() {
            return Err(set.missing(&file, "has a label but is missing"));
        }
        Ok((file, *class))
    };
    labels.iter().map(class).collect()
}

/// A class without pictures is an archive that was not unpacked to its end.
fn check_complete(
    set: &Brought,
    folder: &Path,
    found: &[(PathBuf, usize)],
    names: &[String],
) -> Result<()> {
    let mut counts = vec![0_usize; names.len()];
    found.iter().for_each(|(_, class)| counts[*class] += 1);
    let empty = counts.iter().filter(|n| **n == 0).count();
    match counts.iter().position(|n| *n == 0) {
        None => Ok(()),
        Some(first) => {
            let all = names.len();
            let why = format!("has no picture of {empty} of {all} classes, {} first", names[first]);
            Err(set.missing(folder, &why))
        }
    }
}
