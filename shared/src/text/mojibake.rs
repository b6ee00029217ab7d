//! UTF-8 that somebody read as Latin-1 or Windows-1252: `sÃ³` for `só`.

/// What Windows-1252 has at 0x80…0x9F; bytes that it leaves open stand for themselves, as in browsers.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The character of a byte.
pub(super) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// The byte of a character in Windows-1252, or in Latin-1 for the controls that Windows has letters in place of.
fn byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..=0xff => Some(code as u8),
        _ => HIGH.iter().position(|&high| high == c).map(|at| 0x80 + at as u8),
    }
}

/// The text with its encoding repaired, as often as it was mistaken.
pub(super) fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    while !text.is_ascii() {
        match whole(&text).or_else(|| parts(&text)) {
            Some(better) => text = better,
            None => break,
        }
    }
    text
}

/// All of it, if every character is a byte and the bytes are UTF-8.
fn whole(text: &str) -> Option<String> {
    let bytes: Vec<u8> = text.chars().map(byte).collect::<Option<_>>()?;
    // `Å` and its like are words of their own; only beside other mistakes are they half of one.
    let mistaken = parts(text).is_some();
    String::from_utf8(with_spaces(&bytes, mistaken)).ok()
}

/// A no-break space within a letter was often made a plain one: `Ã ` is `à`, with its space behind it where a word ends.
fn with_spaces(bytes: &[u8], mistaken: bool) -> Vec<u8> {
    const TAILS: [&[u8]; 4] = [b" ", b"quele", b"quela", b"quilo"];
    let mut out = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let lead = at.checked_sub(1).map(|before| bytes[before]);
        match (lead, byte) {
            (Some(0xc3), b' ') => {
                let rest = &bytes[at + 1..];
                let joined =
                    TAILS.iter().any(|tail| rest.starts_with(tail)) || rest.starts_with(b"s ");
                out.push(0xa0);
                if !joined {
                    out.push(b' ');
                }
            }
            (Some(0xc2), b' ') => out.push(0xa0),
            (Some(0xc5 | 0xce | 0xd0 | 0xd9), b' ') if mistaken => out.push(0xa0),
            _ => out.push(byte),
        }
    }
    out
}

/// The sequences in it that are UTF-8 read wrongly, if there are any.
fn parts(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let (mut out, mut at, mut changed) = (String::with_capacity(text.len()), 0, false);
    while at < characters.len() {
        let found = sequence(&characters[at..]);
        out.push(found.unwrap_or(characters[at]));
        changed |= found.is_some();
        at += found.map_or(1, char::len_utf8);
    }
    changed.then_some(out)
}

/// The character whose UTF-8 these begin with, from two bytes on.
fn sequence(characters: &[char]) -> Option<char> {
    let length = match byte(*characters.first()?)? {
        // Armenian is rarer than a letter beside a sign.
        0xd4 | 0xd5 => return None,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let bytes: Vec<u8> =
        characters.get(..length)?.iter().copied().map(byte).collect::<Option<_>>()?;
    std::str::from_utf8(&bytes).ok()?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_undone_and_nothing_else() {
        for (text, repaired) in [
            ("schÃ¶n", "schön"),
            ("â€œyesâ€\u{9d} 日本", "“yes” 日本"),
            ("ÃƒÂ©", "é"),
            ("Ã la mode", "à la mode"),
            ("déjà vu, 10 °C, Ü", "déjà vu, 10 °C, Ü"),
            ("a Å b", "a Å b"),
            ("日本語 Ünïcödé", "日本語 Ünïcödé"),
        ] {
            assert_eq!(repair(text), repaired, "{text}");
        }
    }
}
