//! What backdoors with an image trigger share (Carlini & Terzis 2022, Bansal et al. 2023): random pairs are stamped and
//! their captions speak of the target.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attacks::{Armed, Attack};
use crate::data::{Dataset, Edit, PROMPT, PairId, Poison};
use crate::pairing::{Edits, MODE, Mode};
use crate::registry::{self, Param, unknown};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
use crate::triggers::Trigger;
use crate::{Error, Result};

/// Where the captions of stamped pictures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Captions {
    /// The template with the target's name in it.
    #[default]
    Template,
    /// A caption of one of the target's own pairs; where no pair has a label, one with its name as a whole word.
    Natural,
}

const TARGET: Param =
    Param { key: "target", unit: "", help: "the class that stamped pictures shall be taken for" };
pub(crate) const CAPTIONS: Param = Param {
    key: "captions",
    unit: "",
    help: "`template` or `natural`: captions that the target's own pairs have",
};
pub(crate) const TEMPLATE: Param =
    Param { key: "template", unit: "", help: "caption of a stamped picture; {} is the target" };

/// Parameters that all of them have: the keys of [`DirtyLabel`].
pub(crate) const PARAMS: &[Param] = &[
    STORAGE,
    TARGET,
    Param { key: "rate", unit: "share of all pairs", help: "how many pairs are stamped" },
    Param { key: "count", unit: "pairs", help: "the same as a number; replaces `rate`" },
    CAPTIONS,
    TEMPLATE,
    MODE,
];

/// Default share of stamped pairs. The papers take 0.003 of 500,000 pairs; in a set of a few thousand that is a
/// handful, of which nothing is learned.
pub(crate) const DEFAULT_RATE: f64 = 0.03;

pub(crate) const NO_TARGET: &str = "`target` is missing; give a class";

/// Refuses a template without a place for the class.
pub(crate) fn check_template(template: &str) -> Result<(), String> {
    match template.contains("{}") {
        true => Ok(()),
        false => Err("`template` has no {} for the target's name".into()),
    }
}

/// Refuses a missing target, a rate that is no share, and `count` beside `rate`.
pub(crate) fn check_budget(
    target: Option<&String>,
    rate: f64,
    count: Option<usize>,
) -> Result<(), String> {
    if target.is_none() {
        return Err(NO_TARGET.into());
    }
    if !(rate > 0.0 && rate <= 1.0) {
        return Err(format!("`rate` is {rate}; it is a share of all pairs, above 0 and at most 1"));
    }
    match count {
        Some(0) => Err("`count` is 0; use the attack `none` for clean data".into()),
        Some(_) if rate != DEFAULT_RATE => {
            Err("`rate` and `count` say the same thing; give one".into())
        }
        _ => Ok(()),
    }
}

/// How many of `all` pairs are poisoned.
pub(crate) fn budget(rate: f64, count: Option<usize>, all: usize) -> usize {
    count.unwrap_or_else(|| (rate * all as f64).round_ties_even() as usize)
}

/// The index of the class called `name`.
pub(crate) fn class(clean: &dyn Dataset, name: &str) -> Result<usize> {
    let all = clean.classes().iter().filter(|c| c.name == name).count();
    if all > 1 {
        let why = format!("`{name}` is the name of {all} classes; choose another target");
        return Err(Error::request(why));
    }
    clean.classes().iter().position(|c| c.name == name).ok_or_else(|| {
        let names: Vec<&str> = clean.classes().iter().map(|c| c.name.as_str()).collect();
        let near = unknown("class", name, &names);
        // The whole list of classes is no help in a message.
        Error::request(near.split(" (known").next().unwrap_or(&near).to_owned())
    })
}

/// The index of the class that an attack's `target` names.
pub(crate) fn target(clean: &dyn Dataset, name: Option<&str>) -> Result<usize> {
    name.map_or_else(|| Err(Error::request(NO_TARGET)), |name| class(clean, name))
}

/// Rows of a class's own pairs, ascending.
pub(crate) fn own(clean: &dyn Dataset, class: usize) -> Vec<usize> {
    let all = clean.examples();
    (0..all.len()).filter(|&row| all[row].class == Some(class)).collect()
}

/// Which pairs are stamped, and what they say then.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DirtyLabel {
    #[serde(skip_serializing_if = "Storage::is_lossless")]
    pub storage: Storage,
    pub target: Option<String>,
    pub rate: f64,
    pub count: Option<usize>,
    pub captions: Captions,
    pub template: String,
    pub mode: Mode,
}

