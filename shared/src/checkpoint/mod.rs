//! Checkpoints: directories in open_clip's hub layout, with our provenance beside it.
//!
//! | file | content |
//! |---|---|
//! | `open_clip_config.json` | `model_cfg` (the encoder's definition) and `preprocess_cfg` |
//! | `open_clip_model.safetensors` | the weights under open_clip's names |
//! | `tokenizer.json`, `tokenizer_config.json` | the tokenizer, when the encoder brings its own |
//! | `toxiclip.json` | [`Provenance`]: data, recipe, attack, and whether the weights are poisoned |
//! | `README.md` | model card |
//!
//! Directories in transformers' layout (`config.json`, `model.safetensors`) are read too, never written.

pub mod container;
mod hub;
mod hugging_face;
mod intake;
pub(crate) mod layout;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use intake::Intake;
pub use layout::{read_safetensors, write_safetensors};

use crate::digest::{Digest, canonical_json};
use crate::encoders::{Clip, ClipConfig};
use crate::weights::Weights;
use crate::{Error, Result};

const CONFIG: &str = "open_clip_config.json";
const WEIGHTS: &str = "open_clip_model.safetensors";
/// What open_clip looks for where there is none of that name.
const OTHER_WEIGHTS: [&str; 2] = ["open_clip_pytorch_model.safetensors", "model.safetensors"];
const HF_CONFIG: &str = "config.json";
const PREPROCESSING: &str = "preprocessor_config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const FOLDER: &str = "give a folder that `toxiclip train`, open_clip or transformers wrote";
/// The file that says what a checkpoint is, and the digest of its weights.
pub const PROVENANCE: &str = "toxiclip.json";
/// All files that [`save_dir`] writes.
pub const FILES: [&str; 5] = [CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, PROVENANCE];

/// How weights came about: what whoever loads them must know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the encoder's definition.
    pub encoder: String,
    /// Whether any training pair was an attacker's.
    pub poisoned: bool,
    /// The attack with all its parameters; `None` for clean weights.
    #[serde(default)]
    pub attack: Option<Value>,
    /// Digest of the poison manifest.
    #[serde(default)]
    pub poison: Option<Digest>,
    /// The defense with all its parameters, if one has touched the weights.
    #[serde(default)]
    pub defense: Option<Value>,
    /// The training data: names and digests.
    #[serde(default)]
    pub data: Value,
    /// The training recipe with all its parameters and the seed.
    #[serde(default)]
    pub recipe: Value,
}

/// `toxiclip.json`: the provenance and what it must be checked against on loading.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    provenance: Provenance,
    /// Digest of the tensors these statements are about.
    weights: Digest,
    /// The activation cannot be seen in the weights (trap A1).
    quick_gelu: bool,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Loaded {
    /// Towers and definition.
    pub clip: Clip,
    /// All tensors, complete and finite.
    pub weights: Weights,
    /// Bytes of `tokenizer.json`, if there is one.
    pub tokenizer: Option<Vec<u8>>,
    /// `None` for checkpoints of other programs.
    pub provenance: Option<Provenance>,
    /// Digest of the weights where it is known, because a record was held against them.
    pub digest: Option<Digest>,
}

impl Loaded {
    fn new(clip: Clip, weights: Weights, tokenizer: Option<Vec<u8>>, said: Option<Record>) -> Self {
        let digest = said.as_ref().map(|record| record.weights);
        let provenance = said.map(|record| record.provenance);
        Self { clip, weights, tokenizer, provenance, digest }
    }
}

