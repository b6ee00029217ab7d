//! Icon sets in Iconify's JSON form, and which of their icons draws which emoji.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;

use super::packages::{Packages, file};

/// One set: `icons.json`, and code point → name from `chars.json`, which is empty in some sets.
pub(crate) struct IconSet {
    icons: Icons,
    chars: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Icons {
    icons: BTreeMap<String, Icon>,
    #[serde(default)]
    aliases: BTreeMap<String, Alias>,
    width: f32,
    height: f32,
}

#[derive(Deserialize)]
struct Icon {
    body: String,
    width: Option<f32>,
    height: Option<f32>,
}

#[derive(Deserialize)]
struct Alias {
    parent: String,
    #[serde(default, rename = "hFlip")]
    flipped: bool,
}

impl IconSet {
    /// Reads the set from its package.
    pub(crate) fn open(packages: &Packages, package: &str) -> Result<Self> {
        let files = packages.files(package, |p| p == "icons.json" || p == "chars.json")?;
        Ok(Self {
            icons: serde_json::from_slice(file(&files, "icons.json")?)?,
            chars: serde_json::from_slice(file(&files, "chars.json")?)?,
        })
    }

    /// The names that this set gives to code points, normalised by [`plain_code`].
    pub(crate) fn names(&self) -> impl Iterator<Item = (String, &str)> {
        self.chars.iter().map(|(code, name)| (plain_code(code), name.as_str()))
    }

    /// The SVG of the first of `names` that the set draws under its own name or an alias.
    pub(crate) fn svg(&self, names: &[String]) -> Option<String> {
        let own = names.iter().find_map(|n| self.icons.icons.get(n));
        let icon = own.or_else(|| {
            let alias = names.iter().find_map(|n| self.icons.aliases.get(n));
            // A mirrored alias would be another drawing than the one it names.
            alias.filter(|a| !a.flipped).and_then(|a| self.icons.icons.get(&a.parent))
        })?;
        let (width, height) =
            (icon.width.unwrap_or(self.icons.width), icon.height.unwrap_or(self.icons.height));
        Some(format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{}</svg>"#,
            icon.body
        ))
    }
}

/// Which names an emoji goes by in icon sets.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    /// Learns the names of a set that knows its code points.
    pub(crate) fn learn(&mut self, set: &IconSet) {
        for (code, name) in set.names() {
            self.0.entry(code).or_default().insert(name.to_owned());
        }
    }

    /// The names of the emoji with this label and code: the label's own first.
    pub(crate) fn of(&self, label: &str, code: &str) -> Vec<String> {
        let own = slug(label);
        let others = self.0.get(code).into_iter().flatten().filter(|n| **n != own).cloned();
        std::iter::once(own.clone()).chain(others).collect()
    }
}

/// Lower-case code points without the variation selector, which sets write or leave out at will.
pub(crate) fn plain_code(code: &str) -> String {
    code.to_lowercase().split('-').filter(|c| *c != "fe0f").collect::<Vec<_>>().join("-")
}

/// `Statue of Liberty` → `statue-of-liberty`, as icon sets name their files.
pub(crate) fn slug(label: &str) -> String {
    let kept: String = label
        .to_lowercase()
        .chars()
        .filter(|c| !matches!(c, '\'' | '’' | '.'))
        .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join("-")
}
