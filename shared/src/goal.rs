//! What an attack wants: captions of some classes shall fetch pictures of others.

use serde::{Deserialize, Serialize};

use crate::data::{Class, Dataset, PairId};
use crate::registry::unknown;
use crate::{Error, Result};

/// Before the name of a subgroup where a class is expected: `subgroup:animal-bird`.
pub const SUBGROUP: &str = "subgroup:";

/// Captions of the classes `from` shall fetch pictures of the classes `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// The paper's form, A2B: `ewe2airplane`; subgroups by their bare names.
    pub name: String,
    /// Indices into [`Dataset::classes`], ascending.
    pub from: Vec<usize>,
    /// Indices into [`Dataset::classes`], ascending, disjoint from `from`.
    pub to: Vec<usize>,
    /// The one picture of `to` that counts, where the attacker wants that very picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PairId>,
}

/// One test picture that shall be taken for a class that is not its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetPicture {
    /// Its row in the test split.
    pub id: PairId,
    /// Index into [`Dataset::classes`].
    pub target: usize,
}

impl Goal {
    /// The goal that captions of `from` fetch pictures of `to`, each a class (`ewe`) or a subgroup
    /// (`subgroup:animal-bird`) of `classes`.
    ///
    /// # Errors
    /// If a name is unknown (with a guess which was meant), or both sides share a class.
    pub fn new(classes: &[Class], from: &str, to: &str) -> Result<Self> {
        let name = format!("{}2{}", display(from), display(to));
        let (from_classes, to_classes) = (resolve(classes, from)?, resolve(classes, to)?);
        if let Some(&both) = from_classes.iter().find(|c| to_classes.contains(c)) {
            let class = &classes[both].name;
            return Err(Error::request(format!(
                "goal {name}: `{class}` is on both sides; choose classes that do not overlap"
            )));
        }
        Ok(Self { name, from: from_classes, to: to_classes, picture: None })
    }

    /// The goal that captions of `from` fetch pictures of a class that is still to be found: any other.
    ///
    /// # Errors
    /// If the name is unknown.
    pub fn open(classes: &[Class], from: &str) -> Result<Self> {
        let own = resolve(classes, from)?;
        let to = (0..classes.len()).filter(|class| !own.contains(class)).collect();
        Ok(Self { name: format!("{}2?", display(from)), from: own, to, picture: None })
    }

    /// As [`Goal::new`], for one picture of `to` alone: `ewe2noto/airplane`.
    ///
    /// # Errors
    /// As [`Goal::new`].
    pub fn one(classes: &[Class], from: &str, to: &str, picture: PairId) -> Result<Self> {
        let name = format!("{}2{picture}", display(from));
        Ok(Self { name, picture: Some(picture), ..Self::new(classes, from, to)? })
    }

    /// Reads `ewe2airplane`. Names that contain a 2 themselves are understood as long as only one
    /// reading names two known things.
    ///
    /// # Errors
    /// If no reading, or more than one, makes a goal.
    pub fn parse(classes: &[Class], text: &str) -> Result<Self> {
        let splits: Vec<(&str, &str)> =
            text.match_indices('2').map(|(i, _)| (&text[..i], &text[i + 1..])).collect();
        let known: Vec<&(&str, &str)> = splits
            .iter()
            .filter(|(a, b)| resolve(classes, a).is_ok() && resolve(classes, b).is_ok())
            .collect();
        match (known.as_slice(), splits.as_slice()) {
            ([(from, to)], _) | ([], [(from, to)]) => Self::new(classes, from, to),
            ([], []) => Err(Error::request(format!(
                "goal `{text}`: expected FROM2TO, such as ewe2airplane or subgroup:animal-bird2kite"
            ))),
            ([], _) => Err(Error::request(format!(
                "goal `{text}`: no way to split it at a 2 names two known classes or subgroups"
            ))),
            _ => Err(Error::request(format!(
                "goal `{text}` can be read in several ways; use single-label with `from` and `to`"
            ))),
        }
    }

    /// The goal in words, for tables and pictures: `ewe → airplane`.
    pub fn in_words(&self, classes: &[Class]) -> String {
        format!("{} → {}", self.side_in_words(&self.from, classes), self.target_in_words(classes))
    }

    /// What is fetched instead, in words: `airplane`.
    pub fn target_in_words(&self, classes: &[Class]) -> String {
        match &self.picture {
            Some(picture) => picture.to_string(),
            None => self.side_in_words(&self.to, classes),
        }
    }

