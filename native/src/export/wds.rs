//! Shards as CLIP_benchmark and open_clip read them: `s0000000.png`, `.txt`, `.cls` and, for the id, `.json`.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::json;
use toxiclip_shared::data::{Dataset, Example};

use super::Sink;
use crate::failure::{Failure, Result};
use crate::files::write_whole;

const FOLDER: &str = "wds";
/// CLIP_benchmark's own limits of a shard.
const SAMPLES: usize = 10_000;
const BYTES: u64 = 1_000_000_000;

pub(super) struct Shards {
    dir: PathBuf,
    open: Option<Shard>,
    done: usize,
}

struct Shard {
    path: PathBuf,
    partial: PathBuf,
    tar: tar::Builder<BufWriter<File>>,
    samples: usize,
    bytes: u64,
}

impl Shards {
    pub(super) fn new(dir: &Path, data: &dyn Dataset) -> Result<Self> {
        let dir = dir.join(FOLDER);
        fs::create_dir_all(&dir).map_err(|e| Failure::io(&dir, &e))?;
        let names: String = data.classes().iter().map(|c| format!("{}\n", c.name)).collect();
        if !names.is_empty() {
            write_whole(&dir.join("classnames.txt"), names.as_bytes())?;
        }
        // Of several captions each has a line, which readers take for one caption unless they are told.
        if data.examples().iter().any(|e| e.captions.len() > 1) {
            write_whole(&dir.join("dataset_type.txt"), b"retrieval\n")?;
        }
        Ok(Self { dir, open: None, done: 0 })
    }

    fn close(&mut self) -> Result<()> {
        if let Some(shard) = self.open.take() {
            shard.close()?;
            self.done += 1;
        }
        Ok(())
    }
}

impl Sink for Shards {
    fn put(&mut self, row: usize, example: &Example, png: &[u8]) -> Result<()> {
        if self.open.as_ref().is_some_and(|s| s.samples == SAMPLES || s.bytes > BYTES) {
            self.close()?;
        }
        let shard = match &mut self.open {
            Some(shard) => shard,
            none => none.insert(Shard::new(self.dir.join(format!("{:05}.tar", self.done)))?),
        };
        let key = format!("s{row:07}");
        let line = |caption: &String| caption.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = example.captions.iter().map(line).collect::<Vec<_>>().join("\n");
        shard.add(&format!("{key}.png"), png)?;
        shard.add(&format!("{key}.txt"), text.as_bytes())?;
        if let Some(class) = example.class {
            shard.add(&format!("{key}.cls"), class.to_string().as_bytes())?;
        }
        shard.add(&format!("{key}.json"), json!({ "id": example.id }).to_string().as_bytes())?;
        shard.samples += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<String> {
        self.close()?;
        write_whole(&self.dir.join("nshards.txt"), self.done.to_string().as_bytes())?;
        let shards = match self.done {
            1 => "00000".to_owned(),
            many => format!("{{00000..{:05}}}", many - 1),
        };
        Ok(format!("wds:{}/{shards}.tar", self.dir.display()))
    }
}

impl Shard {
    fn new(path: PathBuf) -> Result<Self> {
        let partial = path.with_extension("tar.partial");
        let file = File::create(&partial).map_err(|e| Failure::io(&partial, &e))?;
        let tar = tar::Builder::new(BufWriter::new(file));
        Ok(Self { path, partial, tar, samples: 0, bytes: 0 })
    }

    /// The same content gives the same bytes: nothing tells when or by whom it was written.
    fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let added = self.tar.append_data(&mut header, name, content);
        added.map_err(|e| Failure::io(&self.partial, &e))?;
        self.bytes += content.len() as u64;
        Ok(())
    }

    fn close(self) -> Result<()> {
        let Self { path, partial, tar, .. } = self;
        let end = || -> std::io::Result<()> {
            tar.into_inner()?.into_inner()?.sync_all()?;
            fs::rename(&partial, &path)
        };
        end().map_err(|e| Failure::io(&path, &e))
    }
}
