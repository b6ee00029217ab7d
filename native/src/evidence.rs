//! Evidence files: [`Judgement`]s in Parquet, one flat row each, readable by any Parquet tool.
//!
//! Lists (`top`, `scores`) are JSON text: nested columns would cost more code than they save bytes. A run folder has
//! one file per run; published results have the runs one after the other in one file, because parts that they share
//! (samples, captions, hashes) then take their bytes once.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::basic::{Compression, GzipLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as TextError, StrDeserializer};
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::Judgement;

use crate::files::write_whole;

/// Columns in file order; [`encode`] and [`decode`] follow it.
const SCHEMA: &str = "message evidence {
  required binary task (UTF8);
  required binary sample (UTF8);
  required binary content (UTF8);
  optional binary text (UTF8);
  optional int32 label (INTEGER(32,false));
  optional binary goal (UTF8);
  required int32 rank (INTEGER(32,false));
  required int32 gallery (INTEGER(32,false));
  required binary top (JSON);
  required binary scores (JSON);
  required binary cluster (UTF8);
  optional boolean poisoned;
  optional float score;
  optional boolean dropped;
}";

/// Name of the file with the evidence of all runs of a published folder.
pub const ALL: &str = "evidence.parquet";

/// The key of a file of several runs under which it says whose its rows are: `[[run, rows], …]` in file order.
const RUNS: &str = "runs";

/// Writes `evidence` to `path`, whole or not at all. The same judgements give the same bytes.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write(path: &Path, evidence: &[Judgement]) -> Result<()> {
    whole(path, encode(evidence, None))
}

/// Writes the evidence of several runs to one file, as [`write`] does that of one.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write_all(path: &Path, runs: &BTreeMap<Digest, Vec<Judgement>>) -> Result<()> {
    let counts: Vec<_> = runs.iter().map(|(run, evidence)| (run, evidence.len())).collect();
    let all: Vec<Judgement> = runs.values().flatten().cloned().collect();
    whole(path, encode(&all, Some(serde_json::to_string(&counts)?)))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// If the file is missing, cut short, or has other columns; one line that names it.
pub fn read(path: &Path) -> Result<Vec<Judgement>> {
    Ok(open(path)?.0)
}

/// Reads what [`write_all`] wrote.
///
/// # Errors
/// As [`read`], or if the file does not say whose its rows are.
pub fn read_all(path: &Path) -> Result<BTreeMap<Digest, Vec<Judgement>>> {
    let (all, runs) = open(path)?;
    let shared = || -> Result<_> {
        let runs: Vec<(Digest, usize)> = serde_json::from_str(&runs.context("it names no runs")?)?;
        ensure!(
            runs.iter().map(|(_, rows)| rows).sum::<usize>() == all.len(),
            "its runs have not as many rows as it has"
        );
        let mut all = all.into_iter();
        Ok(runs.into_iter().map(|(run, rows)| (run, all.by_ref().take(rows).collect())).collect())
    };
    shared().map_err(|e| damaged(path, &e))
}

fn open(path: &Path) -> Result<(Vec<Judgement>, Option<String>)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    decode(file).map_err(|e| damaged(path, &e))
}

fn damaged(path: &Path, why: &anyhow::Error) -> anyhow::Error {
    let why = format!("{why:#}").replace('\n', " ");
    anyhow!("{}: damaged evidence ({why}); delete it and run again", path.display())
}

fn whole(path: &Path, bytes: Result<Vec<u8>>) -> Result<()> {
    let bytes = bytes.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(write_whole(path, &bytes)?)
}

fn encode(evidence: &[Judgement], runs: Option<String>) -> Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    // The default level, 6, takes twice the time and saves 3 %.
    let level = GzipLevel::try_new(3)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(level))
        .set_created_by("toxiclip".into())
        .set_key_value_metadata(runs.map(|runs| vec![KeyValue::new(RUNS.to_owned(), runs)]))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    encode_group(file.next_row_group()?, evidence)?;
    Ok(file.into_inner()?)
}

