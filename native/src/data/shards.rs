//! `wds:PATTERN`: tar shards of the WebDataset form, as img2dataset and CLIP_benchmark write them.
//!
//! A member is `KEY.ENDING`, and members of one key stand together: a picture (`jpg`, `jpeg`, `png`, `webp`), its caption
//! (`txt`, or `caption` in `json`) and its class (`cls`, an index into `classnames.txt` beside the shards or one folder up).
//! Where `dataset_type.txt` there says `retrieval`, each line of `txt` is a caption. Only places and digests are kept;
//! pictures are read when asked for. A sample without a picture, a caption or a class is skipped and counted. A shard that
//! does not end as an archive does is an error, unless the pattern ends in `?truncated`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use toxiclip_shared::data::{Class, Dataset, Example, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::{Error, Result as Shared};

use super::photographs::{decode_bytes, digest_of};
use super::published::class;
use crate::failure::{Failure, Result};

const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Captions, classes and records are small; a larger one is none.
const LIMIT: u64 = 1 << 20;

/// Pictures inside archives.
pub(super) struct Shards {
    name: String,
    shards: Vec<PathBuf>,
    /// Shard, offset and bytes of each picture.
    places: Vec<(usize, u64, u64)>,
    classes: Vec<Class>,
    examples: Vec<Example>,
    digest: Digest,
    remark: Option<String>,
}

/// What files beside the shards say.
struct Beside {
    classes: Vec<Class>,
    retrieval: bool,
}

/// A sample as it is being read.
#[derive(Default)]
struct Sample {
    key: String,
    endings: BTreeSet<String>,
    picture: Option<(u64, u64, Digest)>,
    text: Option<String>,
    record: Option<String>,
    class: Option<String>,
    /// Whether a text of it is not UTF-8.
    garbled: bool,
}

/// What one shard holds.
#[derive(Default)]
struct Read {
    rows: Vec<(u64, u64, Example)>,
    skipped: Vec<String>,
}

impl Shards {
    /// Reads every shard once, several at a time.
    ///
    /// # Errors
    /// If a shard is missing, truncated or no archive; if a member's name leaves the archive or comes twice.
    pub(super) fn open(pattern: &str) -> Result<Self> {
        let (paths, partial) = match pattern.strip_suffix("?truncated") {
            Some(paths) => (paths, true),
            None => (pattern, false),
        };
        if paths.contains("://") || paths.starts_with("pipe:") {
            return Err(Failure::request(format!(
                "wds:{paths}: this build reads shards from disk; fetch them first"
            )));
        }
        let shards: Vec<PathBuf> =
            expand(paths).map_err(Failure::request)?.into_iter().map(PathBuf::from).collect();
        let beside = Beside::of(&shards[0])?;
        let read =
            |shard: &PathBuf| read(shard, &beside, partial).map_err(|e| e.during(shard.display()));
        let read: Vec<Read> = shards.par_iter().map(read).collect::<Result<_>>()?;
        let mut skipped = Vec::new();
        let (mut places, mut examples) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for (shard, part) in read.into_iter().enumerate() {
            skipped.extend(part.skipped);
            for (offset, size, example) in part.rows {
                if !known.insert(example.id.0.clone()) {
                    let (shard, id) = (shards[shard].display(), &example.id);
                    return Err(Failure::request(format!(
                        "{shard}: the key {id} comes twice; keys name samples"
                    )));
                }
                places.push((shard, offset, size));
                examples.push(example);
            }
        }
        if examples.is_empty() {
            return Err(Failure::request(format!(
                "wds:{paths}: no sample with a picture and a caption"
            )));
        }
        let remark = skipped.first().map(|first| {
            let all = examples.len() + skipped.len();
            format!("wds:{paths}: {} of {all} samples skipped, the first: {first}", skipped.len())
        });
        let classes = beside.classes;
        let digest = digest_of(&classes, &examples);
        Ok(Self { name: format!("wds:{paths}"), shards, places, classes, examples, digest, remark })
    }
}

