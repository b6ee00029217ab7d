//! Evidence files: [`Judgement`]s in Parquet, one flat row each, readable by any Parquet tool.
//!
//! Lists (`top`, `scores`) are JSON text: nested columns would cost more code than they save bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::basic::{Compression, GzipLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
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

/// Writes `evidence` to `path`, whole or not at all. The same judgements give the same bytes.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write(path: &Path, evidence: &[Judgement]) -> Result<()> {
    let bytes = encode(evidence).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(write_whole(path, &bytes)?)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// If the file is missing, cut short, or has other columns; one line that names it.
pub fn read(path: &Path) -> Result<Vec<Judgement>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = |e: anyhow::Error| {
        let why = format!("{e:#}").replace('\n', " ");
        anyhow!("{}: damaged evidence ({why}); delete it and run again", path.display())
    };
    decode(file).map_err(damaged)
}

fn encode(evidence: &[Judgement]) -> Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    // The default level, 6, takes twice the time and saves 3 %.
    let level = GzipLevel::try_new(3)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(level))
        .set_created_by("toxiclip".into())
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

fn decode(file: File) -> Result<Vec<Judgement>> {
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
    Ok(out)
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
