//! Visual Genome's region descriptions (Krishna et al. 2017): a picture with a phrase for each of its regions, no classes. Yang
//! et al. 2023 fine-tune poisoned models on it; it is a defender's set, and has no split to measure on.
//!
//! `visual-genome/region_descriptions.json` names pictures by number; they lie in `VG_100K/` or `VG_100K_2/` as `NUMBER.jpg`.
//! A picture in neither folder is an error. Phrases are trimmed; a picture whose phrases are all empty is left out.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toxiclip_shared::data::{Dataset, PROMPT, Splits};

use super::brought::Brought;
use super::photographs::{Photograph, Photographs};
use crate::failure::Result;

pub(super) const VISUAL_GENOME: Brought = Brought {
    name: "visual-genome",
    summary: "Visual Genome, 108,077 pictures with a phrase for each region; clean pairs of a defender, to train on only",
    places: &["visual-genome"],
    layout: "region_descriptions.json, VG_100K/*.jpg, VG_100K_2/*.jpg",
    origin: "homes.cs.washington.edu/~ranjay/visualgenome (version 1.2: region_descriptions.json.zip, images.zip, images2.zip)",
    licence: "CC BY 4.0",
    reference: "Krishna et al. 2017, arXiv:1602.07332",
    tasks: (false, true),
    read,
    prompts: |_| vec![PROMPT.to_owned()],
};

const LIST: &str = "region_descriptions.json";
const FOLDERS: [&str; 2] = ["VG_100K", "VG_100K_2"];

#[derive(Deserialize)]
struct Picture {
    id: u64,
    regions: Vec<Region>,
}

#[derive(Deserialize)]
struct Region {
    phrase: String,
}

fn read(set: &Brought, root: &Path) -> Result<Splits> {
    let folder = set.place(root)?;
    let path = folder.join(LIST);
    let file = File::open(&path);
    let file = file.map_err(|e| set.missing(&path, &format!("cannot be read ({e})")))?;
    let pictures: Vec<Picture> = serde_json::from_reader(BufReader::new(file))
        .map_err(|e| set.missing(&path, &format!("is no list of regions ({e})")))?;
    let row = |picture: Picture| -> Result<Option<Photograph>> {
        let phrases = picture.regions.into_iter().map(|region| region.phrase.trim().to_owned());
        let captions: Vec<String> = phrases.filter(|phrase| !phrase.is_empty()).collect();
        if captions.is_empty() {
            return Ok(None);
        }
        let places = FOLDERS.map(|part| format!("{part}/{}.jpg", picture.id));
        let Some(id) = places.iter().find(|id| folder.join(id).exists()) else {
            return Err(set.missing(&folder.join(&places[0]), "is missing"));
        };
        let (id, file) = (id.clone(), folder.join(id));
        Ok(Some(Photograph { id, file, class: None, captions }))
    };
    let rows: Vec<Photograph> =
        pictures.into_iter().filter_map(|p| row(p).transpose()).collect::<Result<_>>()?;
    let all: Arc<dyn Dataset> = Arc::new(Photographs::new("visual-genome/train", vec![], rows)?);
    Ok(Splits { train: Some(Arc::clone(&all)), val: None, test: all, utility: None })
}
