//! `wds:PATTERN`: tar shards of the WebDataset form, as img2dataset and CLIP_benchmark write them.
//!
//! A member is `KEY.ENDING`, and members of one key stand together: a picture (`jpg`, `jpeg`, `png`, `webp`), its caption
//! (`txt`, or `caption` in `json`) and its class (`cls`, an index into `classnames.txt` beside the shards or one folder up).
//! Where `dataset_type.txt` there says `retrieval`, each line of `txt` is a caption. Only places and digests are kept;
//! pictures are read when asked for. A sample without a picture, a caption or a class is skipped and counted. A shard that
//! does not end as an archive does is an error, unless the pattern ends in `?truncated`.

mod beside;
mod pattern;
mod sample;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use toxiclip_shared::data::{Class, Dataset, Example};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::{Error, Result as Shared};

use beside::Beside;
pub(super) use beside::templates;
use pattern::Pattern;
use sample::{LIMIT, PICTURES, Read, Sample, split};

use super::photographs::{decode_bytes, digest_of};
use crate::failure::{Failure, Result};

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

impl Shards {
    /// Reads every shard once, several at a time.
    ///
    /// # Errors
    /// If a shard is missing, truncated or no archive; if a member's name leaves the archive or comes twice.
    pub(super) fn open(pattern: &str) -> Result<Self> {
        let Pattern { text: paths, shards, partial } = Pattern::parse(pattern)?;
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
            std::mem::replace(&mut sample, Sample::of(key)).finish(beside, &mut out);
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
        "is truncated: no end of an archive; fetch it anew, or take what is there by --allow-truncated or ?truncated behind the pattern",
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