impl Dataset for Shards {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Shared<Image> {
        let (shard, offset, size) = self.places[index];
        let path = &self.shards[shard];
        let io = |source| Error::Io { path: path.display().to_string(), source };
        let mut file = File::open(path).map_err(io)?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes).map_err(io)?;
        decode_bytes(&format!("{}: {}", path.display(), self.examples[index].id), &bytes)
    }
    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }
}

impl Beside {
    fn of(shard: &Path) -> Result<Self> {
        let names = beside(shard, "classnames.txt")?.map(|(_, names)| names).unwrap_or_default();
        let classes = names.lines().map(|name| class(name.trim())).collect();
        let kind = beside(shard, "dataset_type.txt")?;
        let retrieval = kind.is_some_and(|(_, kind)| kind.trim() == "retrieval");
        Ok(Self { classes, retrieval })
    }
}

/// A file in the folder of the shards or the one above it: where it lies, and its text.
fn beside(shard: &Path, name: &str) -> Result<Option<(PathBuf, String)>> {
    let mut places = shard.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let Some(path) = places.find(|path| path.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::io(&path, &e))?;
    Ok(Some((path, text)))
}

/// Class prompts beside the shards, one a line, with `{}` for the `{c}` that CLIP_benchmark writes.
///
/// # Errors
/// If a line has neither.
pub(super) fn templates(pattern: &str) -> Result<Option<Vec<String>>> {
    let paths = pattern.strip_suffix("?truncated").unwrap_or(pattern);
    let shards = expand(paths).map_err(Failure::request)?;
    let shard = shards.first().map_or(paths, String::as_str);
    let file = "zeroshot_classification_templates.txt";
    let Some((path, text)) = beside(Path::new(shard), file)? else { return Ok(None) };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let all: Vec<String> = lines.map(|line| line.replace("{c}", "{}")).collect();
    match all.iter().find(|line| !line.contains("{}")) {
        Some(line) => Err(Failure::request(format!(
            "{}: the prompt `{line}` has no {{c}} for the class",
            path.display()
        ))),
        None => Ok((!all.is_empty()).then_some(all)),
    }
}

