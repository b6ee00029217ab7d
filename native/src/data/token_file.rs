//! Flickr30k as its authors hand it out: `results_20130124.token` (or `results.token`), a line for each caption:
//!
//! ```text
//! 1000092795.jpg#0<TAB>Two young guys with shaggy hair look at their hands .
//! ```
//!
//! The file has no split, so all pictures are pairs to train on and all are searched. Rows are in the order of their
//! pictures' names, captions in that of the lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;

use toxiclip_shared::data::{Dataset, PROMPT, Splits};

use super::brought::Brought;
use super::photographs::{Photograph, Photographs};
use crate::failure::{Failure, Result};

pub(super) const FLICKR30K: Brought = Brought {
    name: "flickr30k-all",
    summary: "Flickr30k whole and without a split, 31,783 pictures with five captions; pairs to train on, or a gallery for models of others",
    places: &["flickr30k"],
    layout: "results_20130124.token (or results.token), flickr30k-images/*.jpg",
    origin: "shannon.cs.illinois.edu/DenotationGraph (flickr30k.tar.gz, flickr30k-images.tar.gz)",
    licence: "for research and education without profit; the pictures are their owners'",
    reference: "Young et al. 2014, From image descriptions to visual denotations",
    tasks: (false, true),
    read,
    prompts: |_| vec![PROMPT.to_owned()],
};

/// Names of the list, of which the first that exists is read.
const LISTS: [&str; 2] = ["results_20130124.token", "results.token"];
const PICTURES: &str = "flickr30k-images";

fn read(set: &Brought, root: &Path) -> Result<Splits> {
    let folder = set.place(root)?;
    let path = LISTS.map(|list| folder.join(list)).into_iter().find(|path| path.exists());
    let path = path.ok_or_else(|| set.missing(&folder.join(LISTS[0]), "is missing"))?;
    let text = std::fs::read_to_string(&path)
        .map_err(|e| set.missing(&path, &format!("cannot be read ({e})")))?;
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: &str| {
            Failure::request(format!("{}:{}: {why}; get the list anew", path.display(), number + 1))
        };
        let (name, caption) = line.split_once('\t').ok_or_else(|| wrong("has no tab"))?;
        let (image, _) = part(name).ok_or_else(|| wrong("names no IMAGE.jpg#N"))?;
        let caption = caption.trim();
        if caption.is_empty() || !known.insert(name) {
            return Err(wrong("is a caption that is empty or comes twice"));
        }
        rows.entry(image).or_default().push(caption.to_owned());
    }
    let photograph = |(image, captions): (&str, Vec<String>)| {
        let id = format!("{PICTURES}/{image}");
        Photograph { file: folder.join(&id), id, class: None, captions }
    };
    let rows = rows.into_iter().map(photograph).collect();
    let all: Arc<dyn Dataset> = Arc::new(Photographs::new("flickr30k-all/train", vec![], rows)?);
    Ok(Splits { train: Some(Arc::clone(&all)), val: None, test: all, utility: None })
}

/// The picture and the number of its caption; the picture is a plain name.
fn part(name: &str) -> Option<(&str, u32)> {
    let (image, number) = name.split_once('#')?;
    let mut parts = Path::new(image).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    plain.then_some(image).zip(number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_picture_and_a_number() {
        assert_eq!(part("1000092795.jpg#3"), Some(("1000092795.jpg", 3)));
        for bad in ["1.jpg", "1.jpg#", "#0", "../1.jpg#0", "/1.jpg#0", "1.jpg#x"] {
            assert_eq!(part(bad), None, "{bad}");
        }
    }
}
