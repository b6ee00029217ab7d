//! Names that come from outside.

/// The longest name of a submitter.
pub(crate) const SUBMITTER: usize = 39;
/// The longest name of a submission.
pub(crate) const NAME: usize = 64;

/// Whether a name is lower-case ASCII words with hyphens between: it is a folder, a part of an address, and looks like
/// no other name.
pub(crate) fn is_kebab(name: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let word = |word: &str| !word.is_empty() && word.chars().all(plain);
    name.len() <= longest && name.split('-').all(word)
}

/// Whether a text is so many lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "tiny-vit", "2026-run-3"] {
            assert!(is_kebab(name, NAME), "{name}");
        }
        let long = "a".repeat(NAME + 1);
        for name in [
            "",
            "-",
            "a-",
            "-a",
            "a--b",
            "A",
            "a b",
            "a/b",
            "..",
            "a.b",
            "ä",
            "а",
            "a\u{200b}",
            "a\0",
            "a\u{202e}b",
            "<b>",
            "a';--",
            &long,
        ] {
            assert!(!is_kebab(name, NAME), "{name:?}");
        }
    }

    #[test]
    fn digits_are_counted_and_lower_case() {
        assert!(is_hex("0f", 2) && is_hex("", 0));
        assert!(!is_hex("AB", 2) && !is_hex("a", 2) && !is_hex("g0", 2));
    }
}
