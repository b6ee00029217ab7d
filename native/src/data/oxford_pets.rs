//! Oxford-IIIT Pet: `oxford-iiit-pet/annotations/{test,trainval}.txt` and the pictures in `oxford-iiit-pet/images/`.
//!
//! A line is `Abyssinian_201 1 1 1`: the picture, its class from 1 on, species, breed. The classes' published names are the
//! pictures' without underscores and capitals, which is checked. Some pictures are GIFs in spite of their ending.

use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::data::{Class, Dataset, Splits};

use super::brought::Brought;
use super::photographs::{Photograph, Photographs};
use super::published::{Published, caption, class};
use crate::failure::{Failure, Result};

pub(super) const OXFORD_PETS: Brought = Brought {
    name: "oxford-pets",
    summary: "Oxford-IIIT Pet, 3,680 and 3,669 photographs of 37 breeds of cats and dogs",
    places: &["oxford-iiit-pet"],
    layout: "annotations/test.txt, annotations/trainval.txt, images/*.jpg",
    origin: "www.robots.ox.ac.uk/~vgg/data/pets (images.tar.gz, annotations.tar.gz)",
    licence: "CC BY-SA 4.0; the pictures are their owners'",
    reference: "Parkhi et al. 2012, Cats and Dogs",
    tasks: (true, false),
    read: open,
    prompts: |all| all.pets.templates,
};

fn open(set: &Brought, root: &Path) -> Result<Splits> {
    let folder = set.place(root)?;
    let names = Published::read()?.pets.names;
    let classes: Vec<Class> = names.iter().map(|name| class(name)).collect();
    let split = |name: &str, list: &str| -> Result<Arc<dyn Dataset>> {
        let list = folder.join("annotations").join(list);
        let text = std::fs::read_to_string(&list)
            .map_err(|e| set.missing(&list, &format!("cannot be read ({e})")))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let row = |(i, line): (usize, &str)| {
            row(line, &folder, &classes)
                .map_err(|why| Failure::request(format!("{}:{}: {why}", list.display(), i + 1)))
        };
        let rows = lines.map(row).collect::<Result<_>>()?;
        let name = format!("{}/{name}", set.name);
        Ok(Arc::new(Photographs::new(&name, classes.clone(), rows)?))
    };
    let (train, test) = (split("train", "trainval.txt")?, split("test", "test.txt")?);
    Ok(Splits { train: Some(train), val: None, test, utility: None })
}

fn row(line: &str, folder: &Path, classes: &[Class]) -> Result<Photograph, String> {
    let mut words = line.split_whitespace();
    let (stem, label) =
        words.next().zip(words.next()).ok_or("expected PICTURE CLASS SPECIES BREED")?;
    let index = label.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let index = index
        .filter(|i| *i < classes.len())
        .ok_or_else(|| format!("`{label}` is no class from 1 to {}", classes.len()))?;
    let breed = stem.rsplit_once('_').map_or(stem, |(breed, _)| breed).replace('_', " ");
    let class = &classes[index];
    if breed.to_lowercase() != class.name.to_lowercase() {
        return Err(format!(
            "{stem} has the label {label}, which is `{}`; unpack the annotations anew",
            class.name
        ));
    }
    let file = folder.join("images").join(format!("{stem}.jpg"));
    Ok(Photograph { id: format!("{stem}.jpg"), file, class: Some(index), captions: caption(class) })
}
