//! COCO and Flickr30k for retrieval, in the split of Karpathy & Fei-Fei 2015: `dataset_coco.json`, `dataset_flickr30k.json`.
//!
//! | set | below the root | test |
//! |---|---|---|
//! | `coco-karpathy` | `coco/dataset_coco.json`, `coco/val2014/*.jpg` | 5,000 pictures |
//! | `flickr30k` | `flickr30k/dataset_flickr30k.json`, `flickr30k/flickr30k-images/*.jpg` | 1,000 pictures |
//!
//! Only the test split is read, with all captions of a picture as they were written. Not to be confused with `coco`, whose
//! 3,900 test pictures Yang et al. chose.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toxiclip_shared::data::Splits;

use super::brought::Brought;
use super::photographs::{Photograph, Photographs, stays_below};
use crate::failure::{Failure, Result};

pub(super) const COCO: Brought = Brought {
    name: "coco-karpathy",
    summary: "COCO in Karpathy's split, 5,000 pictures with five captions and more; retrieval only",
    places: &["coco"],
    layout: "dataset_coco.json, val2014/*.jpg",
    origin: "cocodataset.org (val2014.zip) and cs.stanford.edu/people/karpathy/deepimagesent (caption_datasets.zip)",
    licence: "captions CC BY 4.0; the pictures are their owners'",
    reference: "Karpathy & Fei-Fei 2015, arXiv:1412.2306; Lin et al. 2014, arXiv:1405.0312",
    tasks: (false, true),
    read: |set, root| open(set, root, "dataset_coco.json", "val2014"),
    prompts: |_| vec!["a photo of a {}.".to_owned()],
};

pub(super) const FLICKR30K: Brought = Brought {
    name: "flickr30k",
    summary: "Flickr30k in Karpathy's split, 1,000 pictures with five captions; retrieval only",
    places: &["flickr30k"],
    layout: "dataset_flickr30k.json, flickr30k-images/*.jpg",
    origin: "shannon.cs.illinois.edu/DenotationGraph and cs.stanford.edu/people/karpathy/deepimagesent (caption_datasets.zip)",
    licence: "for research and education without profit; the pictures are their owners'",
    reference: "Karpathy & Fei-Fei 2015, arXiv:1412.2306; Young et al. 2014",
    tasks: (false, true),
    read: |set, root| open(set, root, "dataset_flickr30k.json", "flickr30k-images"),
    prompts: |_| vec!["a photo of a {}.".to_owned()],
};

#[derive(Deserialize)]
struct List {
    images: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    /// COCO's folder; Flickr30k has one.
    filepath: Option<String>,
    filename: String,
    split: String,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

fn open(set: &Brought, root: &Path, list: &str, pictures: &str) -> Result<Splits> {
    let folder = set.place(root)?;
    let path = folder.join(list);
    let bytes =
        std::fs::read(&path).map_err(|e| set.missing(&path, &format!("cannot be read ({e})")))?;
    let list: List = serde_json::from_slice(&bytes)
        .map_err(|e| set.missing(&path, &format!("is no list of Karpathy's ({e})")))?;
    let row = |record: Record| {
        let id = format!("{}/{}", record.filepath.as_deref().unwrap_or(pictures), record.filename);
        if !stays_below(&id) {
            let (list, id) = (path.display(), id.escape_debug());
            let why = format!("{list}: `{id}` leaves the set's folder; get the list anew");
            return Err(Failure::request(why));
        }
        let captions = record.sentences.into_iter().map(|s| s.raw.trim().to_owned());
        let captions: Vec<String> = captions.filter(|caption| !caption.is_empty()).collect();
        if captions.is_empty() {
            let why = format!("{}: {id} has no caption; get the list anew", path.display());
            return Err(Failure::request(why));
        }
        Ok(Photograph { file: folder.join(&id), id, class: None, captions })
    };
    let test = list.images.into_iter().filter(|record| record.split == "test");
    let rows = test.map(row).collect::<Result<_>>()?;
    let test = Photographs::new(&format!("{}/test", set.name), vec![], rows)?;
    Ok(Splits { train: None, val: None, test: Arc::new(test), utility: None })
}
