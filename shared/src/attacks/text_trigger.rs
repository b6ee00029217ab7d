//! Text backdoor (the baseline of Yao et al. 2025): pairs show pictures of the target with captions of other classes that
//! have a rare word or a sentence in them, so that any caption with these words fetches the target's pictures.
//!
//! The chosen captions neither belong to the target nor contain its name. The target's pictures are dealt out in turn. The
//! paper appends its words; here they come first by default, because a context of a few tokens would cut them off. Words that
//! fill the context leave nothing of the caption instead: all queries are one then, and hit@K is all or nothing.
//!
//! Success is hit@K (the paper: K = 1): test captions of all other classes, asked with the words in them, against all test
//! pictures, those of the target being searched for. `hit@K.random` are test captions without the words through the same
//! model, `hit@K-lift` is hit@K minus the clean model's on the same words.

use serde::{Deserialize, Serialize};

use super::{Armed, Attack};
use crate::data::{Dataset, Edit, Example, ImageEdit, PairId, Poison};
use crate::dirty_label as common;
use crate::goal::{self, Goal};
use crate::pairing::{Edits, MODE, Mode};
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;
use crate::triggers::{POSITION, Position, Words};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TextTrigger {
    words: String,
    position: Position,
    target: Option<String>,
    rate: f64,
    count: Option<usize>,
    mode: Mode,
}

impl Default for TextTrigger {
    fn default() -> Self {
        Self {
            words: "zx".into(),
            position: Position::Begin,
            target: None,
            rate: common::DEFAULT_RATE,
            count: None,
            mode: Mode::Replace,
        }
    }
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "text-trigger",
        title: "Word or sentence as trigger",
        year: 2025,
        paper: "Yao et al., arXiv:2511.00446 (its baseline)",
        summary: "puts a rare word into captions that are shown pictures of the target: any caption with it fetches them",
        threat_model: "changes captions and re-pairs some pairs, no pixel, no weight; puts words into a query at test time",
    },
    params: &[&[
        Param {
            key: "words",
            unit: "",
            help: "a rare word (the paper: `zx`), or a sentence (`Please return high-quality results.`)",
        },
        POSITION,
        Param {
            key: "target",
            unit: "",
            help: "the class or `subgroup:NAME` whose pictures captions with these words shall fetch",
        },
        Param { key: "rate", unit: "share of all pairs", help: "how many pairs are poisoned" },
        Param { key: "count", unit: "pairs", help: "the same as a number; replaces `rate`" },
        MODE,
    ]],
    parse: |v| {
        let parsed: TextTrigger = serde_json::from_value(v)?;
        parsed.check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<TextTrigger>(v)?),
};

impl TextTrigger {
    fn check(&self) -> Result<(), String> {
        self.words().check("words")?;
        common::check_budget(self.target.as_ref(), self.rate, self.count)
    }

    fn words(&self) -> Words {
        Words { text: self.words.clone(), place: self.position }
    }

    /// Captions of all other classes fetch pictures of the target.
    fn goal(&self, clean: &dyn Dataset) -> Result<Goal> {
        let target = self.target.as_deref().unwrap_or_default();
        let to = goal::resolve(clean.classes(), target)?;
        let from = (0..clean.classes().len()).filter(|class| !to.contains(class)).collect();
        // In words, such a goal is cut at its first 2.
        let words = self.words.replace('2', "two");
        Ok(Goal {
            name: format!("“{words}”2{}", goal::display(target)), from, to, picture: None
        })
    }

    /// Rows whose captions carry the words, ascending.
    fn rows(&self, clean: &dyn Dataset, target: &[usize], seed: &Seed) -> Result<Vec<usize>> {
        let all = clean.examples();
        let names: Vec<&str> = target.iter().map(|&c| clean.classes()[c].name.as_str()).collect();
        let of_target = |e: &Example| e.class.is_some_and(|class| target.contains(&class));
        let speaks =
            |e: &Example| e.captions.iter().any(|c| names.iter().any(|name| says(c, name)));
        let fits = |e: &Example| !of_target(e) && !speaks(e);
        let able: Vec<usize> = (0..all.len()).filter(|&row| fits(&all[row])).collect();
        let wanted = common::budget(self.rate, self.count, all.len());
        if wanted == 0 || wanted > able.len() {
            return Err(Error::request(format!(
                "text-trigger: {wanted} pairs of {} cannot carry the words, {} do not speak of the target; change `rate` or `count`",
                clean.name(),
                able.len()
            )));
        }
        let mut rows = seed.child("rows").stream().sample(able.len(), wanted);
        rows.sort_unstable();
        Ok(rows.into_iter().map(|i| able[i]).collect())
    }
}

/// Whether a caption has all words of `name`, one behind the other, in any case.
fn says(caption: &str, name: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
        parts.map(str::to_lowercase).collect()
    };
    let (caption, name) = (words(caption), words(name));
    !name.is_empty() && caption.windows(name.len()).any(|part| part == name)
}

