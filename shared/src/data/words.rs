//! Which class a row's captions speak of, as anybody can read it: by whole words, not by labels.

use std::collections::BTreeMap;

use super::Dataset;

/// The class whose name stands in most captions of a row, as whole words in any case; of several the longest name, then the
/// first. `None` where no caption names a class.
pub fn class_words(data: &dyn Dataset) -> Vec<Option<usize>> {
    let names: Vec<Vec<String>> = data.classes().iter().map(|c| words(&c.name)).collect();
    let mut by_first: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (class, name) in names.iter().enumerate() {
        if let Some(first) = name.first() {
            by_first.entry(first).or_default().push(class);
        }
    }
    let named = |caption: &String| {
        let text = words(caption);
        let mut found: Vec<usize> = Vec::new();
        for (at, word) in text.iter().enumerate() {
            let candidates = by_first.get(word.as_str()).into_iter().flatten();
            found.extend(candidates.filter(|class| text[at..].starts_with(&names[**class])));
        }
        found.sort_unstable();
        found.dedup();
        found
    };
    let of = |captions: &[String]| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        captions.iter().flat_map(named).for_each(|class| *counts.entry(class).or_default() += 1);
        let length = |class: usize| names[class].iter().map(String::len).sum::<usize>();
        let best =
            |(class, count): &(usize, usize)| (*count, length(*class), std::cmp::Reverse(*class));
        counts.into_iter().max_by_key(best).map(|(class, _)| class)
    };
    data.examples().iter().map(|e| of(&e.captions)).collect()
}

/// Runs of letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::Synthetic;

    #[test]
    fn clean_captions_speak_of_their_class() {
        let data = crate::data::emoji::open("emoji").unwrap().train.unwrap();
        let found = class_words(&*data);
        let right = data.examples().iter().zip(&found).filter(|(e, c)| e.class == **c).count();
        assert!(right as f64 > 0.95 * found.len() as f64, "{right} of {}", found.len());
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("A  red-hot Fox's den."), ["a", "red", "hot", "fox", "s", "den"]);
        let data = Synthetic::train();
        assert_eq!(class_words(&data).len(), data.examples().len());
    }
}
