//! COCO as its own annotations have it: `captions_train2017.json` and its like, with classes from `instances_…` where they lie
//! beside it.
//!
//! A picture's class is the category of its objects where all are of one, crowds among them; others have none. Both splits
//! have captions. Not to be confused with `coco`, whose classes and test pictures Yang et al. chose, and `coco-karpathy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toxiclip_shared::data::{Class, Dataset, PROMPT, Splits};

use super::brought::Brought;
use super::photographs::{Photograph, Photographs};
use super::published::class;
use crate::failure::{Failure, Result};

pub(super) const COCO_2014: Brought = Brought {
    name: "coco-2014",
    summary: "COCO 2014 by its own annotations, 82,783 and 40,504 pictures with five captions and more; classes where all objects are of one",
    layout: "annotations/captions_{train,val}2014.json, train2014/*.jpg, val2014/*.jpg; instances_{train,val}2014.json for classes",
    origin: "cocodataset.org (annotations_trainval2014.zip, train2014.zip, val2014.zip)",
    read: |set, root| open(set, root, "2014"),
    ..COCO_2017
};

pub(super) const COCO_2017: Brought = Brought {
    name: "coco-2017",
    summary: "COCO 2017 by its own annotations, 118,287 and 5,000 pictures with five captions and more; classes where all objects are of one",
    places: &["coco"],
    layout: "annotations/captions_{train,val}2017.json, train2017/*.jpg, val2017/*.jpg; instances_{train,val}2017.json for classes",
    origin: "cocodataset.org (annotations_trainval2017.zip, train2017.zip, val2017.zip)",
    licence: "annotations CC BY 4.0; the pictures are their owners'",
    reference: "Lin et al. 2014, arXiv:1405.0312; Chen et al. 2015, arXiv:1504.00325",
    tasks: (false, true),
    read: |set, root| open(set, root, "2017"),
    prompts: |_| vec![PROMPT.to_owned()],
};

#[derive(Deserialize)]
struct Captions {
    images: Vec<Picture>,
    annotations: Vec<Caption>,
}

#[derive(Deserialize)]
struct Picture {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Caption {
    image_id: u64,
    id: u64,
    caption: String,
}

#[derive(Deserialize)]
struct Instances {
    annotations: Vec<Object>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Object {
    image_id: u64,
    category_id: u64,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

fn open(set: &Brought, root: &Path, year: &str) -> Result<Splits> {
    let folder = set.place(root)?;
    let split = |name: &str| -> Result<Arc<dyn Dataset>> {
        let list = |kind: &str| folder.join(format!("annotations/{kind}_{name}{year}.json"));
        let (classes, of) = match list("instances") {
            path if path.exists() => {
                labels(read(set, &path)?).map_err(|why| set.missing(&path, &why))?
            }
            _ => Default::default(),
        };
        let path = list("captions");
        let rows = rows(read(set, &path)?, &of, &folder, &format!("{name}{year}"));
        let rows = rows.map_err(|why| set.missing(&path, &why))?;
        Ok(Arc::new(Photographs::new(&format!("{}/{name}", set.name), classes, rows)?))
    };
    let (train, test) = (split("train")?, split("val")?);
    if train.classes() != test.classes() {
        let why = format!("{}: the two lists of instances have other categories", folder.display());
        return Err(Failure::request(why));
    }
    Ok(Splits { train: Some(train), val: None, test, utility: None })
}

fn read<T: DeserializeOwned>(set: &Brought, path: &Path) -> Result<T> {
    let file = File::open(path);
    let file = file.map_err(|e| set.missing(path, &format!("cannot be read ({e})")))?;
    serde_json::from_reader(BufReader::new(file))
        .map_err(|e| set.missing(path, &format!("is no list of COCO's ({e})")))
}

/// The classes in order of their numbers, and which one a picture has.
fn labels(found: Instances) -> Result<(Vec<Class>, BTreeMap<u64, usize>), String> {
    let names: BTreeMap<u64, String> =
        found.categories.into_iter().map(|category| (category.id, category.name)).collect();
    let index: BTreeMap<u64, usize> = names.keys().copied().zip(0..).collect();
    let mut all: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    for object in found.annotations {
        let Some(&class) = index.get(&object.category_id) else {
            return Err(format!(
                "has an object of category {}, which it does not name",
                object.category_id
            ));
        };
        all.entry(object.image_id).or_default().insert(class);
    }
    // A picture has the class that it has alone.
    let one = |(image, classes): (u64, BTreeSet<usize>)| {
        classes.first().copied().filter(|_| classes.len() == 1).map(|class| (image, class))
    };
    let of = all.into_iter().filter_map(one).collect();
    Ok((names.values().map(|name| class(name)).collect(), of))
}

/// Pictures in order of their numbers, captions in that of theirs.
fn rows(
    found: Captions,
    of: &BTreeMap<u64, usize>,
    folder: &Path,
    pictures: &str,
) -> Result<Vec<Photograph>, String> {
    let mut captions: BTreeMap<u64, BTreeMap<u64, String>> = BTreeMap::new();
    for Caption { image_id, id, caption } in found.annotations {
        let caption = caption.trim().to_owned();
        if caption.is_empty() || captions.entry(image_id).or_default().insert(id, caption).is_some()
        {
            return Err(format!("has a caption {id} that is empty or comes twice"));
        }
    }
    let mut rows = BTreeMap::new();
    for Picture { id: number, file_name } in found.images {
        if file_name.contains(['/', '\\']) {
            return Err(format!(
                "names a picture `{}` outside of {pictures}",
                file_name.escape_debug()
            ));
        }
        if rows.contains_key(&number) {
            return Err(format!("has two pictures of number {number}"));
        }
        let Some(captions) = captions.remove(&number) else {
            return Err(format!("has no caption for {file_name}"));
        };
        let captions = captions.into_values().collect();
        let id = format!("{pictures}/{file_name}");
        let row =
            Photograph { file: folder.join(&id), id, class: of.get(&number).copied(), captions };
        rows.insert(number, row);
    }
    if let Some(number) = captions.keys().next() {
        return Err(format!("has captions of picture {number}, which it does not list"));
    }
    Ok(rows.into_values().collect())
}