fn encode_group(group: SerializedRowGroupWriter<'_, Vec<u8>>, all: &[Judgement]) -> Result<()> {
    let mut group = Group(group);
    group.texts(all.iter().map(|j| j.task.name().to_owned()))?;
    group.texts(all.iter().map(|j| j.sample.0.clone()))?;
    group.texts(all.iter().map(|j| j.content.to_string()))?;
    group.optional::<ByteArrayType>(all.iter().map(|j| j.text.as_deref().map(bytes)))?;
    group.optional::<Int32Type>(all.iter().map(|j| j.label.map(u32::cast_signed)))?;
    group.optional::<ByteArrayType>(all.iter().map(|j| j.goal.as_deref().map(bytes)))?;
    group.required::<Int32Type>(all.iter().map(|j| j.rank.cast_signed()))?;
    group.required::<Int32Type>(all.iter().map(|j| j.gallery.cast_signed()))?;
    group.texts(json(all.iter().map(|j| &j.top))?)?;
    group.texts(json(all.iter().map(|j| &j.scores))?)?;
    group.texts(all.iter().map(|j| j.cluster.clone()))?;
    group.optional::<BoolType>(all.iter().map(|j| j.poisoned))?;
    group.optional::<FloatType>(all.iter().map(|j| j.score))?;
    group.optional::<BoolType>(all.iter().map(|j| j.dropped))?;
    group.0.close()?;
    Ok(())
}

fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn json<'a, T: serde::Serialize + 'a>(
    lists: impl Iterator<Item = T>,
) -> Result<std::vec::IntoIter<String>> {
    let texts: serde_json::Result<Vec<String>> = lists.map(|l| serde_json::to_string(&l)).collect();
    Ok(texts?.into_iter())
}

/// A row group being written, column by column.
struct Group<'a>(SerializedRowGroupWriter<'a, Vec<u8>>);

impl Group<'_> {
    fn texts(&mut self, texts: impl Iterator<Item = String>) -> Result<()> {
        self.required::<ByteArrayType>(texts.map(|t| ByteArray::from(t.into_bytes())))
    }

    fn required<T: DataType>(&mut self, values: impl Iterator<Item = T::T>) -> Result<()> {
        self.column::<T>(&values.collect::<Vec<T::T>>(), None)
    }

    fn optional<T: DataType>(&mut self, values: impl Iterator<Item = Option<T::T>>) -> Result<()> {
        let values: Vec<Option<T::T>> = values.collect();
        let present: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.column::<T>(&values, Some(&present))
    }

    fn column<T: DataType>(&mut self, values: &[T::T], present: Option<&[i16]>) -> Result<()> {
        let mut column = self.0.next_column()?.context("the schema has fewer columns")?;
        column.typed::<T>().write_batch(values, present, None)?;
        column.close()?;
        Ok(())
    }
}

/// All rows, and what a file of several runs says about whose they are.
fn decode(file: File) -> Result<(Vec<Judgement>, Option<String>)> {
    let file = SerializedFileReader::new(file)?;
    let expected = parse_message_type(SCHEMA)?;
    ensure!(
        file.metadata().file_metadata().schema() == &expected,
        "its columns are not those of this version"
    );
    let mut out = Vec::new();
    for i in 0..file.num_row_groups() {
        let group = file.get_row_group(i)?;
        decode_group(&*group, &mut out)?;
    }
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let runs = pairs.into_iter().flatten().find(|pair| pair.key == RUNS);
    Ok((out, runs.and_then(|pair| pair.value.clone())))
}

fn decode_group(group: &dyn RowGroupReader, out: &mut Vec<Judgement>) -> Result<()> {
    let mut task = column::<ByteArrayType>(group, 0)?.into_iter();
    let mut sample = column::<ByteArrayType>(group, 1)?.into_iter();
    let mut content = column::<ByteArrayType>(group, 2)?.into_iter();
    let mut caption = column::<ByteArrayType>(group, 3)?.into_iter();
    let mut label = column::<Int32Type>(group, 4)?.into_iter();
    let mut goal = column::<ByteArrayType>(group, 5)?.into_iter();
    let mut rank = column::<Int32Type>(group, 6)?.into_iter();
    let mut gallery = column::<Int32Type>(group, 7)?.into_iter();
    let mut top = column::<ByteArrayType>(group, 8)?.into_iter();
    let mut scores = column::<ByteArrayType>(group, 9)?.into_iter();
    let mut cluster = column::<ByteArrayType>(group, 10)?.into_iter();
    let mut poisoned = column::<BoolType>(group, 11)?.into_iter();
    let mut score = column::<FloatType>(group, 12)?.into_iter();
    let mut dropped = column::<BoolType>(group, 13)?.into_iter();
    for _ in 0..group.metadata().num_rows() {
        out.push(Judgement {
            task: parse(&text(&need(&mut task)?)?)?,
            sample: PairId(text(&need(&mut sample)?)?),
            content: parse::<Digest>(&text(&need(&mut content)?)?)?,
            text: caption.next().flatten().as_ref().map(text).transpose()?,
            label: label.next().flatten().map(i32::cast_unsigned),
            goal: goal.next().flatten().as_ref().map(text).transpose()?,
            rank: need(&mut rank)?.cast_unsigned(),
            gallery: need(&mut gallery)?.cast_unsigned(),
            top: serde_json::from_slice(need(&mut top)?.data())?,
            scores: serde_json::from_slice(need(&mut scores)?.data())?,
            cluster: text(&need(&mut cluster)?)?,
            poisoned: poisoned.next().flatten(),
            score: score.next().flatten(),
            dropped: dropped.next().flatten(),
        });
    }
    Ok(())
}

