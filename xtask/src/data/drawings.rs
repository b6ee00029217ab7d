//! Every drawing that a set has of the concepts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use toxiclip_shared::data::emoji::{ART, Concept};
use toxiclip_shared::image::Image;

use super::iconify::{IconSet, Names, plain_code};
use super::packages::{Files, Packages};
use super::{render, sheets};

/// Set → concept id → drawing.
pub(crate) type Drawings = BTreeMap<&'static str, BTreeMap<String, Image>>;

/// Sets whose packages say which code point each icon draws: they teach the names.
const TEACHERS: [&str; 3] = ["noto", "twemoji", "fluent-contrast"];

/// Draws all concepts in all sets, without the `excluded` drawings (`set/concept`).
pub(crate) fn draw(
    packages: &Packages,
    concepts: &[Concept],
    excluded: &BTreeSet<String>,
) -> Result<Drawings> {
    let mut names = Names::default();
    for set in ART.iter().filter(|set| TEACHERS.contains(&set.name)) {
        names.learn(&IconSet::open(packages, set.package)?);
    }
    let mut out = Drawings::new();
    for set in &ART {
        eprintln!("drawing {}", set.name);
        let source = Source::open(packages, set.name, set.package)?;
        let mut drawn = BTreeMap::new();
        for concept in concepts {
            let key = format!("{}/{}", set.name, concept.id);
            if excluded.contains(&key) {
                continue;
            }
            if let Some(image) = source.draw(concept, &names).with_context(|| key)? {
                drawn.insert(concept.id.clone(), sheets::posterise(&image)?);
            }
        }
        out.insert(set.name, drawn);
    }
    Ok(out)
}

/// Where the drawings of a set come from.
enum Source {
    /// Icons by name.
    Icons(IconSet),
    /// Icons by name, where only the label itself without spaces counts: synonyms led to wrong drawings.
    ExactIcons(IconSet),
    /// SVG files by code point.
    Svg(Files),
    /// WebP files by code point.
    Webp(Files),
}

impl Source {
    fn open(packages: &Packages, set: &str, package: &str) -> Result<Self> {
        let by_code = |folder: &str| -> Result<Files> {
            let files = packages.files(package, |p| p.starts_with(folder))?;
            let stem = |path: &str| {
                let name = path.rsplit('/').next().unwrap_or(path);
                plain_code(name.split('.').next().unwrap_or(name))
            };
            Ok(files.into_iter().map(|(path, bytes)| (stem(&path), bytes)).collect())
        };
        Ok(match set {
            "openmoji" => Self::Svg(by_code("color/svg/")?),
            "openmoji-black" => Self::Svg(by_code("black/svg/")?),
            "fluent-3d" => Self::Webp(by_code("assets/")?),
            "fxemoji" => Self::ExactIcons(IconSet::open(packages, package)?),
            _ => Self::Icons(IconSet::open(packages, package)?),
        })
    }

    fn draw(&self, concept: &Concept, names: &Names) -> Result<Option<Image>> {
        let svg = match self {
            Self::Webp(files) => {
                return files.get(&concept.code).map(|bytes| render::webp(bytes)).transpose();
            }
            Self::Svg(files) => {
                let bytes = files.get(&concept.code);
                bytes.map(|b| std::str::from_utf8(b).map(str::to_owned)).transpose()?
            }
            Self::Icons(set) => set.svg(&names.of(&concept.id, &concept.code)),
            Self::ExactIcons(set) => set.svg(&[concept.id.replace('-', "")]),
        };
        svg.map(|text| render::svg(&text)).transpose()
    }
}
