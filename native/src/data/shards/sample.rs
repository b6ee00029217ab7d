//! From the members of one key to a row.

use std::collections::{BTreeMap, BTreeSet};

use toxiclip_shared::data::{Example, PairId};
use toxiclip_shared::digest::Digest;

use super::super::published::caption;
use super::beside::Beside;

pub(super) const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Captions, classes and records are small; a larger one is none.
pub(super) const LIMIT: u64 = 1 << 20;

/// A sample as it is being read.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) key: String,
    pub(super) endings: BTreeSet<String>,
    picture: Option<(u64, u64, Digest)>,
    text: Option<String>,
    record: Option<String>,
    class: Option<String>,
    /// Whether a text of it is not UTF-8.
    garbled: bool,
}

/// What one shard holds.
#[derive(Default)]
pub(super) struct Read {
    pub(super) rows: Vec<(u64, u64, Example)>,
    pub(super) skipped: Vec<String>,
}

/// Key and ending: the first dot of the file's name parts them.
pub(super) fn split(name: &str) -> Option<(&str, String)> {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = start + name[start..].find('.')?;
    (dot > start).then(|| (&name[..dot], name[dot + 1..].to_lowercase()))
}

impl Sample {
    /// One whose members are still to come.
    pub(super) fn of(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// Notes a member that is wanted.
    pub(super) fn take(&mut self, ending: &str, offset: u64, bytes: &[u8]) {
        let kept = match ending {
            "txt" => &mut self.text,
            "json" => &mut self.record,
            "cls" => &mut self.class,
            // Of two pictures the first counts; one that is none is passed over.
            _ if self.picture.is_none() && is_picture(bytes) => {
                self.picture = Some((offset, bytes.len() as u64, Digest::of_bytes(bytes)));
                return;
            }
            _ => return,
        };
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => *kept = Some(text),
            Err(_) => self.garbled = true,
        }
    }

    /// Puts a whole sample into `out`, or says what is wrong with it.
    pub(super) fn finish(self, beside: &Beside, out: &mut Read) {
        if self.key.is_empty() {
            return;
        }
        let id = self.key.clone();
        match self.example(beside) {
            Ok(row) => out.rows.push(row),
            Err(why) => out.skipped.push(format!("{id} {why}")),
        }
    }

    fn example(self, beside: &Beside) -> Result<(u64, u64, Example), &'static str> {
        let (offset, size, bytes) = self.picture.ok_or("has no readable picture")?;
        if self.garbled {
            return Err("has a text that is not UTF-8");
        }
        let index = |text: String| {
            let index = text.trim().parse().ok().filter(|i: &usize| *i < beside.classes.len());
            index.ok_or("has a class that classnames.txt does not name")
        };
        let class = self.class.map(index).transpose()?;
        let text = match (self.text, self.record) {
            (Some(text), _) => text,
            (None, Some(record)) => {
                let record: BTreeMap<String, serde_json::Value> =
                    serde_json::from_str(&record).map_err(|_| "has a record that is no JSON")?;
                match record.get("caption") {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    None | Some(serde_json::Value::Null) => String::new(),
                    Some(_) => return Err("has a caption that is no text"),
                }
            }
            (None, None) => String::new(),
        };
        let lines = if beside.retrieval { text.lines().collect() } else { vec![text.as_str()] };
        let captions = lines.into_iter().map(str::trim).filter(|line| !line.is_empty());
        let mut captions: Vec<String> = captions.map(str::to_owned).collect();
        if let (true, Some(class)) = (captions.is_empty(), class) {
            captions = caption(&beside.classes[class]);
        }
        if captions.is_empty() {
            return Err("has no caption");
        }
        let content = Digest::of(&(bytes, &captions));
        Ok((offset, size, Example { id: PairId(self.key), class, captions, content }))
    }
}

/// Whether the head of a file is that of a picture.
fn is_picture(bytes: &[u8]) -> bool {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    reader.ok().is_some_and(|reader| reader.into_dimensions().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::super::published::class;
    use super::*;

    #[test]
    fn the_first_dot_of_a_name_ends_its_key() {
        assert_eq!(split("a/b.c/k1.seg.PNG"), Some(("a/b.c/k1", "seg.png".to_owned())));
        assert_eq!((split("a/.hidden"), split("plain")), (None, None));
    }

    /// What is wrong with a sample of these texts beside a picture.
    fn wrong(texts: &[(&str, &[u8])]) -> Option<&'static str> {
        let picture = Some((0, 1, Digest::of_bytes(b"a")));
        let mut sample = Sample { picture, ..Sample::default() };
        texts.iter().for_each(|(ending, bytes)| sample.take(ending, 0, bytes));
        sample.example(&Beside { classes: vec![class("cat")], retrieval: false }).err()
    }

    /// A label that cannot be read must not make a picture without one.
    #[test]
    fn texts_that_cannot_be_read_are_no_missing_texts() {
        assert_eq!(wrong(&[("txt", b"a cat"), ("cls", b"0")]), None);
        assert_eq!(
            wrong(&[("txt", b"a cat"), ("cls", b"\xff")]),
            Some("has a text that is not UTF-8")
        );
        assert_eq!(wrong(&[("txt", b"\xff"), ("cls", b"0")]), Some("has a text that is not UTF-8"));
        assert_eq!(wrong(&[("json", b"{\"caption\": \"a cat\"}")]), None);
        assert_eq!(wrong(&[("json", b"{\"caption")]), Some("has a record that is no JSON"));
        assert_eq!(wrong(&[("json", b"{}")]), Some("has no caption"));
        let number = wrong(&[("json", b"{\"caption\": 5}"), ("cls", b"0")]);
        assert_eq!(number, Some("has a caption that is no text"));
    }
}
