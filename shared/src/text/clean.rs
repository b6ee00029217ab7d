//! What open_clip does to a caption before it looks at its tokens: ftfy's repairs, HTML twice unescaped, white space
//! collapsed, lower case. Stated anew from what those programs do, and compared with them on thousands of captions
//! (`golden/clip_tokens.py`).
//!
//! Of ftfy's repairs one is narrower here: text whose encoding was mistaken is repaired where it was UTF-8 read as
//! Latin-1 or Windows-1252 ([`super::mojibake`]); ftfy also tries seven encodings that are rare in captions.

use unicode_normalization::UnicodeNormalization as _;

use super::mojibake;

/// A caption as CLIP's vocabulary reads it.
pub fn clean(text: &str) -> String {
    let text = htmlize::unescape(&*repair(text)).into_owned();
    let text = htmlize::unescape(text).into_owned();
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Python's white space, which has four separators of files more than Unicode's.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// ftfy's `fix_text`: line by line, until nothing changes. Once a line has a `<`, it and those after it are taken for
/// markup, in which entities stay.
fn repair(text: &str) -> String {
    let (mut out, mut markup) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        markup |= line.contains('<');
        out += &repair_line(line, markup);
    }
    out
}

fn repair_line(line: &str, markup: bool) -> String {
    let mut text = line.to_owned();
    // Every round that changes something shortens the text or takes a character out of a finite set; the bound is for
    // what nobody thought of.
    for _ in 0..16 {
        let before = text.clone();
        if !markup {
            text = unescape(&text);
        }
        text = mojibake::repair(&text);
        text = characters(&text);
        text = without_escapes(&lines(&text));
        text.retain(|c| !is_unwanted(c));
        text = text.nfc().collect();
        if text == before {
            break;
        }
    }
    text
}

/// Entities that end in a semicolon: by number, by name, and by a name that was turned to capitals.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out += &rest[..start];
        rest = &rest[start..];
        let end = entity_end(rest);
        let (entity, after) = rest.split_at(end.unwrap_or(1));
        match end.and_then(|_| resolve(entity)) {
            Some(text) => out += &text,
            None => out += entity,
        }
        rest = after;
    }
    out + rest
}

/// The length of an entity at the start: `&`, perhaps `#`, 1 to 24 letters and digits, `;`.
fn entity_end(text: &str) -> Option<usize> {
    let name = text[1..].strip_prefix('#').unwrap_or(&text[1..]);
    let start = text.len() - name.len();
    let length = name.find(|c: char| !c.is_ascii_alphanumeric())?;
    let whole = (1..=24).contains(&length) && name[length..].starts_with(';');
    whole.then_some(start + length + 1)
}

fn resolve(entity: &str) -> Option<String> {
    let whole = |entity: &str| {
        let text = htmlize::unescape(entity).into_owned();
        (text != entity && !text.ends_with(';')).then_some(text)
    };
    let name = &entity[1..entity.len() - 1];
    let shouted = !name.starts_with('#') && name.chars().all(|c| !c.is_ascii_lowercase());
    whole(entity).or_else(|| {
        let lower = shouted.then(|| whole(&entity.to_lowercase()))??;
        Some(lower.to_uppercase())
    })
}

/// Controls of Windows-1252, Latin ligatures, forms of other widths and curly quotes become plain characters.
fn characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{80}'..='\u{9f}' => out.push(mojibake::windows_1252(c as u8)),
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' => out.push('"'),
            '\u{3000}' => out.push(' '),
            '\u{ff01}'..='\u{ffef}' => out.extend(std::iter::once(c).nfkc()),
            _ => match ligature(c) {
                Some(letters) => out += letters,
                None => out.push(c),
            },
        }
    }
    out
}

fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "ʼn",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// All ways to end a line become one.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n")
}

/// Without the sequences that colour a terminal: escape, `[`, digits and semicolons, a letter.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.filter(|&end| part[end..].starts_with(|c: char| c.is_ascii_alphabetic())) {
            Some(end) => out += &part[end + 1..],
            None => {
                out += "\u{1b}[";
                out += part;
            }
        }
    }
    out
}

/// Controls that no text means: those of ASCII but for white space, old Arabic ones, annotations, placeholders, byte order.
fn is_unwanted(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cleaned() {
        for (text, cleaned) in [
            ("  A  Drawing\tof\r\na FOX ", "a drawing of a fox"),
            ("Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "broken text… it's flubberific!"),
            ("P&EACUTE;REZ &amp;amp;amp; co", "pérez & co"),
            ("ＬＯＵＤ　ＮＯＩＳＥＳ", "loud noises"),
            ("<b>5 &lt; 6</b>", "<b>5 < 6</b>"),
            ("this&not that &notanentity;", "this¬ that ¬anentity;"),
            ("\u{1b}[36;44mblue\u{1b}[0m \u{feff}x\u{0}y", "blue xy"),
            ("“It‘s” a\u{a0}b\u{85}c", "\"it's\" a b…c"),
            ("sÃ³ âœ” voilÃ\u{a0}", "só ✔ voilà"),
            ("", ""),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn cleaning_ends_on_anything() {
        let mut text = String::new();
        for c in (0u32..0x3000).chain(0xd7f0..0xe010).filter_map(char::from_u32) {
            text.push(c);
            if text.len() > 200 {
                assert_eq!(clean(&clean(&text)).is_empty(), clean(&text).is_empty());
                text.clear();
            }
        }
    }
}