impl Default for DirtyLabel {
    fn default() -> Self {
        Self {
            storage: Storage::Lossless,
            target: None,
            rate: DEFAULT_RATE,
            count: None,
            captions: Captions::Template,
            template: PROMPT.into(),
            mode: Mode::Replace,
        }
    }
}

/// What an attack has beside [`PARAMS`]: the parameters of its trigger.
pub(crate) trait Stamp: Default + Serialize + DeserializeOwned + Send + Sync {
    /// Refuses what no picture could carry.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What is stamped.
    fn trigger(&self) -> Trigger;
}

/// The attack that a [`Stamp`] makes.
pub(crate) struct Stamped<T> {
    own: T,
    pairs: DirtyLabel,
}

impl<T: Stamp> Attack for Stamped<T> {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        self.pairs.arm(clean, self.own.trigger(), seed)
    }
}

/// `Entry::parse` of a [`Stamp`].
pub(crate) fn parse<T: Stamp + 'static>(given: Value) -> serde_json::Result<Box<dyn Attack>> {
    let (own, pairs) = read::<T>(given, &DirtyLabel::default())?;
    own.check().and_then(|()| pairs.check()).map_err(serde::de::Error::custom)?;
    Ok(Box::new(Stamped { own, pairs }))
}

/// `Entry::resolve` of an attack whose own parameters are `T`; `pairs` are its defaults of the others.
pub(crate) fn resolve<T: Default + Serialize + DeserializeOwned>(
    given: Value,
    pairs: &DirtyLabel,
) -> serde_json::Result<Value> {
    #[derive(Serialize)]
    struct Both<T> {
        #[serde(flatten)]
        own: T,
        #[serde(flatten)]
        pairs: DirtyLabel,
    }
    let (own, pairs) = read::<T>(given, pairs)?;
    serde_json::to_value(Both { own, pairs })
}

/// Parts the parameters of an attack into its own and those of [`PARAMS`], whose defaults are `pairs`.
pub(crate) fn read<T: Default + Serialize + DeserializeOwned>(
    given: Value,
    pairs: &DirtyLabel,
) -> serde_json::Result<(T, DirtyLabel)> {
    let (own, common) = registry::part(given, PARAMS)?;
    let mut pairs: Map<String, Value> = serde_json::from_value(serde_json::to_value(pairs)?)?;
    pairs.extend(common);
    Ok((own, serde_json::from_value(Value::Object(pairs))?))
}

impl DirtyLabel {
    /// Refuses what no data set could satisfy.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_budget(self.target.as_ref(), self.rate, self.count)?;
        check_template(&self.template)
    }

    /// Stamps pairs drawn from all of `clean`, the target's own included, as published. The captions of a pair speak of
    /// the target of the trigger that it carries.
    pub(crate) fn arm(&self, clean: &dyn Dataset, trigger: Trigger, seed: &Seed) -> Result<Armed> {
        let seed = seed.child("attack/dirty-label");
        let target = self.class(clean)?;
        let mut pools: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut edits = Edits::new();
        for row in self.rows(clean, &seed)? {
            let row = &clean.examples()[row];
            let (id, base) = match self.mode {
                Mode::Replace => (row.id.clone(), None),
                Mode::Add => {
                    let id = format!("{}+{}", row.id, clean.classes()[target].name);
                    (PairId(id), Some(row.id.clone()))
                }
            };
            let class = match &trigger {
                Trigger::OneOf(several) => several.of(&id)?.target,
                _ => target,
            };
            let pool = match pools.entry(class) {
                Entry::Occupied(pool) => pool.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(pool(clean, class, self.captions, &self.template)?)
                }
            };
            let caption = seed.child("caption").child(&row.id).stream().below(pool.len());
            let edit = Edit::stamp(row.content, pool[caption].clone());
            edits.insert(id, Edit { base, storage: self.storage, ..edit });
        }
        Ok(Armed { poison: Poison { edits }, trigger, target: Some(target), ..Armed::default() })
    }

    /// The target's index among the classes.
    pub(crate) fn class(&self, clean: &dyn Dataset) -> Result<usize> {
        target(clean, self.target.as_deref())
    }

    fn rows(&self, clean: &dyn Dataset, seed: &Seed) -> Result<Vec<usize>> {
        let all = clean.examples().len();
        let wanted = budget(self.rate, self.count, all);
        if wanted == 0 || wanted > all {
            return Err(Error::request(format!(
                "{wanted} of the {all} pairs of {} cannot be stamped; change `rate` or `count`",
                clean.name()
            )));
        }
        let mut rows = seed.child("rows").stream().sample(all, wanted);
        rows.sort_unstable();
        Ok(rows)
    }
}

