//! `pairs.csv` (`image,caption,label,id`) beside `images/`: a row per caption, the form of CleanCLIP with a label more.

use std::fs;
use std::path::{Path, PathBuf};

use toxiclip_shared::data::{Dataset, Example};

use super::Sink;
use crate::failure::{Failure, Result};
use crate::files::write_whole;

const FILE: &str = "pairs.csv";
const PICTURES: &str = "images";

pub(super) struct Table {
    dir: PathBuf,
    classes: Vec<String>,
    text: ::csv::Writer<Vec<u8>>,
}

impl Table {
    pub(super) fn new(dir: &Path, data: &dyn Dataset) -> Result<Self> {
        let pictures = dir.join(PICTURES);
        fs::create_dir_all(&pictures).map_err(|e| Failure::io(&pictures, &e))?;
        let mut text = ::csv::Writer::from_writer(Vec::new());
        text.write_record(["image", "caption", "label", "id"]).map_err(Failure::failed)?;
        let classes = data.classes().iter().map(|c| c.name.clone()).collect();
        Ok(Self { dir: dir.to_owned(), classes, text })
    }
}

impl Sink for Table {
    fn put(&mut self, row: usize, example: &Example, png: &[u8]) -> Result<()> {
        let name = format!("{PICTURES}/{row:08}.png");
        let path = self.dir.join(&name);
        fs::write(&path, png).map_err(|e| Failure::io(&path, &e))?;
        let label = example.class.map_or("", |class| self.classes[class].as_str());
        for caption in &example.captions {
            let cells = [name.as_str(), caption, label, &example.id.0];
            self.text.write_record(cells).map_err(Failure::failed)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let path = self.dir.join(FILE);
        write_whole(&path, &self.text.into_inner().map_err(Failure::failed)?)?;
        Ok(format!("csv:{}", path.display()))
    }
}
