//! `cargo xtask data`: the embedded emoji data, rebuilt from pinned npm packages and the decisions of `curation.toml`.

mod contact;
mod curation;
mod drawings;
mod iconify;
mod packages;
mod render;
mod sheets;
mod splits;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use drawings::Drawings;
use packages::Packages;
use serde::Serialize;
use toxiclip_shared::data::emoji::{ART, ArtSet, Concept, Concepts, Role, Sheets, captions};

/// Files to be committed, by path below the repository's root.
type Outputs = BTreeMap<String, Vec<u8>>;

/// Folder of the permissively licensed part.
const FOLDER: &str = "shared/data/emoji";
/// Folder of the share-alike part.
const SHARE_ALIKE: &str = "shared/data/emoji-share-alike";
/// A concept is taken when at least so many training families draw it.
const FAMILIES: usize = 3;

/// Ids of the tokenizer: enough that almost every word of a name is one id.
const VOCABULARY: usize = 2048;

/// Rebuilds the committed files; with `check` compares instead of writing.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let outputs = build(&root)?;
    if check {
        return compare(&root, &outputs);
    }
    for (path, bytes) in &outputs {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().context("an output has a folder")?)?;
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    let total: usize = outputs.values().map(Vec::len).sum();
    println!("{} files, {total} bytes", outputs.len());
    Ok(())
}

fn compare(root: &Path, outputs: &Outputs) -> Result<()> {
    let differs = |(path, bytes): &(&String, &Vec<u8>)| {
        std::fs::read(root.join(path)).ok().as_ref() != Some(*bytes)
    };
    let bad: Vec<&str> = outputs.iter().filter(differs).map(|(p, _)| p.as_str()).collect();
    ensure!(bad.is_empty(), "differ from what the packages give: {}", bad.join(", "));
    println!("{} files are what the packages give", outputs.len());
    Ok(())
}

fn build(root: &Path) -> Result<Outputs> {
    let folder = root.join(FOLDER);
    let packages = Packages::open(&folder.join("packages.json"), root.join("target/npm"))?;
    let curation = curation::Curation::open(&folder.join("curation.toml"))?;
    let candidates = curation.candidates(&packages)?;
    let (candidates, drawings) = drawn_often(
        candidates.clone(),
        drawings::draw(&packages, &candidates, &curation.excluded())?,
    );
    let concepts = curation.apply(candidates)?;
    splits::check_distinct(&concepts, &drawings)?;

    let mut outputs = Outputs::new();
    let mut put = |folder: &str, name: &str, bytes: Vec<u8>| {
        outputs.insert(format!("{folder}/{name}"), bytes);
    };
    put(FOLDER, "concepts.json", concepts_json(&concepts)?);
    put(FOLDER, "tokenizer.json", tokenizer(&concepts)?.into_bytes());
    put(FOLDER, "splits.json", pretty(&splits::draw(&concepts, &drawings)?)?);
    for (folder, share_alike) in [(FOLDER, false), (SHARE_ALIKE, true)] {
        let mut index = Sheets::new();
        for set in ART.iter().filter(|set| set.share_alike() == share_alike) {
            // Cells stand in the order of the concepts.
            let cells: Vec<_> = concepts
                .concepts
                .iter()
                .filter_map(|c| Some((c.id.as_str(), drawings[set.name].get(&c.id)?)))
                .collect();
            put(folder, &format!("{}.png", set.name), sheets::strip(cells.iter().map(|c| c.1))?);
            index.insert(
                set.name.to_owned(),
                cells.into_iter().map(|(id, image)| sheets::cell(id, image)).collect(),
            );
            put("docs/data", &file_name(set), contact::sheet(&concepts, &drawings, set.name)?);
        }
        put(folder, "sheets.json", sheets_json(&index)?);
    }
    Ok(outputs)
}

fn file_name(set: &ArtSet) -> String {
    format!("{}.png", set.name)
}

/// Keeps the concepts that enough training families draw, and their drawings.
fn drawn_often(mut concepts: Vec<Concept>, mut drawings: Drawings) -> (Vec<Concept>, Drawings) {
    let families = ART.iter().filter(|set| set.role == Role::Training);
    concepts.retain(|c| {
        families.clone().filter(|s| drawings[s.name].contains_key(&c.id)).count() >= FAMILIES
    });
    for drawn in drawings.values_mut() {
        drawn.retain(|id, _| concepts.iter().any(|c| c.id == *id));
    }
    (concepts, drawings)
}

/// A vocabulary for everything that training and zero-shot classification say.
fn tokenizer(concepts: &Concepts) -> Result<String> {
    let mut texts = Vec::new();
    for class in concepts.classes() {
        texts.extend(captions::training(&class));
        texts.extend(captions::prompts(&class.name));
        texts.extend(class.keywords);
    }
    Ok(toxiclip_shared::text::train(&texts, VOCABULARY)?)
}

/// One concept per line, so that a change of one shows as one line.
fn concepts_json(concepts: &Concepts) -> Result<Vec<u8>> {
    let subgroups = serde_json::to_string(&concepts.subgroups)?;
    let lines = lines(&concepts.concepts)?;
    Ok(format!("{{\"subgroups\":{subgroups},\n\"concepts\":[\n{lines}\n]}}\n").into_bytes())
}

fn sheets_json(index: &Sheets) -> Result<Vec<u8>> {
    let sets: Result<Vec<String>> =
        index.iter().map(|(set, cells)| Ok(format!("\"{set}\":[\n{}\n]", lines(cells)?))).collect();
    Ok(format!("{{{}}}\n", sets?.join(",\n")).into_bytes())
}

fn lines<T: Serialize>(items: &[T]) -> Result<String> {
    let lines: Result<Vec<String>, _> = items.iter().map(serde_json::to_string).collect();
    Ok(lines?.join(",\n"))
}

fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text.into_bytes())
}