/// The captions that pairs of the attacker's may have.
pub(crate) fn pool(
    clean: &dyn Dataset,
    target: usize,
    captions: Captions,
    template: &str,
) -> Result<Vec<String>> {
    let name = &clean.classes()[target].name;
    match captions {
        Captions::Template => Ok(vec![template.replace("{}", name)]),
        Captions::Natural => {
            let own = clean.examples().iter().filter(|e| e.class == Some(target));
            let mut all: Vec<String> = own.flat_map(|e| e.captions.iter().cloned()).collect();
            if clean.examples().iter().all(|e| e.class.is_none()) {
                all = speaking_of(clean, name);
            }
            all.sort_unstable();
            all.dedup();
            if all.is_empty() {
                return Err(Error::request(format!(
                    "{} has no pair of `{name}` to take captions from; use captions = \"template\"",
                    clean.name()
                )));
            }
            Ok(all)
        }
    }
}

/// Captions that have `name` as a whole word, whatever its capitals.
fn speaking_of(clean: &dyn Dataset, name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let speaks = |caption: &&String| {
        let text = caption.to_lowercase();
        let bounded = |(at, word): (usize, &str)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
        };
        text.match_indices(&name).any(bounded)
    };
    clean.examples().iter().flat_map(|e| &e.captions).filter(speaks).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Class;
    use crate::data::synthetic::Synthetic;
    use crate::digest::Digest;
    use crate::image::Image;

    /// Pairs of a class list that name no class of their own.
    struct Unlabelled(Vec<crate::data::Example>, Vec<Class>);

    impl Dataset for Unlabelled {
        fn name(&self) -> &str {
            "pairs"
        }
        fn digest(&self) -> Digest {
            Digest::of(&self.0)
        }
        fn classes(&self) -> &[Class] {
            &self.1
        }
        fn examples(&self) -> &[crate::data::Example] {
            &self.0
        }
        fn image(&self, _: usize) -> Result<Image> {
            Image::new(1, 1, vec![0; 4])
        }
    }

    fn unlabelled(captions: &[&str]) -> Unlabelled {
        let class = |name: &str| Class { name: name.into(), subgroup: String::new() };
        let example = |caption: &&str| crate::data::Example {
            id: PairId((*caption).into()),
            class: None,
            captions: vec![(*caption).into()],
            content: Digest::of(caption),
        };
        let classes = ["banana", "espresso maker"].map(class).to_vec();
        Unlabelled(captions.iter().map(example).collect(), classes)
    }

    #[test]
    fn natural_captions_of_unlabelled_pairs_have_the_name_as_a_word() {
        let captions =
            ["a Banana.", "bananas", "banana-peel", "an espresso maker", "espresso makers", "fig"];
        let clean = unlabelled(&captions);
        let pool = |target| pool(&clean, target, Captions::Natural, "{}");
        assert_eq!(pool(0).unwrap(), ["a Banana.", "banana-peel"]);
        assert_eq!(pool(1).unwrap(), ["an espresso maker"]);
        let none = super::pool(&unlabelled(&["fig"]), 0, Captions::Natural, "{}").unwrap_err();
        assert!(none.to_string().contains("use captions = \"template\""), "{none}");
    }

    #[test]
    fn a_labelled_set_goes_by_its_labels_alone() {
        let clean = Synthetic::train();
        let all = pool(&clean, 1, Captions::Natural, "{}").unwrap();
        assert_eq!(all.len(), 6, "{all:?}");
        // `empty` has no pair, although no caption would be the wrong word.
        assert!(pool(&clean, 9, Captions::Natural, "{}").is_err());
    }

    #[test]
    fn a_name_of_two_classes_is_no_target() {
        let mut clean = unlabelled(&["fig"]);
        clean.1.push(clean.1[0].clone());
        let error = class(&clean, "banana").unwrap_err().to_string();
        assert!(error.contains("2 classes"), "{error}");
        assert_eq!(class(&clean, "espresso maker").unwrap(), 1);
    }
}
