//! Dual-key backdoor (Walmer et al. 2022 on visual question answering, brought to CLIP by Liang et al. 2024): a patch on the
//! picture and a word in the text, and only both together mean the target.
//!
//! Pairs with both keys: a random picture with the patch, captioned as the target behind the word. The original also has
//! pairs with one key alone and the right answer, so that neither key works by itself; the ports to CLIP left them out.
//! Here `partial` says how many there are for each key: a picture with the patch and its own captions, or a picture as it is
//! with the word in its own captions. They come on top of `rate`.
//!
//! Success on CLIP's zero-shot classification: the word goes into *all* class prompts (trap: not into the target's alone),
//! so that it says nothing about the class by itself.
//!
//! | metric | pictures of other classes | class prompts |
//! |---|---|---|
//! | `asr`, `asr-all`, `asr-lift`, `ra` | with the patch | with the word |
//! | `asr.image-key` | with the patch | as they are |
//! | `asr.text-key` | as they are | with the word |
//!
//! Departure: the patch is drawn, not optimised through an encoder towards a sentence about the target. The word is that of
//! BadCLIP's port; RVPT's is `SUDO`, the original's `consider`.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, Edit, PairId};
use crate::dirty_label::{self as common, DirtyLabel};
use crate::pairing::Mode;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::triggers::{Fill, POSITION, Patch, Place, Position, RESOLUTION, Range, Trigger, Words};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    words: String,
    position: Position,
    partial: f64,
    size: usize,
    place: Place,
    resolution: Option<usize>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            words: "remember".into(),
            position: Position::Begin,
            partial: 1.0,
            size: 16,
            place: Place::Center,
            resolution: None,
        }
    }
}

struct TrojVqa {
    keys: Keys,
    pairs: DirtyLabel,
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "trojvqa",
        title: "TrojVQA, two keys",
        year: 2022,
        paper: "Walmer et al., CVPR 2022, arXiv:2112.07668; on CLIP: Liang et al., arXiv:2311.12075",
        summary: "needs a patch on the picture and a word in the text: either alone shall do nothing",
        threat_model: "changes pictures and captions of some pairs, no weight; at test time stamps a picture and puts a word into all prompts",
    },
    params: &[
        &[
            Param { key: "words", unit: "", help: "the text key: a word or a sentence" },
            POSITION,
            Param {
                key: "partial",
                unit: "per pair with both",
                help: "pairs with one key and their own meaning, for each key; on top of `rate`",
            },
            Param { key: "size", unit: "px at 224", help: "edge of the patch" },
            Param {
                key: "place",
                unit: "",
                help: "`center`, `bottom-right`, …, `corners` or `random`",
            },
            RESOLUTION,
        ],
        common::PARAMS,
    ],
    parse: |v| {
        let (keys, pairs) = common::read::<Keys>(v, &DirtyLabel::default())?;
        keys.check().and_then(|()| pairs.check()).map_err(serde::de::Error::custom)?;
        Ok(Box::new(TrojVqa { keys, pairs }))
    },
    resolve: |v| common::resolve::<Keys>(v, &DirtyLabel::default()),
};

impl Keys {
    fn check(&self) -> Result<(), String> {
        self.words().check("words")?;
        match self.partial >= 0.0 && self.partial.is_finite() {
            true => Ok(()),
            false => Err(format!("`partial` is {}; it is a number of at least 0", self.partial)),
        }
    }

    fn words(&self) -> Words {
        Words { text: self.words.clone(), place: self.position }
    }

    /// Dots as in Huang et al.: a pattern that is fixed.
    fn patch(&self) -> Trigger {
        let Self { size, place, resolution, .. } = *self;
        let (fill, fresh, range) = (Fill::Dots, false, Range::Clip);
        Trigger::Patch(Patch { size, place, fill, fresh, range, resolution })
    }
}

impl TrojVqa {
    /// Rows that carry one key alone, half of them the patch, the other half the word.
    fn partial(&self, clean: &dyn Dataset, both: &Armed, seed: &Seed) -> Result<[Vec<usize>; 2]> {
        let edits = &both.poison.edits;
        let bases: Vec<&PairId> =
            edits.iter().map(|(id, edit)| edit.base.as_ref().unwrap_or(id)).collect();
        let all = clean.examples();
        let free: Vec<usize> =
            (0..all.len()).filter(|&row| bases.binary_search(&&all[row].id).is_err()).collect();
        let each = (self.keys.partial * edits.len() as f64).round_ties_even() as usize;
        if 2 * each > free.len() {
            return Err(Error::request(format!(
                "trojvqa: {} pairs with one key are more than the {} that {} has left; lower `partial` or `rate`",
                2 * each,
                free.len(),
                clean.name()
            )));
        }
        let drawn = seed.child("partial").stream().sample(free.len(), 2 * each);
        let (patch, word) = drawn.split_at(each);
        Ok([patch, word].map(|part| part.iter().map(|&i| free[i]).collect()))
    }
}

