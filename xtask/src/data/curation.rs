//! The decisions made by hand: `curation.toml`, and the concepts that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use toxiclip_shared::data::emoji::{Concept, Concepts};

use super::iconify::{plain_code, slug};
use super::packages::{Packages, file};

/// `curation.toml`. Concepts are named by their id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Curation {
    /// Subgroup → words.
    subgroups: BTreeMap<String, String>,
    /// Words of emojilib that are no keywords.
    noise: Vec<String>,
    /// Concepts whose drawings belong to another concept's class.
    merge: Vec<Merge>,
    /// Concepts that are no class.
    drop: Vec<Drop>,
    /// Names that would read badly in a caption.
    rename: BTreeMap<String, String>,
    /// Single drawings that show nothing or something else.
    exclude: Vec<Exclude>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    into: String,
    concepts: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    concepts: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclude {
    drawings: Vec<String>,
    reason: String,
}

/// An entry of emojibase.
#[derive(Deserialize)]
struct Emoji {
    label: String,
    hexcode: String,
    #[serde(default)]
    tags: Vec<String>,
    group: Option<u32>,
    subgroup: Option<u32>,
}

#[derive(Deserialize)]
struct Meta {
    groups: BTreeMap<u32, String>,
    subgroups: BTreeMap<u32, String>,
}

/// People, smileys, symbols and flags are left out: their names say little about what is drawn.
const CONCRETE: [&str; 5] =
    ["animals-nature", "food-drink", "travel-places", "activities", "objects"];

impl Curation {
    /// Reads the decisions; each needs a reason.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let own: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let reasons = own.merge.iter().map(|m| &m.reason).chain(own.drop.iter().map(|d| &d.reason));
        for reason in reasons.chain(own.exclude.iter().map(|e| &e.reason)) {
            ensure!(!reason.is_empty(), "{}: an entry has no reason", path.display());
        }
        Ok(own)
    }

    /// The drawings, as `set/concept`, that are left out of the sheets.
    pub(crate) fn excluded(&self) -> BTreeSet<String> {
        self.exclude.iter().flat_map(|e| e.drawings.iter().cloned()).collect()
    }

    /// Applies the decisions to the concepts; every entry must name one that exists.
    pub(crate) fn apply(&self, mut concepts: Vec<Concept>) -> Result<Concepts> {
        let mut class = BTreeMap::new();
        for merge in &self.merge {
            class.extend(merge.concepts.iter().map(|id| (id, Some(&merge.into))));
        }
        class.extend(self.drop.iter().flat_map(|d| d.concepts.iter().map(|id| (id, None))));
        let known: BTreeSet<&String> = concepts.iter().map(|c| &c.id).collect();
        let named = class.keys().copied().chain(self.merge.iter().map(|m| &m.into));
        for id in named.chain(self.rename.keys()) {
            ensure!(known.contains(id), "curation.toml names the unknown concept `{id}`");
        }
        let missing = concepts.iter().find(|c| !self.subgroups.contains_key(&c.subgroup));
        ensure!(missing.is_none(), "curation.toml has no words for the subgroup of {missing:?}");
        for concept in &mut concepts {
            concept.class = match class.get(&concept.id) {
                Some(target) => target.cloned(),
                None => Some(concept.id.clone()),
            };
            if let Some(name) = self.rename.get(&concept.id) {
                concept.name.clone_from(name);
            }
        }
        Ok(Concepts { subgroups: self.subgroups.clone(), concepts })
    }
}

/// Emojibase has one tag for some concepts; emojilib fills up to so many.
const KEYWORDS: usize = 6;

impl Curation {
    /// All concrete emoji of emojibase, each a class of its own.
    pub(crate) fn candidates(&self, packages: &Packages) -> Result<Vec<Concept>> {
        let wanted = ["en/data.json", "meta/groups.json"];
        let files = packages.files("emojibase-data", |p| wanted.contains(&p))?;
        let emoji: Vec<Emoji> = serde_json::from_slice(file(&files, "en/data.json")?)?;
        let meta: Meta = serde_json::from_slice(file(&files, "meta/groups.json")?)?;
        let more = self.more_keywords(packages)?;
        let concept = |e: Emoji| {
            let group = meta.groups.get(&e.group?)?.clone();
            let subgroup = meta.subgroups.get(&e.subgroup?)?.clone();
            let code = plain_code(&e.hexcode);
            let mut keywords: Vec<String> = e.tags.iter().map(|t| t.replace('’', "'")).collect();
            for word in more.get(&code).into_iter().flatten() {
                if keywords.len() < KEYWORDS && !keywords.contains(word) {
                    keywords.push(word.clone());
                }
            }
            let name = e.label.replace('’', "'");
            let id = slug(&name);
            let class = Some(id.clone());
            CONCRETE.contains(&group.as_str()).then_some(Concept {
                code,
                id,
                name,
                group,
                subgroup,
                keywords,
                class,
            })
        };
        Ok(emoji.into_iter().filter_map(concept).collect())
    }

    /// Code → emojilib's keywords without names (which it writes with `_`), numbered words and noise.
    fn more_keywords(&self, packages: &Packages) -> Result<BTreeMap<String, Vec<String>>> {
        let path = "dist/emoji-en-US.json";
        let files = packages.files("emojilib", |p| p == path)?;
        let words: BTreeMap<String, Vec<String>> = serde_json::from_slice(file(&files, path)?)?;
        let code = |emoji: &str| {
            let codes: Vec<String> = emoji.chars().map(|c| format!("{:x}", c as u32)).collect();
            plain_code(&codes.join("-"))
        };
        let useful = |w: &String| {
            !self.noise.contains(w) && w.chars().all(|c| c.is_alphabetic() || " '-".contains(c))
        };
        Ok(words
            .into_iter()
            .map(|(emoji, list)| (code(&emoji), list.into_iter().filter(useful).collect()))
            .collect())
    }
}