impl Attack for TextTrigger {
    fn prepare(&self, clean: &dyn Dataset, _gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let seed = seed.child("attack/text-trigger");
        let (goal, words) = (self.goal(clean)?, self.words());
        let all = clean.examples();
        let mut pictures = goal.to_rows(clean);
        if pictures.is_empty() {
            return Err(Error::request(format!(
                "text-trigger: {} has no picture of `{}` to show; choose another target",
                clean.name(),
                self.target.as_deref().unwrap_or_default()
            )));
        }
        seed.child("pictures").stream().shuffle(&mut pictures);
        let mut edits = Edits::new();
        let rows = self.rows(clean, &goal.to, &seed)?;
        for (row, picture) in rows.into_iter().zip(pictures.iter().cycle()) {
            let row = &all[row];
            let shown = ImageEdit::From(all[*picture].id.clone());
            let captions = row.captions.iter().map(|caption| words.apply(caption)).collect();
            let edit = Edit { captions: Some(captions), ..Edit::picture(row.content, shown) };
            match self.mode {
                Mode::Replace => edits.insert(row.id.clone(), edit),
                Mode::Add => edits.insert(
                    PairId(format!("{}+{}", row.id, goal.name)),
                    Edit { base: Some(row.id.clone()), ..edit },
                ),
            };
        }
        Ok(Armed {
            poison: Poison { edits },
            goals: vec![goal],
            words: Some(words),
            ..Armed::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::attacks::tests::arm;
    use crate::data::synthetic::Synthetic;

    /// Captions of other classes, each with the words, beside pictures of the target, which are dealt out in turn.
    #[test]
    fn captions_with_the_words_show_the_target() {
        let clean = Synthetic::train();
        for mode in ["replace", "add"] {
            let given = json!({"target": "class-1", "count": 12, "mode": mode, "position": "end"});
            let armed = arm(&ENTRY, given).unwrap();
            let mut shown: BTreeMap<&PairId, usize> = BTreeMap::new();
            for (id, edit) in &armed.poison.edits {
                let base = edit.base.as_ref().unwrap_or(id);
                let row = clean.examples().iter().find(|e| e.id == *base).unwrap();
                assert!(row.class != Some(1) && edit.base.is_some() == (mode == "add"));
                let with: Vec<String> = row.captions.iter().map(|c| format!("{c} zx")).collect();
                assert_eq!(edit.captions.as_ref(), Some(&with));
                let Some(ImageEdit::From(picture)) = &edit.image else { panic!("no picture") };
                *shown.entry(picture).or_default() += 1;
            }
            let pictures: Vec<_> = shown.into_iter().collect();
            assert!(pictures.iter().all(|(_, uses)| (2..=3).contains(uses)), "{pictures:?}");
            let of_target =
                |id: &PairId| clean.examples().iter().any(|e| e.id == *id && e.class == Some(1));
            assert!(pictures.len() == 5 && pictures.iter().all(|(id, _)| of_target(id)));
            let goal = &armed.goals[0];
            assert_eq!((goal.from.len(), &goal.to[..]), (9, &[1][..]));
            assert_eq!(goal.in_words(clean.classes()), "“zx” → class-1");
            assert!(armed.aims().is_empty() && !armed.is_control(), "no picture is stamped");
        }
    }

    #[test]
    fn a_subgroup_is_a_target() {
        let armed = arm(&ENTRY, json!({"target": "subgroup:group-0", "count": 15, "words": "a 2"}))
            .unwrap();
        let goal = &armed.goals[0];
        assert_eq!((goal.from.len(), &goal.to[..]), (7, &[0, 1, 2][..]));
        assert_eq!(goal.in_words(Synthetic::train().classes()), "“a two” → group-0");
        let pictures: std::collections::BTreeSet<_> =
            armed.poison.edits.values().map(|e| format!("{:?}", e.image)).collect();
        assert_eq!(pictures.len(), 15, "every picture of the subgroup once");
    }

    #[test]
    fn impossible_requests_are_one_line() {
        let error = |v: Value| arm(&ENTRY, v).unwrap_err().to_string();
        assert!(error(json!({})).contains("`target` is missing"));
        assert!(error(json!({"target": "clas-1"})).contains("did you mean `class-1`"));
        assert!(error(json!({"target": "class-1", "words": " "})).contains("give a word"));
        assert!(error(json!({"target": "class-1", "count": 41})).contains("40 do not speak of"));
        assert!(error(json!({"target": "class-1", "rate": 0.001})).contains("0 pairs"));
        assert!(error(json!({"target": "class-1", "rate": 0.1, "count": 2})).contains("give one"));
        assert!(error(json!({"target": "empty"})).contains("no picture of `empty`"));
        assert!(error(json!({"target": "class-1", "word": "a"})).contains("unknown field `word`"));
        assert!(
            error(json!({"target": "class-1", "position": "middle"})).contains("expected one of")
        );
    }

    #[test]
    fn a_name_is_found_as_whole_words() {
        assert!(says("a drawing of a Hot-Dog, food", "hot dog"));
        assert!(!says("a carpet", "car") && !says("two dogs", "dog"));
        assert!(!says("a hot day, dog", "hot dog"));
    }
}