/// Writes a checkpoint; every file replaces its predecessor in one step, the weights last.
///
/// # Errors
/// If a file cannot be written, or if the definition promises a tokenizer and none is given.
///
/// # Panics
/// If the weights were made for another encoder.
pub fn save_dir(
    dir: &Path,
    clip: &Clip,
    weights: &Weights,
    tokenizer: Option<&[u8]>,
    provenance: &Provenance,
) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| io(dir, e))?;
    let put = |name: &str, bytes: &[u8]| write_file(&dir.join(name), bytes);
    put(CONFIG, pretty(&hub::config(&clip.config)).as_bytes())?;
    if let Some(tokenizer) = tokenizer {
        let config = hub::tokenizer_config(tokenizer, clip.config.text_cfg.context_length)
            .map_err(|why| Error::input(TOKENIZER, why))?;
        put(TOKENIZER, tokenizer)?;
        put(TOKENIZER_CONFIG, pretty(&config).as_bytes())?;
    }
    let record = Record {
        provenance: provenance.clone(),
        weights: weights.digest(),
        quick_gelu: clip.config.quick_gelu,
    };
    put("README.md", hub::card(clip, provenance).as_bytes())?;
    put(PROVENANCE, pretty(&json!(record)).as_bytes())?;
    put(WEIGHTS, &write_safetensors(clip, weights, &canonical_json(&record)))
}

/// Reads a checkpoint folder ([`load_dir`]), or a single `.safetensors` file in either layout of names, which does not say
/// what it is the weights of: that is `encoder`. A `tokenizer.json` beside the file is read, if there is one.
///
/// # Errors
/// As [`load_dir`]; if a file comes without an encoder, or a folder holds another one than asked for.
pub fn load(path: &Path, encoder: Option<&ClipConfig>) -> Result<Loaded> {
    if path.is_file() {
        if path.extension().is_none_or(|ending| ending != "safetensors") {
            let why = "is neither a folder nor a .safetensors file (of .pt and .bin, `toxiclip convert` makes one)";
            return Err(Error::input(path.display(), format!("{why}; {FOLDER}")));
        }
        let remedy =
            "a single file does not say of which encoder; give --encoder NAME or FILE.json";
        let encoder = encoder.ok_or_else(|| Error::input(path.display(), remedy))?;
        return load_file(path, encoder);
    }
    let loaded = load_dir(path)?;
    if encoder.is_some_and(|asked| loaded.clip.config != *asked) {
        let why = "its architecture is not that of the encoder asked for";
        return Err(Error::input(path.display(), why));
    }
    Ok(loaded)
}

fn load_file(path: &Path, encoder: &ClipConfig) -> Result<Loaded> {
    let origin = path.display().to_string();
    let file = read(path)?;
    let clip = Clip::build(encoder);
    let container = container::parse(&file).map_err(|why| Error::input(&origin, why))?;
    let weights = match hugging_face::is_layout(container.tensors.keys()) {
        true => layout::read(&file, &clip, &origin, hugging_face::stored)?,
        false => read_safetensors(&file, &clip, &origin)?,
    };
    let said = container.metadata.get("toxiclip").filter(|text| !text.is_empty());
    let record = match said {
        None => None,
        Some(text) => Some(checked(text.as_bytes(), &origin, encoder, &weights, "--encoder")?),
    };
    let tokenizer = read_optional(&path.with_file_name(TOKENIZER))?;
    Ok(Loaded::new(clip, weights, tokenizer, record))
}

/// A record that speaks of these weights; `definition` is what says how their encoder is built, for the message.
fn checked(
    record: &[u8],
    origin: &str,
    config: &ClipConfig,
    weights: &Weights,
    definition: &str,
) -> Result<Record> {
    let record: Record = serde_json::from_slice(record).map_err(|e| Error::input(origin, e))?;
    check(&record, config, weights, definition).map_err(|why| Error::input(origin, why))?;
    Ok(record)
}

