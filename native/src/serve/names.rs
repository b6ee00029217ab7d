//! Names that come from outside, and identifiers that we make.

use crate::failure::{Failure, Result};

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

/// So many bytes of the system's generator, as hexadecimal digits: nobody can guess them, no seed repeats them.
///
/// # Errors
/// If the system has none.
pub(crate) fn secret<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::failed(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
    fn secrets_differ() {
        let (one, two) = (secret::<16>().unwrap(), secret::<16>().unwrap());
        assert!(is_hex(&one, 32) && is_hex(&two, 32) && one != two);
        assert!(!is_hex("AB", 2) && !is_hex("a", 2) && !is_hex("g0", 2));
    }
}
