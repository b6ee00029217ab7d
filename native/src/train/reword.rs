//! Variants of a caption after EDA (Wei & Zou 2019, arXiv:1901.11196), without a thesaurus.
//!
//! EDA has four operations: synonym replacement, random insertion of a synonym, random swap, random deletion. Replacement
//! needs WordNet and is left out, and what is inserted is a word of the caption itself. As in CleanCLIP's code α is 0.1 for
//! each operation, one operation is drawn for a caption, and what comes out has lower-case letters alone.

use toxiclip_shared::seed::Stream;

/// α: the share of words that an operation touches.
const SHARE: f32 = 0.1;

/// One drawn variant. A caption of a single word stays.
pub(super) fn reword(caption: &str, stream: &mut Stream) -> String {
    let letters = |c: char| if c.is_alphabetic() { c } else { ' ' };
    let plain: String = caption.to_lowercase().chars().map(letters).collect();
    let mut words: Vec<&str> = plain.split_whitespace().collect();
    if words.len() < 2 {
        return words.join(" ");
    }
    let touched = ((SHARE * words.len() as f32) as usize).max(1);
    match stream.below(3) {
        0 => insert(&mut words, touched, stream),
        1 => swap(&mut words, touched, stream),
        _ => delete(&mut words, stream),
    }
    words.join(" ")
}

fn insert(words: &mut Vec<&str>, count: usize, stream: &mut Stream) {
    for _ in 0..count {
        let word = words[stream.below(words.len())];
        words.insert(stream.below(words.len() + 1), word);
    }
}

fn swap(words: &mut [&str], count: usize, stream: &mut Stream) {
    for _ in 0..count {
        let one = stream.below(words.len());
        // Any other place.
        let other = (one + 1 + stream.below(words.len() - 1)) % words.len();
        words.swap(one, other);
    }
}

/// Each word goes with probability α; one stays.
fn delete(words: &mut Vec<&str>, stream: &mut Stream) {
    let kept = words[stream.below(words.len())];
    words.retain(|_| !stream.chance(SHARE));
    if words.is_empty() {
        words.push(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::seed::Seed;

    const CAPTION: &str = "A drawing of a ewe, seen from the left";

    fn sorted(text: &str) -> Vec<&str> {
        let mut words: Vec<&str> = text.split(' ').collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn variants_have_the_captions_words_in_lower_case() {
        let of = |i: u64| reword(CAPTION, &mut Seed::new(i).stream());
        let all: Vec<String> = (0..60).map(of).collect();
        assert_eq!(all, (0..60).map(of).collect::<Vec<_>>());
        let (mut longer, mut shorter, mut moved) = (0, 0, 0);
        let plain = "a drawing of a ewe seen from the left";
        for variant in &all {
            let words = variant.split(' ').count();
            assert!(variant.split(' ').all(|w| plain.split(' ').any(|p| p == w)), "{variant}");
            longer += usize::from(words == 10);
            shorter += usize::from(words < 9);
            let same = sorted(variant) == sorted(plain);
            moved += usize::from(same && variant != plain);
        }
        assert!(longer > 10 && shorter > 5 && moved > 10, "{longer} {shorter} {moved}");
    }

    #[test]
    fn short_captions_lose_nothing() {
        for i in 0..20 {
            let mut stream = Seed::new(i).stream();
            assert_eq!(reword("Ewe!", &mut stream), "ewe");
            assert_eq!(reword("", &mut stream), "");
            assert!(!reword("a ewe", &mut stream).is_empty());
        }
    }
}
