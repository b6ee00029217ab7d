//! Targeted poisoning (Carlini & Terzis 2022): a few pairs show one test picture with captions of a class that is not
//! its own, so that this picture, and no other, is taken for that class. No trigger is needed at test time.
//!
//! A model answers once for every such picture, with yes or no; the paper trains many models. Here one model carries
//! several pictures, each with a class of its own unless `target` names one for all, so that a rate can be given: as
//! long as they are few, the pairs of one have nothing to do with another's. Their pixels are in training, which is the
//! attack's design; they stay in the test split, of which they are a vanishing part.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, Edit, ImageEdit, PROMPT, PairId, Poison};
use crate::dirty_label::{self as common, Captions};
use crate::goal::TargetPicture;
use crate::pairing::{Edits, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::{Error, Result};

/// As many as RoCLIP's notebook attacks at once.
const PICTURES: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Targeted {
    picture: Option<String>,
    pictures: usize,
    target: Option<String>,
    count: usize,
    captions: Captions,
    template: String,
    mode: Mode,
}

impl Default for Targeted {
    fn default() -> Self {
        Self {
            picture: None,
            pictures: PICTURES,
            target: None,
            count: 3,
            captions: Captions::Natural,
            template: PROMPT.into(),
            mode: Mode::Add,
        }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "targeted",
        title: "Targeted poisoning",
        year: 2022,
        paper: "Carlini & Terzis, arXiv:2106.09667",
        summary: "shows single test pictures with captions of another class, so that they are taken for it",
        threat_model: "inserts a few pairs, a test picture with captions of the attacker's; no trigger at test time",
    },
    params: &[&[
        Param {
            key: "picture",
            unit: "",
            help: "id of the one test picture that is attacked; drawn if left out",
        },
        Param {
            key: "pictures",
            unit: "pictures",
            help: "how many are drawn and attacked in one model",
        },
        Param {
            key: "target",
            unit: "",
            help: "the class that all of them shall be taken for; another for each, drawn, if left out",
        },
        Param {
            key: "count",
            unit: "pairs per picture",
            help: "poisoned pairs; the paper's 3 of three million",
        },
        common::CAPTIONS,
        common::TEMPLATE,
        Param {
            key: "mode",
            unit: "",
            help: "`add` pairs to the clean ones (the paper) or `replace` drawn ones",
        },
    ]],
    parse: |v| {
        let parsed: Targeted = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<Targeted>(v)?),
};

impl Targeted {
    fn check(&self) -> Result<(), String> {
        if self.picture.is_some() && ![1, PICTURES].contains(&self.pictures) {
            return Err("`picture` names one and `pictures` asks for more; give one".into());
        }
        if self.pictures == 0 || self.count == 0 {
            return Err("`pictures` or `count` is 0; use the attack `none` for clean data".into());
        }
        common::check_template(&self.template)
    }

    /// The attacked pictures as rows of the gallery, ascending, each with its target.
    fn choose(
        &self,
        clean: &dyn Dataset,
        gallery: &dyn Dataset,
        seed: &Seed,
    ) -> Result<Vec<(usize, usize)>> {
        let common = self.target.as_deref().map(|t| common::class(clean, t)).transpose()?;
        let rows = gallery.examples();
        let fits = |row: &usize| rows[*row].class.is_some() && rows[*row].class != common;
        let able: Vec<usize> = (0..rows.len()).filter(fits).collect();
        let mut chosen: Vec<usize> = match &self.picture {
            Some(id) => able.into_iter().filter(|&row| rows[row].id.0 == *id).collect(),
            None => {
                let drawn = seed.child("pictures").stream().sample(able.len(), self.pictures);
                drawn.into_iter().map(|i| able[i]).collect()
            }
        };
        let wanted = if self.picture.is_some() { 1 } else { self.pictures };
        if chosen.len() < wanted {
            let which = self.picture.clone().unwrap_or_else(|| format!("set of {wanted} pictures"));
            return Err(Error::request(format!(
                "targeted: {} has no {which} of other classes than the target; change `picture`, `pictures` or `target`",
                gallery.name()
            )));
        }
        chosen.sort_unstable();
        let mut classes: Vec<usize> = clean.examples().iter().filter_map(|e| e.class).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut drawn: Vec<usize> = Vec::new();
        for &row in &chosen {
            let left = |c: &&usize| rows[row].class != Some(**c) && !drawn.contains(*c);
            let free: Vec<usize> = classes.iter().filter(left).copied().collect();
            drawn.push(match common {
                Some(class) => class,
                None if free.is_empty() => {
                    return Err(Error::request(format!(
                        "targeted: {} has fewer classes than {wanted} pictures need; lower `pictures` or give `target`",
                        clean.name()
                    )));
                }
                None => {
                    let mut stream = seed.child("target").child(&rows[row].id).stream();
                    free[stream.below(free.len())]
                }
            });
        }
        Ok(chosen.into_iter().zip(drawn).collect())
    }

    /// Captions of one picture's pairs: each of the pool once before any comes again.
    fn captions(&self, clean: &dyn Dataset, target: usize, seed: &Seed) -> Result<Vec<String>> {
        let mut pool = common::pool(clean, target, self.captions, &self.template)?;
        seed.stream().shuffle(&mut pool);
        Ok(pool.into_iter().cycle().take(self.count).collect())
    }
}

impl Targeted {
    /// The rows that `wanted` pairs take the place of, or are copies of, for a picture that shall be taken for `target`.
    /// An added pair is labelled as what its caption speaks of.
    fn places(
        &self,
        clean: &dyn Dataset,
        target: usize,
        replaced: &mut Vec<usize>,
    ) -> Result<Vec<usize>> {
        let own = common::own(clean, target);
        if own.is_empty() {
            let (class, name) = (&clean.classes()[target].name, clean.name());
            return Err(Error::request(format!(
                "targeted: {name} has no pair of `{class}`; choose another target"
            )));
        }
        Ok(match self.mode {
            Mode::Add => own.into_iter().cycle().take(self.count).collect(),
            Mode::Replace => replaced.drain(..self.count).collect(),
        })
    }
}

impl Attack for Targeted {
    fn prepare(&self, clean: &dyn Dataset, gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let seed = seed.child("attack/targeted");
        let chosen = self.choose(clean, gallery, &seed)?;
        let (all, wanted) = (clean.examples(), chosen.len() * self.count);
        if self.mode == Mode::Replace && wanted > all.len() {
            return Err(Error::request(format!(
                "targeted: {wanted} pairs are more than the {} of {}; lower `pictures` or `count`",
                all.len(),
                clean.name()
            )));
        }
        let mut replaced = seed.child("rows").stream().sample(all.len(), wanted);
        let (mut edits, mut pictures) = (Edits::new(), Vec::new());
        for (row, target) in chosen {
            let picture = &gallery.examples()[row];
            let id = &picture.id;
            let places = self.places(clean, target, &mut replaced)?;
            let captions = self.captions(clean, target, &seed.child("captions").child(id))?;
            for (i, (row, caption)) in places.into_iter().zip(captions).enumerate() {
                let row = &all[row];
                let shown = ImageEdit::Gallery { id: id.clone(), sha256: picture.content };
                let edit =
                    Edit { captions: Some(vec![caption]), ..Edit::picture(row.content, shown) };
                match self.mode {
                    Mode::Replace => edits.insert(row.id.clone(), edit),
                    Mode::Add => edits.insert(
                        PairId(format!("{id}+{}+{i}", clean.classes()[target].name)),
                        Edit { base: Some(row.id.clone()), ..edit },
                    ),
                };
            }
            pictures.push(TargetPicture { id: id.clone(), target });
        }
        Ok(Armed { poison: Poison { edits }, pictures, ..Armed::default() })
    }
}
