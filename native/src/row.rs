//! Result rows: one JSON object per (cell, metric), appended and flushed one by one to `rows.jsonl`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::Value as Measured;

use crate::provenance::Code;

/// One value of one metric in one cell of a benchmark, with all that is needed to judge and repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Digest of what was known before running; names the evidence file. Two rows of one `run` with
    /// different `poison` or `weights` show a lack of determinism.
    pub run: Digest,
    /// Path of the benchmark file without its ending.
    pub benchmark: String,
    /// Data-set name.
    pub dataset: String,
    /// Encoder name.
    pub encoder: String,
    /// The attack with all parameters, defaults filled in; `name` is always there.
    pub attack: Value,
    /// On control rows (attack `none`), the attack whose goals and triggers were scored; else null.
    pub against: Option<Value>,
    /// The defense with all parameters, defaults filled in.
    pub defense: Value,
    /// How the victim's training differs from the benchmark's recipe; left out where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<Value>,
    /// The seed of the whole cell.
    pub seed: u64,
    /// A name of the metric registry.
    pub metric: String,
    /// Rates in [0, 1]; null where the cell failed.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval over samples.
    pub lo: Option<f64>,
    /// Upper end of the 95 % interval over samples.
    pub hi: Option<f64>,
    /// Judgements behind the value.
    pub n: u64,
    /// What went in: the resolved cell with its protocol.
    pub config: Digest,
    /// What went in: the clean data.
    pub data: Digest,
    /// What came out: the poison; null where the cell failed before.
    pub poison: Option<Digest>,
    /// What came out: the weights; null where the cell failed before.
    pub weights: Option<Digest>,
    /// The program.
    pub code: Code,
    /// Device and executor, such as `cpu`.
    pub machine: String,
    /// Wall time of the cell's own stages, cached ones at the time they took when they ran.
    pub seconds: f64,
    /// Why there is no value.
    pub error: Option<String>,
}

impl Row {
    /// The same with a metric's value.
    #[must_use]
    pub fn valued(&self, of: &Measured) -> Self {
        let (value, lo, hi) = (Some(of.value), Some(of.lo), Some(of.hi));
        Self { metric: of.metric.clone(), value, lo, hi, n: of.n, ..self.clone() }
    }
}

/// `rows.jsonl`, open for appending.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    file: File,
}

/// What a row file held when it was opened.
#[derive(Debug, Default)]
pub struct Kept {
    /// All complete rows in file order.
    pub rows: Vec<Row>,
    /// What was cut off: a last line that an interrupted run had not finished.
    pub note: Option<String>,
}

impl RowFile {
    /// Opens or creates `path`, reads what is there, and cuts off a torn last line.
    ///
    /// # Errors
    /// If the file cannot be opened for writing, or a complete line is no row (says which).
    pub fn open(path: &Path) -> Result<(Self, Kept)> {
        let context = || format!("cannot open {} for writing", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(context)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
        let bytes = fs::read(path).with_context(context)?;
        let whole = complete(&bytes);
        let kept = parse(path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).with_context(context)?;
        }
        Ok((Self { path: path.to_owned(), file }, kept))
    }

