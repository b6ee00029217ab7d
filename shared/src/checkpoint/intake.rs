//! A checkpoint that arrives piece by piece, as a browser gets it: first the definition, then the header of the weights, then
//! one tensor after the other. Whatever can be refused by names and shapes is refused before any weight is there, and no
//! file is ever held whole beside what is made of it.

use std::collections::{BTreeMap, VecDeque};

use super::container::{self, Entry, View};
use super::{CONFIG, HF_CONFIG, Loaded, PREPROCESSING, checked, hub, hugging_face, layout};
use crate::encoders::{Clip, ClipConfig, Layers};
use crate::graph::ParamSpec;
use crate::weights::Weights;
use crate::{Error, Result};

/// Bytes of an f32.
const FLOAT: u64 = 4;
/// Most bytes of weights: a browser's module has 4 GiB, in which the image tower is packed a second time.
const MOST_BYTES: u64 = 2 << 30;
/// Most blocks of a tower: a graph is made of them before anything else is known.
const MOST_BLOCKS: usize = 256;

/// A checkpoint on its way.
#[derive(Debug)]
pub struct Intake {
    clip: Clip,
    hugging_face: bool,
    /// The file of the weights, for messages.
    origin: String,
    wanted: VecDeque<Wanted>,
    weights: Weights,
    /// What the file says of itself.
    record: Option<String>,
}

/// A parameter and the tensors of the file that make it, of which those in `parts` have come.
#[derive(Debug)]
struct Wanted {
    spec: ParamSpec,
    entries: Vec<(String, Entry)>,
    parts: Vec<Vec<u8>>,
}

impl Intake {
    /// Reads the definition: open_clip's, or transformers' where the file has the name that it gives them; `pictures` is its
    /// `preprocessor_config.json`, which says how they are prepared.
    ///
    /// # Errors
    /// If it is malformed, no encoder that is known here or one that is too large, or pictures are prepared in another way.
    pub fn new(name: &str, definition: &str, pictures: Option<&str>) -> Result<Self> {
        if let Some(text) = pictures {
            hugging_face::check_preprocessing(text.as_bytes(), PREPROCESSING)?;
        }
        let hugging_face = name == HF_CONFIG;
        let config = match hugging_face {
            true => hugging_face::model_config(definition, name)?,
            false => hub::model_config(definition, name)?,
        };
        let blocks = match config.vision_cfg.layers {
            Layers::Transformer(blocks) => blocks,
            Layers::ResNet(stages) => stages.into_iter().fold(0, usize::saturating_add),
        };
        if blocks.max(config.text_cfg.layers) > MOST_BLOCKS {
            return Err(Error::input(name, format!("a tower has more than {MOST_BLOCKS} blocks")));
        }
        let (clip, wanted, weights) = (Clip::build(&config), VecDeque::new(), Weights::default());
        let own = Self { clip, hugging_face, origin: String::new(), wanted, weights, record: None };
        if own.bytes() > MOST_BYTES {
            let (mib, most) = (own.bytes() >> 20, MOST_BYTES >> 20);
            let why = format!("its weights take {mib} MiB in memory; at most {most} fit here");
            return Err(Error::input(name, why));
        }
        Ok(own)
    }

    /// The definition.
    pub fn config(&self) -> &ClipConfig {
        &self.clip.config
    }

