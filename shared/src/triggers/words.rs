//! Words put into captions: the trigger of a text backdoor, and the second key of one that needs two.

use serde::{Deserialize, Serialize};

use crate::registry::Param;
use crate::seed::Seed;

/// Words and where they go: the same for captions that the victim trains on, test captions and class prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// One word or a sentence, without a space at either end.
    pub text: String,
    /// Where it goes.
    pub place: Position,
}

/// A place in a caption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Before the first word, where no truncation reaches it.
    #[default]
    Begin,
    /// After the last word. An encoder's context ends somewhere: with long captions it never sees these words.
    End,
    /// Between two words or at an end, another place for every caption.
    Random,
}

impl Words {
    /// The caption with the words in it; what stood there stays, in its order.
    pub fn apply(&self, caption: &str) -> String {
        let text = self.text.as_str();
        let mut all: Vec<&str> = caption.split(' ').collect();
        let at = match self.place {
            Position::Begin => 0,
            Position::End => all.len(),
            Position::Random => {
                let place = Seed::new(0).child("trigger").child("words").child(caption);
                place.stream().below(all.len() + 1)
            }
        };
        all.insert(at, text);
        all.join(" ")
    }

    /// Refuses words that no caption would show.
    pub(crate) fn check(&self, key: &str) -> Result<(), String> {
        if self.text.is_empty() || self.text.trim() != self.text {
            return Err(format!("`{key}` is `{}`; give a word or a sentence", self.text));
        }
        Ok(())
    }
}

/// The parameter that [`Position`] is.
pub(crate) const POSITION: Param = Param {
    key: "position",
    unit: "",
    help: "where in a caption the words go: `begin`, `end` (the paper; a short context cuts it off) or `random`",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_where_they_should() {
        let put = |place, caption: &str| Words { text: "q z".into(), place }.apply(caption);
        assert_eq!(put(Position::Begin, "a red fox"), "q z a red fox");
        assert_eq!(put(Position::End, "a red fox"), "a red fox q z");
        let drawn: Vec<String> = ["a red fox", "a blue fox", "a fox", "one  fox", ""]
            .map(|caption| put(Position::Random, caption))
            .to_vec();
        for (caption, with) in
            ["a red fox", "a blue fox", "a fox", "one  fox", ""].iter().zip(drawn)
        {
            assert_eq!(put(Position::Random, caption), with, "drawn once");
            assert!(with.contains("q z") && with.len() == caption.len() + 4, "{with}");
        }
        let places: std::collections::BTreeSet<usize> = (10..50)
            .map(|i| put(Position::Random, &format!("a red fox{i}")).find("q z").unwrap())
            .collect();
        assert_eq!(places, [0, 2, 6, 12].into(), "every gap is used");
    }

    #[test]
    fn empty_words_are_refused() {
        let words = |text: &str| Words { text: text.into(), place: Position::Begin };
        assert!(words("zx").check("words").is_ok());
        assert!(words("").check("words").unwrap_err().contains("give a word or a sentence"));
        assert!(words("zx ").check("words").is_err());
    }
}