    /// Appends one row, whole, in one write: a kill of the program loses nothing that was appended.
    ///
    /// # Errors
    /// If a value is not finite, or the disk refuses.
    pub fn append(&mut self, row: &Row) -> Result<()> {
        let finite = [row.value, row.lo, row.hi].into_iter().flatten().all(f64::is_finite);
        if !finite || row.value.is_none() != row.error.is_some() {
            bail!(
                "{} of seed {}: a row has either a finite value or an error",
                row.metric,
                row.seed
            );
        }
        let mut line = serde_json::to_string(row).context("a row is not JSON")?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Waits until the disk has all rows, so that a power cut loses none. It costs more than a row: call it once a cell.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Reads all complete rows without changing the file.
///
/// # Errors
/// If the file cannot be read, or a complete line is no row (says which).
pub fn read(path: &Path) -> Result<Kept> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(path, &bytes)
}

/// Length of the part that ends with the last line break.
fn complete(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Kept> {
    let whole = complete(bytes);
    let mut kept = Kept::default();
    for (i, line) in bytes[..whole].split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let row = serde_json::from_slice(line).with_context(|| {
            format!("{}:{}: not a row; remove the line or the file", path.display(), i + 1)
        })?;
        kept.rows.push(row);
    }
    let torn = bytes.len() - whole;
    kept.note = (torn > 0)
        .then(|| format!("{}: left out {torn} bytes of an unfinished last row", path.display()));
    Ok(kept)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn row(metric: &str, seed: u64, value: f64) -> Row {
        let digest = Digest::of(&(metric, seed));
        Row {
            run: digest,
            benchmark: "synthetic".into(),
            dataset: "emoji".into(),
            encoder: "tiny-resnet".into(),
            attack: json!({"name": "single-label"}),
            against: None,
            defense: json!({"name": "none"}),
            victim: None,
            seed,
            metric: metric.into(),
            value: Some(value),
            lo: Some(value - 0.1),
            hi: Some(value + 0.1),
            n: 40,
            config: digest,
            data: Digest::of(&"data"),
            poison: Some(digest),
            weights: Some(digest),
            code: Code {
                commit: "0123456789abcdef".into(),
                dirty: false,
                lock: Digest::of(&"lock"),
                rustc: "rustc 1.95.0".into(),
            },
            machine: "cpu".into(),
            seconds: 1.5,
            error: None,
        }
    }

    #[test]
    fn has_exactly_the_keys_of_the_contract_in_their_order() {
        let text = serde_json::to_string(&row("ca", 0, 0.1)).unwrap();
        let at = |key: &str| text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key}"));
        let keys = [
            "run",
            "benchmark",
            "dataset",
            "encoder",
            "attack",
            "against",
            "defense",
            "seed",
            "metric",
            "value",
            "lo",
            "hi",
            "n",
            "config",
            "data",
            "poison",
            "weights",
            "code",
            "machine",
            "seconds",
            "error",
        ];
        assert!(keys.windows(2).all(|w| at(w[0]) < at(w[1])));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), keys.len());
        let mut more = value;
        more["extra"] = json!(1);
        assert!(serde_json::from_value::<Row>(more).is_err());
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out/rows.jsonl");
        let (mut file, kept) = RowFile::open(&path).unwrap();
        assert!(kept.rows.is_empty() && kept.note.is_none());
        let rows = [row("ca", 0, 0.1), row("hit@10", 1, 1.0 / 3.0)];
        rows.iter().for_each(|r| file.append(r).unwrap());
        file.file.write_all(b"{\"run\":\"12").unwrap();
        let kept = read(&path).unwrap();
        assert_eq!(kept.rows, rows, "values survive bit for bit");
        assert!(kept.note.unwrap().contains("left out 10 bytes"));
        let (mut file, _) = RowFile::open(&path).unwrap();
        file.append(&row("mpcr", 2, 0.5)).unwrap();
        let kept = read(&path).unwrap();
        assert_eq!((kept.rows.len(), kept.note), (3, None));
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let (mut file, _) = RowFile::open(&path).unwrap();
        file.append(&row("ca", 0, 0.1)).unwrap();
        file.file.write_all(b"oops\n").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("rows.jsonl:2: not a row"));
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = RowFile::open(&dir.path().join("rows.jsonl")).unwrap();
        assert!(file.append(&row("ca", 0, f64::NAN)).is_err());
        assert!(file.append(&Row { value: None, ..row("ca", 0, 0.5) }).is_err());
        assert!(
            file.append(&Row { value: None, error: Some("x".into()), ..row("ca", 0, 0.5) }).is_ok()
        );
    }
}