    /// Bytes of all weights in memory.
    pub fn bytes(&self) -> u64 {
        self.clip.params().iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// Bytes of the largest tensor of the image tower, which a graphics card would have to bind.
    pub fn largest(&self) -> u64 {
        self.clip.image.params().iter().map(bytes).fold(0, u64::max)
    }

    /// Reads the header of the weights, a file called `name` of `length` bytes; `head` are its first ones, as many as
    /// [`container::head_end`] says.
    ///
    /// # Errors
    /// If the file is malformed or cut, or with one line that lists every tensor that is missing, too much or misshapen.
    pub fn head(&mut self, head: &[u8], length: u64, name: &str) -> Result<()> {
        let index = container::index(head, length).map_err(|why| Error::input(name, why))?;
        // Shapes and types alone: without elements nothing is made of them.
        let view = |(name, entry): (&String, &Entry)| {
            let bytes: &[u8] = &[];
            (name.clone(), View { dtype: entry.dtype, shape: entry.shape.clone(), bytes })
        };
        let shapes = index.tensors.iter().map(view).collect();
        let stored = self.stored();
        layout::read_params(shapes, self.clip.params(), name, stored)?;
        let mut entries: BTreeMap<String, (String, Entry)> = BTreeMap::new();
        for (name, entry) in index.tensors {
            entries.insert(layout::canonical(&name).to_owned(), (name, entry));
        }
        let wanted = |spec: ParamSpec| {
            let source = stored(&spec);
            let names = layout::file_tensors(&source).into_iter().map(|(name, _)| name);
            // What is missing has been refused.
            let entries = names.filter_map(|name| entries.remove(name)).collect();
            Wanted { spec, entries, parts: Vec::new() }
        };
        let mut wanted: VecDeque<Wanted> = self.clip.params().into_iter().map(wanted).collect();
        // A parameter of no element asks for no bytes.
        wanted.retain(|wanted| !wanted.entries.is_empty());
        (self.wanted, self.weights, self.origin) = (wanted, Weights::default(), name.to_owned());
        self.record = index.metadata.get("toxiclip").filter(|said| !said.is_empty()).cloned();
        Ok(())
    }

    /// First byte of the next piece of the file and the one after its last; `None` once all are there.
    pub fn wanted(&self) -> Option<[u64; 2]> {
        let first = self.wanted.front()?;
        first.entries.get(first.parts.len()).map(|(_, entry)| entry.range)
    }

    /// Takes the piece that [`Intake::wanted`] asked for.
    ///
    /// # Errors
    /// If it has another length, or a tensor holds NaN or infinity; if nothing was asked for.
    pub fn give(&mut self, piece: Vec<u8>) -> Result<()> {
        let Some([from, to]) = self.wanted() else {
            return Err(Error::request(
                "no piece is missing: the header was not read, or all is there",
            ));
        };
        if piece.len() as u64 != to - from {
            let why = format!("bytes {from}..{to} are {}: the file has changed", piece.len());
            return Err(Error::input(&self.origin, why));
        }
        let stored = self.stored();
        let Some(first) = self.wanted.front_mut() else { return Ok(()) };
        first.parts.push(piece);
        if first.parts.len() < first.entries.len() {
            return Ok(());
        }
        let views = first.entries.iter().zip(&first.parts).map(|((name, entry), bytes)| {
            (name.clone(), View { dtype: entry.dtype, shape: entry.shape.clone(), bytes })
        });
        let mut one =
            layout::read_params(views.collect(), vec![first.spec.clone()], &self.origin, stored)?;
        self.weights.append(&mut one);
        self.wanted.pop_front();
        Ok(())
    }

    /// The checkpoint; `record` is its `toxiclip.json`, if there is one.
    ///
    /// # Errors
    /// If a piece is missing, or the record speaks of other weights or another activation.
    pub fn finish(self, record: Option<&[u8]>) -> Result<Loaded> {
        if self.weights.iter().count() < self.clip.params().len() {
            return Err(Error::input(&self.origin, "not all of its tensors have been read"));
        }
        let (clip, weights) = (self.clip, self.weights);
        let definition = if self.hugging_face { HF_CONFIG } else { CONFIG };
        let own = self.record.as_ref().map(String::as_bytes);
        let said = record
            .or(own)
            .map(|record| checked(record, super::PROVENANCE, &clip.config, &weights, definition));
        Ok(Loaded::new(clip, weights, None, said.transpose()?))
    }

    /// How each parameter stands in the file.
    fn stored(&self) -> fn(&ParamSpec) -> ParamSpec {
        if self.hugging_face { hugging_face::stored } else { ParamSpec::clone }
    }
}

/// Bytes of a parameter, counted in 64 bits: a browser's own numbers of elements would wrap around.
fn bytes(spec: &ParamSpec) -> u64 {
    spec.shape.iter().fold(FLOAT, |bytes, &d| bytes.saturating_mul(d as u64))
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