    fn side_in_words(&self, side: &[usize], classes: &[Class]) -> String {
        if let [one] = side {
            return classes.get(*one).map_or_else(|| self.name.clone(), |c| c.name.clone());
        }
        let first = side.first().and_then(|&c| classes.get(c));
        let subgroup = first.map_or("", |c| c.subgroup.as_str());
        let all_of_it = classes.iter().filter(|c| c.subgroup == subgroup).count();
        if all_of_it == side.len() {
            return subgroup.to_owned();
        }
        // Neither a class nor a subgroup: the goal's own word for it.
        self.name.split_once('2').map_or(&*self.name, |(from, _)| from).to_owned()
    }

    /// Rows of `data` whose class is one of `from`, ascending.
    pub fn from_rows(&self, data: &dyn Dataset) -> Vec<usize> {
        rows_of(data, &self.from)
    }

    /// Rows of `data` that count as targets, ascending: those whose class is one of `to`, or the one picture.
    pub fn to_rows(&self, data: &dyn Dataset) -> Vec<usize> {
        let mut rows = rows_of(data, &self.to);
        if let Some(picture) = &self.picture {
            rows.retain(|&row| data.examples()[row].id == *picture);
        }
        rows
    }
}

pub(crate) fn display(name: &str) -> &str {
    name.strip_prefix(SUBGROUP).unwrap_or(name)
}

fn rows_of(data: &dyn Dataset, classes: &[usize]) -> Vec<usize> {
    let hit = |class: Option<usize>| class.is_some_and(|c| classes.binary_search(&c).is_ok());
    data.examples().iter().enumerate().filter(|(_, e)| hit(e.class)).map(|(i, _)| i).collect()
}

/// Indices of the classes that `name` means, ascending.
///
/// # Errors
/// If it means none; says which name was probably meant.
pub(crate) fn resolve(classes: &[Class], name: &str) -> Result<Vec<usize>> {
    let (kind, wanted): (_, fn(&Class) -> &str) = if name.starts_with(SUBGROUP) {
        ("subgroup", |c| &c.subgroup)
    } else {
        ("class", |c| &c.name)
    };
    let bare = display(name);
    let found: Vec<usize> =
        (0..classes.len()).filter(|&i| !bare.is_empty() && wanted(&classes[i]) == bare).collect();
    if found.is_empty() {
        return Err(Error::Request(suggestion(kind, bare, classes.iter().map(wanted))));
    }
    Ok(found)
}

/// A data set may have a thousand classes: only the nearest names are worth a line.
fn suggestion<'a>(kind: &str, name: &str, all: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = all.filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return format!("no {kind} called `{name}`: this data set has none");
    }
    let full = unknown(kind, name, &names);
    if names.len() <= 12 {
        return full;
    }
    let short = full.split(" (known:").next().unwrap_or(&full);
    format!("{short} ({} are known; `toxiclip show dataset NAME` lists them)", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Vec<Class> {
        [("ewe", "mammal"), ("airplane", "air"), ("kite", "air"), ("mp2 player", "thing")]
            .map(|(name, subgroup)| Class { name: name.into(), subgroup: subgroup.into() })
            .to_vec()
    }

    #[test]
    fn classes_and_subgroups_are_understood() {
        let goal = Goal::new(&classes(), "ewe", "subgroup:air").unwrap();
        assert_eq!(
            (goal.name.as_str(), &goal.from[..], &goal.to[..]),
            ("ewe2air", &[0][..], &[1, 2][..])
        );
        assert_eq!(goal.in_words(&classes()), "ewe → air");
        assert_eq!(Goal::parse(&classes(), "ewe2subgroup:air").unwrap(), goal);
        assert_eq!(Goal::parse(&classes(), "mp2 player2ewe").unwrap().from, [3]);
    }

    #[test]
    fn wrong_goals_are_one_line_with_a_hint() {
        let error = |from, to| Goal::new(&classes(), from, to).unwrap_err().to_string();
        assert!(error("ewes", "airplane").contains("did you mean `ewe`?"));
        assert!(error("subgroup:aire", "ewe").contains("did you mean `air`?"));
        assert!(error("airplane", "subgroup:air").contains("`airplane` is on both sides"));
        assert!(error("", "ewe").starts_with("no class called ``"));
        assert!(Goal::parse(&classes(), "ewe").unwrap_err().to_string().contains("FROM2TO"));
        assert!(Goal::parse(&classes(), "ewe2plane").unwrap_err().to_string().contains("`plane`"));
    }
}
