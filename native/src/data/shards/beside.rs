//! What files in the folder of the shards, or the one above it, say about all of them.

use std::path::{Path, PathBuf};

use toxiclip_shared::data::Class;

use super::super::published::class;
use super::pattern::Pattern;
use crate::failure::{Failure, Result};

/// What files beside the shards say.
pub(super) struct Beside {
    pub(super) classes: Vec<Class>,
    pub(super) retrieval: bool,
}

impl Beside {
    /// # Errors
    /// If a file that is there cannot be read.
    pub(super) fn of(shard: &Path) -> Result<Self> {
        // Shards without classes have no such file.
        let classes = match beside(shard, "classnames.txt")? {
            Some((_, names)) => names.lines().map(|name| class(name.trim())).collect(),
            None => Vec::new(),
        };
        let kind = beside(shard, "dataset_type.txt")?;
        let retrieval = kind.is_some_and(|(_, kind)| kind.trim() == "retrieval");
        Ok(Self { classes, retrieval })
    }
}

/// A file in the folder of the shards or the one above it: where it lies, and its text.
fn beside(shard: &Path, name: &str) -> Result<Option<(PathBuf, String)>> {
    let mut places = shard.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let Some(path) = places.find(|path| path.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::io(&path, &e))?;
    Ok(Some((path, text)))
}

/// Class prompts beside the shards, one a line, with `{}` for the `{c}` that CLIP_benchmark writes.
///
/// # Errors
/// If a line has neither.
pub(in crate::data) fn templates(pattern: &str) -> Result<Option<Vec<String>>> {
    let Pattern { shards, .. } = Pattern::parse(pattern)?;
    let file = "zeroshot_classification_templates.txt";
    let Some((path, text)) = beside(&shards[0], file)? else { return Ok(None) };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let all: Vec<String> = lines.map(|line| line.replace("{c}", "{}")).collect();
    match all.iter().find(|line| !line.contains("{}")) {
        Some(line) => Err(Failure::request(format!(
            "{}: the prompt `{line}` has no {{c}} for the class",
            path.display()
        ))),
        None => Ok((!all.is_empty()).then_some(all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_lie_beside_the_shards() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/test/{{0..3}}.tar", dir.path().display());
        assert_eq!(templates(&pattern).unwrap(), None);
        let file = dir.path().join("zeroshot_classification_templates.txt");
        std::fs::write(&file, "a photo of a {c}.\n\na {c} in the snow\n").unwrap();
        let both = ["a photo of a {}.", "a {} in the snow"].map(str::to_owned).to_vec();
        assert_eq!(templates(&pattern).unwrap(), Some(both));
        std::fs::write(&file, "a photo\n").unwrap();
        assert!(templates(&pattern).unwrap_err().to_string().contains("no {c}"));
    }
}
