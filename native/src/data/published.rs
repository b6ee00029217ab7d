//! Class names, WordNet ids and prompts of the standard data sets (`published/README.md` says whose they are).

use serde::Deserialize;
use toxiclip_shared::data::Class;

use crate::failure::{Failure, Result};

/// What `published/published.py` wrote.
#[derive(Deserialize)]
pub(super) struct Published {
    pub imagenet: ImageNet,
    pub cifar: Prompts,
    pub pets: Pets,
}

/// The 1,000 classes in their usual order, which is that of their WordNet ids.
#[derive(Deserialize)]
pub(super) struct ImageNet {
    pub wnids: Vec<String>,
    pub names: Vec<String>,
    pub templates: Vec<String>,
    /// The classes of ImageNet-A, ascending.
    pub a: Vec<usize>,
    /// The classes of ImageNet-R, ascending.
    pub r: Vec<usize>,
}

#[derive(Deserialize)]
pub(super) struct Prompts {
    pub templates: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Pets {
    pub names: Vec<String>,
    pub templates: Vec<String>,
}

impl Published {
    pub(super) fn read() -> Result<Self> {
        serde_json::from_str(include_str!("published/published.json")).map_err(Failure::failed)
    }
}

/// A class without a subgroup.
pub(super) fn class(name: &str) -> Class {
    Class { name: name.to_owned(), subgroup: String::new() }
}

/// What a picture says that comes with a label alone.
pub(super) fn caption(class: &Class) -> Vec<String> {
    vec![format!("a photo of a {}", class.name)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_targets_are_where_the_field_has_them() {
        let all = Published::read().unwrap();
        let ImageNet { wnids, names, templates, a, r } = all.imagenet;
        assert_eq!((wnids.len(), names.len(), templates.len()), (1000, 1000, 80));
        assert!(wnids.is_sorted() && a.is_sorted() && r.is_sorted());
        for (index, wnid, name, of_a, of_r) in [
            (933, "n07697313", "cheeseburger", 181, 180),
            (954, "n07753592", "banana", 188, 191),
            (980, "n09472597", "volcano", 194, 196),
        ] {
            assert_eq!((wnids[index].as_str(), names[index].as_str()), (wnid, name));
            assert_eq!((a[of_a], r[of_r]), (index, index));
        }
        assert_eq!((a.len(), r.len(), all.cifar.templates.len()), (200, 200, 18));
        assert_eq!(all.pets.templates, ["a photo of a {}, a type of pet."]);
        let templates = templates.iter().chain(&all.cifar.templates).chain(&all.pets.templates);
        assert!(templates.clone().all(|t| t.matches("{}").count() == 1), "one place for the class");
        assert_eq!(all.pets.names.len(), 37);
    }
}