/// All values of column `index`, `None` where it is null.
fn column<T: DataType>(group: &dyn RowGroupReader, index: usize) -> Result<Vec<Option<T::T>>> {
    let rows = usize::try_from(group.metadata().num_rows())?;
    let optional = group.metadata().column(index).column_descr().max_def_level() > 0;
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
    let (mut values, mut present) = (Vec::new(), Vec::new());
    let levels = optional.then_some(&mut present);
    let (records, _, _) = reader.read_records(rows, levels, None, &mut values)?;
    if records != rows {
        bail!("column {index} has {records} of {rows} values");
    }
    if !optional {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(present.iter().map(|p| if *p > 0 { values.next() } else { None }).collect())
}

fn need<T>(values: &mut impl Iterator<Item = Option<T>>) -> Result<T> {
    values.next().flatten().context("a value is missing")
}

fn text(bytes: &ByteArray) -> Result<String> {
    Ok(bytes.as_utf8()?.to_owned())
}

/// A value whose serialised form is a plain text: a task, a digest.
fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T> {
    let source: StrDeserializer<'_, TextError> = text.into_deserializer();
    Ok(T::deserialize(source)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::metrics::Task;

    fn judgements() -> Vec<Judgement> {
        let one = |i: u32| Judgement {
            task: Task::ALL[i as usize % Task::ALL.len()],
            sample: PairId(format!("noto/ewe-{i}")),
            content: Digest::of(&i),
            text: i.is_multiple_of(2).then(|| format!("a “ewe”\nin field {i}")),
            label: (!i.is_multiple_of(3)).then_some(u32::MAX - i),
            goal: (i > 5).then(|| "ewe → airplane".into()),
            rank: i,
            gallery: u32::MAX,
            top: (0..i % 4).map(|k| format!("item \"{k}\"")).collect(),
            scores: (0..i % 4).map(|k| 0.1_f32 / (k + i) as f32).collect(),
            cluster: format!("c{}", i / 5),
            poisoned: (i == 3).then_some(true),
            score: (i == 4).then_some(f32::MIN_POSITIVE),
            dropped: (i == 5).then_some(false),
        };
        (0..500).map(one).collect()
    }

    #[test]
    fn survives_writing_and_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence/a.parquet");
        for evidence in [judgements(), Vec::new()] {
            write(&path, &evidence).unwrap();
            assert_eq!(read(&path).unwrap(), evidence);
            let bytes = std::fs::read(&path).unwrap();
            write(&path, &evidence).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "same judgements, same bytes");
        }
    }

    #[test]
    fn several_runs_share_a_file_that_repeats_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (one, all) = (dir.path().join("a.parquet"), dir.path().join("all.parquet"));
        let runs: BTreeMap<Digest, Vec<Judgement>> = (0..8_u32)
            .map(|run| {
                let mut own = judgements();
                own.truncate(500 - run as usize);
                own.iter_mut().for_each(|j| j.rank = (j.rank * 7 + run) % 40);
                (Digest::of(&("run", run)), own)
            })
            .chain([(Digest::of(&"empty"), Vec::new())])
            .collect();
        write_all(&all, &runs).unwrap();
        assert_eq!(read_all(&all).unwrap(), runs);
        write(&one, &runs[&Digest::of(&("run", 0_u32))]).unwrap();
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&all) < 4 * size(&one), "{} of {}", size(&all), size(&one));
        let error = read_all(&one).unwrap_err().to_string();
        assert!(error.contains("a.parquet: damaged evidence (it names no runs)"), "{error}");
    }

    #[test]
    fn damage_is_one_line_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, &judgements()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 3, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(
                error.contains("a.parquet: damaged evidence") && !error.contains('\n'),
                "{error}"
            );
        }
        let mut flipped = bytes.clone();
        flipped[20] ^= 0xff;
        std::fs::write(&path, &flipped).unwrap();
        assert!(read(&path).map_or(true, |got| got != judgements()));
        assert!(read(&dir.path().join("b.parquet")).is_err());
    }
}
