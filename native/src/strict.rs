//! JSON from strangers, read strictly: what two readers could take for two things, or a person for something else, is refused.
//!
//! Refused are keys that come twice, `NaN` and `Infinity`, nesting beyond [`DEPTH`], characters that cannot be seen or turn
//! the direction of writing, and text that looks like HTML. Whoever shows such text escapes it all the same.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Lists and objects within each other at most; ours have eight.
const DEPTH: usize = 32;
/// Bytes of a text at most, and so of a key.
const TEXT: usize = 64 << 10;

/// Checks a JSON document without keeping it.
///
/// # Errors
/// With the first thing that is refused, in one line.
pub fn check(json: &[u8]) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = Strict { depth: 0 }.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|e| match token(json) {
        Some(token) if e.is_syntax() => format!("{token} is no number in JSON ({e})"),
        _ => e.to_string().replace('\n', "\\n"),
    })
}

/// Checks every line of a file of JSON lines, an unfinished last one too.
///
/// # Errors
/// As [`check`], with the number of the line.
pub fn check_lines(lines: &[u8]) -> Result<(), String> {
    let lines = lines.split(|byte| *byte == b'\n').enumerate();
    for (i, line) in lines.filter(|(_, line)| !line.is_empty()) {
        check(line).map_err(|why| format!("line {}: {why}", i + 1))?;
    }
    Ok(())
}

/// Whether `text` may stand where people read it.
///
/// # Errors
/// With the first character or mark that may not.
pub fn text(text: &str) -> Result<(), String> {
    if text.len() > TEXT {
        return Err(format!("a text of {} bytes; {TEXT} are the limit", text.len()));
    }
    if let Some(bad) = text.chars().find(|c| hidden(*c)) {
        return Err(format!("a text has the character U+{:04X}, which cannot be seen", bad as u32));
    }
    let mut after = text.split('<').skip(1).map(|rest| rest.chars().next());
    if after.any(|c| c.is_some_and(|c| c.is_ascii_alphabetic() || "/!?".contains(c))) {
        let shown: String = text.chars().take(40).collect();
        return Err(format!("a text looks like HTML: `{}`", shown.escape_debug()));
    }
    Ok(())
}

/// Whether `name` is a plain word as ours are: lower-case letters of ASCII, digits, and `-_.@/`; no two look alike.
///
/// # Errors
/// If it is not.
pub fn name(what: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.@/".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.');
    match name.len() <= 200 && name.chars().all(plain) && name.split('/').all(part) {
        true => Ok(()),
        false => Err(format!("the {what} `{}` is no plain name", name.escape_default())),
    }
}

/// Control and format characters, among them those that turn the direction of writing, and what has no meaning.
fn hidden(c: char) -> bool {
    let c = u32::from(c);
    match c {
        0x0A | 0x09 => false,
        0..=0x1F | 0x7F..=0x9F | 0xAD | 0x034F | 0x061C | 0x180E => true,
        0x115F | 0x1160 | 0x3164 | 0xFFA0 => true,
        0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F => true,
        0xFE00..=0xFE0F | 0xFEFF | 0xFFF0..=0xFFFB | 0xE000..=0xF8FF => true,
        0xE0000..=0xE0FFF | 0xF0000.. => true,
        _ => c & 0xFFFE == 0xFFFE,
    }
}

/// A word that other writers of JSON put where a number has no value.
fn token(json: &[u8]) -> Option<&'static str> {
    let holds = |token: &str| json.windows(token.len()).any(|part| part == token.as_bytes());
    ["NaN", "Infinity"].into_iter().find(|token| holds(token))
}

/// Reads any value at a depth, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth < DEPTH {
            true => Ok(Self { depth: self.depth + 1 }),
            false => Err(E::custom(format!("more than {DEPTH} lists and objects in each other"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        if number.is_finite() { Ok(()) } else { Err(E::custom("a number is not finite")) }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, said: &str) -> Result<(), E> {
        text(said).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while list.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            text(&key).map_err(A::Error::custom)?;
            map.next_value_seed(inner)?;
            if let Some(twice) = keys.replace(key) {
                return Err(A::Error::custom(format!(
                    "the key `{}` comes twice",
                    twice.escape_debug()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert_eq!(check("{\"a\": [1, -2.5, null, true, \"Schäfer\\n\", {}]}".as_bytes()), Ok(()));
        let deep = "[".repeat(DEPTH + 1) + &"]".repeat(DEPTH + 1);
        for (json, part) in [
            ("{\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}", "the key `c` comes twice"),
            ("{\"a\": 1, \"\\u0061\": 2}", "the key `a` comes twice"),
            ("{\"a\": NaN}", "NaN is no number in JSON"),
            ("[Infinity]", "Infinity is no number in JSON"),
            ("[-Infinity]", "Infinity is no number in JSON"),
            ("1e999", "number out of range"),
            (&deep, "in each other"),
            ("\"evil\\u202egnp.exe\"", "U+202E"),
            ("{\"na\\u200bme\": 1}", "U+200B"),
            ("\"\\u0000\"", "U+0000"),
            ("\"<script>alert(1)</script>\"", "looks like HTML"),
            ("\"</td>\"", "looks like HTML"),
            ("1 2", "trailing characters"),
            ("{\"a\": }", "expected value"),
        ] {
            let why = check(json.as_bytes()).unwrap_err();
            assert!(why.contains(part) && !why.contains('\n'), "{json}: {why}");
        }
        assert_eq!(check(b"\"a < b, 2<3 and x <- y\""), Ok(()));
        let lines = check_lines(b"{}\n\n[NaN]\n").unwrap_err();
        assert!(lines.starts_with("line 3: NaN"), "{lines}");
    }

    #[test]
    fn names_are_words_of_ascii() {
        for good in ["quick", "seed/single-label", "quick@0123abcd", "vit-b-32", "a.b_c"] {
            assert_eq!(name("name", good), Ok(()));
        }
        for bad in ["", "Quick", "quіck", "a b", "../a", "a//b", "/a", "a/.b", "<b>", "a\u{202e}"]
        {
            assert!(name("name", bad).unwrap_err().contains("is no plain name"), "{bad}");
        }
    }
}