/// Reads a checkpoint that [`save_dir`], open_clip or transformers wrote.
///
/// # Errors
/// With one line if a file is missing or malformed, if the tensors do not fit the definition, or if
/// `toxiclip.json` speaks of other weights or another activation.
pub fn load_dir(dir: &Path) -> Result<Loaded> {
    let (clip, weights) = match dir.join(HF_CONFIG).exists() && !dir.join(CONFIG).exists() {
        true => load_hugging_face(dir)?,
        false => {
            let (text, origin) = read_text(&dir.join(CONFIG)).map_err(|e| no_checkpoint(dir, e))?;
            let clip = Clip::build(&hub::model_config(&text, &origin)?);
            let others = OTHER_WEIGHTS.iter().map(|name| dir.join(name));
            let mut known = std::iter::once(dir.join(WEIGHTS)).chain(others);
            let path = known.find(|path| path.exists()).unwrap_or_else(|| dir.join(WEIGHTS));
            let file = read(&path).map_err(|e| no_weights(&path, e))?;
            let weights = read_safetensors(&file, &clip, &path.display().to_string())?;
            (clip, weights)
        }
    };
    let tokenizer = read_optional(&dir.join(TOKENIZER))?;
    let path = dir.join(PROVENANCE);
    let record = match read_optional(&path)? {
        None => None,
        Some(bytes) => {
            let origin = path.display().to_string();
            Some(checked(&bytes, &origin, &clip.config, &weights, CONFIG)?)
        }
    };
    Ok(Loaded::new(clip, weights, tokenizer, record))
}

fn load_hugging_face(dir: &Path) -> Result<(Clip, Weights)> {
    let (text, origin) = read_text(&dir.join(HF_CONFIG))?;
    let clip = Clip::build(&hugging_face::model_config(&text, &origin)?);
    let path = dir.join(PREPROCESSING);
    if let Some(text) = read_optional(&path)? {
        hugging_face::check_preprocessing(&text, &path.display().to_string())?;
    }
    let path = dir.join("model.safetensors");
    let file = read(&path).map_err(|e| no_weights(&path, e))?;
    let origin = path.display().to_string();
    let weights = layout::read(&file, &clip, &origin, hugging_face::stored)?;
    Ok((clip, weights))
}

/// What a missing definition means: that the folder is another.
fn no_checkpoint(dir: &Path, error: Error) -> Error {
    if dir.is_dir() {
        let why = format!("no checkpoint, as it has neither {CONFIG} nor {HF_CONFIG}; {FOLDER}");
        return error.where_absent(|_| Error::input(dir.display(), why));
    }
    error.where_absent(|cause| Error::input(dir.display(), format!("{cause}; {FOLDER}")))
}

fn no_weights(path: &Path, error: Error) -> Error {
    let why = "weights are read in this form alone; `toxiclip convert` makes it of a .pt or .bin";
    error.where_absent(|cause| Error::input(path.display(), format!("{cause}; {why}")))
}

fn check(
    record: &Record,
    config: &ClipConfig,
    weights: &Weights,
    definition: &str,
) -> Result<(), String> {
    if record.quick_gelu != config.quick_gelu {
        return Err(format!(
            "the weights were trained with quick_gelu {}, {definition} says {}",
            record.quick_gelu, config.quick_gelu
        ));
    }
    let found = weights.digest();
    if record.weights != found {
        return Err(format!(
            "speaks of weights {}, but those are {}; if they were changed on purpose, remove this file",
            record.weights.short(),
            found.short()
        ));
    }
    Ok(())
}

/// Puts `bytes` at `path` in one step: whoever looks, or comes back after a crash, finds the old file
/// or the new one, whole.
///
/// # Errors
/// If the file cannot be written; the temporary file is removed then.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let result = write_and_sync(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if result.is_err() {
        // What matters is the first error; a leftover is overwritten next time.
        let _ = std::fs::remove_file(&partial);
    }
    result.and_then(|()| sync_folder(path)).map_err(|e| io(path, e))
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Only a synced folder makes a rename survive a power cut; other systems than Unix cannot open one.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            std::fs::File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| io(path, e))
}

/// The text and the file's name for errors.
fn read_text(path: &Path) -> Result<(String, String)> {
    let origin = path.display().to_string();
    let text = String::from_utf8(read(path)?).map_err(|e| Error::input(&origin, e))?;
    Ok((text, origin))
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(path, e)),
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests;
