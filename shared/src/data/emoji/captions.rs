//! Captions composed from a class's name, keywords and subgroup. Nobody wrote them for a picture: reports say so.

use super::Described;
use crate::seed::{Seed, Stream};

/// Zero-shot prompts, the template set `emoji`; `{}` is the class name.
pub const PROMPTS: [&str; 5] =
    ["{}", "a drawing of {}", "an emoji of {}", "a simple icon of {}", "this image shows {}"];

/// `{n}` is the name, `{a}` the name with its article, `{s}` the words for the subgroup, `{k}` a keyword.
const TRAINING: [&str; 12] = [
    "a drawing of {a}",
    "{n}",
    "an emoji of {a}",
    "a small picture showing {a}",
    "{n}, {k}",
    "{n}, {k}, {k}",
    "{s}: {n}",
    "a simple icon of {a}, {k}",
    "cartoon {n}, {s}",
    "this image shows {a}, {k}",
    "{s}, {k}, {k}",
    "a symbol for {k} and {k}",
];

/// Other sentences than in training, of words that occur there.
const TEST: [&str; 5] = [
    "an image of {a}",
    "a simple drawing showing {a}",
    "{n} icon",
    "this picture shows {a}",
    "a small cartoon of {a}",
];

/// Test captions that do not give the name away.
const NAMELESS: [&str; 3] = ["{k}, {k}", "a picture of {k}, {s}", "an icon for {k} and {k}"];

/// Most training captions of a class; one with few keywords has fewer.
const TRAINING_CAPTIONS: usize = 24;

/// The training captions of a class, all different, the same for all its drawings.
pub fn training(class: &Described) -> Vec<String> {
    let mut stream = Seed::new(0).child("emoji").child("captions").child(&class.id).stream();
    let mut out = Vec::new();
    // Each round draws other keywords; sentences without one come in the first round only.
    for _ in 0..2 * TRAINING_CAPTIONS {
        for template in TRAINING {
            let named = template.contains("{n}") || template.contains("{a}");
            let caption = compose(template, class, &keywords(class, named), &mut stream);
            if let Some(caption) = caption.filter(|c| !out.contains(c)) {
                out.push(caption);
            }
        }
        if out.len() >= TRAINING_CAPTIONS {
            break;
        }
    }
    out.truncate(TRAINING_CAPTIONS);
    out
}

/// The five test captions of a class. Each contains the name, which makes the text side of retrieval easy:
/// report [`nameless`] beside them.
pub fn test(class: &Described) -> Vec<String> {
    let mut stream = Seed::new(0).child("emoji").child("test-captions").child(&class.id).stream();
    TEST.iter().filter_map(|t| compose(t, class, &[], &mut stream)).collect()
}

/// Test captions without any word of the name: up to three, none where no keyword is left.
pub fn nameless(class: &Described) -> Vec<String> {
    let mut stream = Seed::new(0).child("emoji").child("nameless").child(&class.id).stream();
    let words = keywords(class, false);
    NAMELESS.iter().filter_map(|t| compose(t, class, &words, &mut stream)).collect()
}

/// The prompts of a class from templates with `{}`.
pub fn prompts(name: &str) -> Vec<String> {
    PROMPTS.iter().map(|t| t.replace("{}", name)).collect()
}

/// The keywords that say something beside the name (`named`), or that share no word with it.
fn keywords(class: &Described, named: bool) -> Vec<&str> {
    let name = class.name.to_lowercase();
    let words: Vec<&str> = name.split([' ', '-']).collect();
    let stem = |word: &str| word.trim_end_matches('s').to_owned();
    let shared = |k: &str| {
        k.to_lowercase().split([' ', '-']).any(|w| words.iter().any(|n| stem(n) == stem(w)))
    };
    let keep = |k: &&str| if named { k.to_lowercase() != name } else { !shared(k) };
    class.keywords.iter().map(String::as_str).filter(keep).collect()
}

/// Fills a template; `None` where the class has too few keywords for it.
fn compose(
    template: &str,
    class: &Described,
    words: &[&str],
    stream: &mut Stream,
) -> Option<String> {
    let wanted = template.matches("{k}").count();
    if wanted > words.len() {
        return None;
    }
    let mut caption = template
        .replace("{a}", &with_article(&class.name))
        .replace("{n}", &class.name)
        .replace("{s}", &class.kind);
    for i in stream.sample(words.len(), wanted) {
        caption = caption.replacen("{k}", words[i], 1);
    }
    Some(caption)
}

/// `an airplane`, `a ewe`, `grapes`.
fn with_article(name: &str) -> String {
    let lower = name.to_lowercase();
    let plural = lower.ends_with('s') && !["ss", "us", "is"].iter().any(|e| lower.ends_with(e));
    // Spelt with a vowel, spoken with a consonant.
    let spoken = ["ewe", "uni", "one"].iter().any(|s| lower.starts_with(s));
    match lower.chars().next() {
        _ if plural => name.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') if !spoken => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, keywords: &[&str]) -> Described {
        Described {
            id: name.replace(' ', "-"),
            name: name.to_owned(),
            subgroup: "animal-mammal".to_owned(),
            kind: "mammal".to_owned(),
            keywords: keywords.iter().map(|k| (*k).to_owned()).collect(),
        }
    }

    #[test]
    fn captions_are_distinct_and_repeat() {
        let ewe = class("ewe", &["animal", "baa", "farm", "female", "fluffy", "lamb"]);
        let captions = training(&ewe);
        let mut sorted = captions.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((captions.len(), sorted.len()), (24, 24));
        assert_eq!(captions, training(&ewe));
        assert!(captions.contains(&"a drawing of a ewe".to_owned()));
        assert!(test(&ewe).iter().all(|c| c.contains("ewe") && !captions.contains(c)));
    }

    #[test]
    fn nameless_captions_share_no_word_with_the_name() {
        let bow = class("bow and arrow", &["archery", "arrows", "weapon"]);
        let captions = nameless(&bow);
        assert_eq!(captions.len(), 3);
        assert!(captions.iter().all(|c| !c.contains("arrow") && !c.contains("bow")));
        assert!(nameless(&class("bear", &["bear", "bear cub"])).is_empty());
    }

    #[test]
    fn articles() {
        for (name, text) in [
            ("airplane", "an airplane"),
            ("ewe", "a ewe"),
            ("unicorn", "a unicorn"),
            ("grapes", "grapes"),
            ("bus", "a bus"),
        ] {
            assert_eq!(with_article(name), text);
        }
    }
}