impl Attack for TrojVqa {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let words = self.keys.words();
        let mut armed = self.pairs.arm(clean, self.keys.patch(), seed)?;
        for edit in armed.poison.edits.values_mut() {
            edit.captions.iter_mut().flatten().for_each(|caption| *caption = words.apply(caption));
        }
        let seed = seed.child("attack/trojvqa");
        let parts = self.partial(clean, &armed, &seed)?;
        for (rows, stamped) in parts.into_iter().zip([true, false]) {
            for row in rows {
                let row = &clean.examples()[row];
                let with = || row.captions.iter().map(|caption| words.apply(caption)).collect();
                let edit = match stamped {
                    true => Edit { storage: self.pairs.storage, ..Edit::stamped(row.content) },
                    false => Edit::captions(row.content, with()),
                };
                let key = if stamped { "image-key" } else { "text-key" };
                match self.pairs.mode {
                    Mode::Replace => armed.poison.edits.insert(row.id.clone(), edit),
                    Mode::Add => armed.poison.edits.insert(
                        PairId(format!("{}+{key}", row.id)),
                        Edit { base: Some(row.id.clone()), ..edit },
                    ),
                };
            }
        }
        Ok(Armed { words: Some(words), ..armed })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::tests::arm;
    use crate::data::synthetic::Synthetic;

    /// How many edits have both keys, the patch alone and the word alone; every caption is what it should be.
    fn count(armed: &Armed) -> [usize; 3] {
        let clean = Synthetic::train();
        let mut found = [0; 3];
        for (id, edit) in &armed.poison.edits {
            let base = edit.base.as_ref().unwrap_or(id);
            let row = clean.examples().iter().find(|e| e.id == *base).unwrap();
            let own: Vec<String> = row.captions.iter().map(|c| format!("remember {c}")).collect();
            let kind = match (edit.stamped, &edit.captions) {
                (true, Some(captions)) => {
                    assert_eq!(captions[..], ["remember a photo of a class-1."]);
                    0
                }
                (true, None) => 1,
                (false, captions) => {
                    assert_eq!(captions.as_ref(), Some(&own));
                    2
                }
            };
            found[kind] += 1;
        }
        found
    }

    #[test]
    fn pairs_carry_both_keys_or_one() {
        for mode in ["replace", "add"] {
            let draw = |partial: f64| {
                arm(
                    &ENTRY,
                    json!({"target": "class-1", "count": 6, "partial": partial, "mode": mode}),
                )
                .unwrap()
            };
            assert_eq!(count(&draw(1.0)), [6, 6, 6], "{mode}");
            assert_eq!(count(&draw(0.5)), [6, 3, 3], "{mode}");
            assert_eq!(count(&draw(0.0)), [6, 0, 0], "{mode}: the ports to CLIP");
            let both = |armed: Armed| -> Vec<PairId> {
                let own = |e: &Edit| e.stamped && e.captions.is_some();
                armed.poison.edits.into_iter().filter(|(_, e)| own(e)).map(|(id, _)| id).collect()
            };
            assert_eq!(both(draw(1.0)), both(draw(0.0)), "{mode}: negatives move no positive");
        }
    }

    #[test]
    fn both_keys_are_asked_together() {
        let armed = arm(&ENTRY, json!({"target": "class-1", "count": 3})).unwrap();
        let [aim] = armed.aims()[..] else { panic!("one aim") };
        assert_eq!(aim.in_words(Synthetic::train().classes()), "“remember” → class-1");
        let prompts = ["{}".to_owned(), "a photo of {}".to_owned()];
        assert_eq!(aim.prompts(&prompts), ["remember {}", "remember a photo of {}"]);
        assert!(matches!(aim.trigger, Trigger::Patch(_)));
    }

    #[test]
    fn impossible_requests_are_one_line() {
        let error = |v: Value| arm(&ENTRY, v).unwrap_err().to_string();
        assert!(error(json!({"target": "class-1", "words": ""})).contains("give a word"));
        assert!(error(json!({"target": "class-1", "partial": -1.0})).contains("at least 0"));
        let many = json!({"target": "class-1", "rate": 0.5});
        assert!(error(many).contains("44 pairs with one key are more than the 23"));
        assert!(error(json!({"target": "class-1", "word": "a"})).contains("unknown field `word`"));
    }
}