fn read(shard: &Path, beside: &Beside, partial: bool) -> Result<Read> {
    let io = |e: std::io::Error| Failure::io(shard, &e);
    let mut file = File::open(shard).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let whole = ends(&mut file, length).map_err(io)?;
    if !whole && !partial {
        return Err(cut());
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut out = Read::default();
    let mut sample = Sample::default();
    let mut buffer = Vec::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(io)? {
        let mut entry = match entry {
            Ok(entry) => entry,
            // The end of a cut shard is no header.
            Err(_) if partial && !whole => break,
            Err(e) => return Err(Failure::request(format!("is no tar archive ({e})"))),
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        check_name(&name)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(size).is_none_or(|end| end > length) {
            if partial && !whole {
                break;
            }
            return Err(cut());
        }
        let Some((key, ending)) = split(&name) else { continue };
        if key != sample.key {
            let done =
                std::mem::replace(&mut sample, Sample { key: key.to_owned(), ..Sample::default() });
            done.finish(beside, &mut out);
        }
        if !sample.endings.insert(ending.clone()) {
            return Err(Failure::request(format!("{name} comes twice; remove one")));
        }
        let picture = PICTURES.contains(&ending.as_str());
        if !(picture || size <= LIMIT && ["txt", "json", "cls"].contains(&ending.as_str())) {
            continue;
        }
        buffer.clear();
        entry.read_to_end(&mut buffer).map_err(io)?;
        sample.take(&ending, offset, &buffer);
    }
    sample.finish(beside, &mut out);
    Ok(out)
}

fn cut() -> Failure {
    Failure::request(
        "is truncated: no end of an archive; fetch it anew, or end the pattern in ?truncated to take what is there",
    )
}

/// Whether the file ends as an archive does: in two blocks of zeros.
fn ends(file: &mut File, length: u64) -> std::io::Result<bool> {
    let mut last = [1; 1024];
    if length < 1024 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(length - 1024))?;
    file.read_exact(&mut last)?;
    Ok(last == [0; 1024])
}

fn check_name(name: &str) -> Result<()> {
    if name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(Failure::request(format!(
            "the member `{}` leaves the archive",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// Key and ending: the first dot of the file's name parts them.
fn split(name: &str) -> Option<(&str, String)> {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = start + name[start..].find('.')?;
    (dot > start).then(|| (&name[..dot], name[dot + 1..].to_lowercase()))
}

impl Sample {
    fn take(&mut self, ending: &str, offset: u64, bytes: &[u8]) {
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
    fn finish(self, beside: &Beside, out: &mut Read) {
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
                record.get("caption").and_then(|c| c.as_str()).unwrap_or_default().to_owned()
            }
            (None, None) => String::new(),
        };
        let lines = if beside.retrieval { text.lines().collect() } else { vec![text.as_str()] };
        let captions = lines.into_iter().map(str::trim).filter(|line| !line.is_empty());
        let mut captions: Vec<String> = captions.map(str::to_owned).collect();
        if let (true, Some(class)) = (captions.is_empty(), class) {
            captions = super::published::caption(&beside.classes[class]);
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

/// The most shards that a pattern may name.
const SHARDS: usize = 100_000;

/// `x-{000..012}.tar` and `{a,b}.tar` as shells expand them; numbers keep their leading zeros.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some(open) = pattern.find('{') else { return Ok(vec![pattern.to_owned()]) };
    let wrong =
        || format!("wds:{pattern}: expected a range such as {{0000..0012}} or a list {{a,b}}");
    let close = open + pattern[open..].find('}').ok_or_else(wrong)?;
    let (head, inside, tail) = (&pattern[..open], &pattern[open + 1..close], &pattern[close + 1..]);
    let items: Vec<String> = match inside.split_once("..") {
        Some((first, last)) => {
            let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
            let (from, to) = (number(first)?, number(last)?);
            if from.abs_diff(to) >= SHARDS {
                return Err(format!("wds:{pattern}: more than {SHARDS} shards"));
            }
            let padded = [first, last].iter().any(|n| n.len() > 1 && n.starts_with('0'));
            let width = if padded { first.len().max(last.len()) } else { 0 };
            let one = |n: usize| format!("{n:0width$}");
            if from <= to {
                (from..=to).map(one).collect()
            } else {
                (to..=from).rev().map(one).collect()
            }
        }
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return Err(wrong()),
    };
    let tails = expand(tail)?;
    if items.len().saturating_mul(tails.len()) > SHARDS {
        return Err(format!("wds:{pattern}: more than {SHARDS} shards"));
    }
    let joined =
        |item: &String| tails.iter().map(|tail| format!("{head}{item}{tail}")).collect::<Vec<_>>();
    Ok(items.iter().flat_map(joined).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_as_in_shells() {
        assert_eq!(expand("a.tar").unwrap(), ["a.tar"]);
        assert_eq!(expand("x-{008..010}.tar").unwrap(), ["x-008.tar", "x-009.tar", "x-010.tar"]);
        assert_eq!(expand("{1..2}{a,b}").unwrap(), ["1a", "1b", "2a", "2b"]);
        assert_eq!(expand("{2..0}").unwrap(), ["2", "1", "0"]);
        for bad in ["{", "{1}", "{a..c}", "{0..99999999999}", "{..}"] {
            assert!(expand(bad).unwrap_err().contains("wds:"), "{bad}");
        }
    }

    #[test]
    fn prompts_lie_beside_the_shards() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/test/{{0..3}}.tar", dir.path().display());
        assert_eq!(templates(&pattern).unwrap(), None);
        let file = dir.path().join("zeroshot_classification_templates.txt");
        std::fs::write(&file, "a photo of a {c}.\n\na {c} in the snow\n").unwrap();
        let both = ["a photo of a {}.", "a {} in the snow"].map(str::to_owned).to_vec();
        assert_eq!(templates(&pattern).unwrap(), Some(both));
        std::fs::write(&file, "a photo\n").unwrap();
        assert!(templates(&pattern).unwrap_err().to_string().contains("no {c}"));
    }

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
    }
}
