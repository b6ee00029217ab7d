//! From a run folder to a bundle; the same folder gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;

use super::{BYTES, CONTENTS, Contents, ENCODERS, FORMAT, MEMBERS, Member, PROTOCOL, checkpoints};
use crate::benchmark::{Benchmark, Form, Protocol};
use crate::catalogue::{self, Kind};
use crate::failure::{Failure, Result};
use crate::machine::Machine;
use crate::row::{self, Row};
use crate::strict;

/// Of zstd's 22 levels one in the middle: evidence, the bulk, is compressed already.
const LEVEL: i32 = 9;

/// How to pack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packing<'a> {
    /// Take rows of a program that was built from changed sources.
    pub allow_dirty: bool,
    /// A folder with the checkpoints, which are then packed too.
    pub weights: Option<&'a Path>,
    /// The address below which they lie.
    pub link: Option<&'a str>,
    /// Where data lie that do not come with the program.
    pub data_root: Option<&'a Path>,
}

/// A packed run.
#[derive(Debug)]
pub struct Packed {
    /// The bundle.
    pub bytes: Vec<u8>,
    /// Why it does not say by which protocol it was measured, if it does not: its data are not here.
    pub nameless: Option<String>,
}

/// The bundle of a run folder, with the checkpoints behind its rows where a folder of them is given.
///
/// # Errors
/// If rows or evidence are missing, rows are of several programs or benchmarks, or of changed sources without
/// `allow_dirty`; if the run is too large for a bundle.
pub fn pack(run: &Path, how: Packing<'_>) -> Result<Packed> {
    let kept = row::read(&run.join("rows.jsonl"));
    let rows = kept.map_err(|e| Failure::request(format!("{e:#}")))?.rows;
    let first = one_program(run, &rows, how.allow_dirty)?;
    let link = how.link.map(address).transpose()?;
    let mut members = BTreeMap::new();
    let mut add = |name: String, path: &Path, remedy: &str| -> Result<()> {
        let bytes = fs::read(path).map_err(|e| Failure::absent(path, &e, remedy))?;
        members.insert(name, bytes);
        Ok(())
    };
    add("rows.jsonl".to_owned(), &run.join("rows.jsonl"), "run the benchmark first")?;
    for id in rows.iter().filter(|r| r.value.is_some()).map(|r| r.run).collect::<BTreeSet<_>>() {
        let name = format!("evidence/{id}.parquet");
        add(name.clone(), &run.join(name), "a row without evidence says nothing; run again")?;
    }
    for poison in rows.iter().filter_map(|row| row.poison).collect::<BTreeSet<_>>() {
        let name = format!("armed/{}.json", poison.short());
        if run.join(&name).exists() {
            add(name.clone(), &run.join(name), "run again")?;
        }
    }
    let spec = catalogue::benchmarks_folder().join(format!("{}.toml", first.benchmark));
    add("benchmark.toml".to_owned(), &spec, "call this where the benchmark's file lies")?;
    let benchmark = Benchmark::read(&spec, Form::Laptop, &[], &[])?;
    let absent = |name: &String| crate::data::named(name, how.data_root).err();
    let nameless = benchmark.datasets.iter().find_map(absent).map(|why| why.to_string());
    let protocol = match nameless {
        None => Some(Protocol::of(&benchmark, how.data_root)?),
        Some(_) => None,
    };
    members.extend(protocol.as_ref().map(|of| (PROTOCOL.to_owned(), of.to_json().into_bytes())));
    for encoder in &benchmark.encoders {
        let text = format!("{:#}\n", json!(encoder.config));
        members.insert(format!("{ENCODERS}/{}.json", encoder.name), text.into_bytes());
    }
    members.insert("cards.json".to_owned(), format!("{:#}\n", cards(&rows)?).into_bytes());
    if let Some(dir) = how.weights {
        members.extend(checkpoints::members(&models(&rows), dir)?);
    }
    let size: u64 = members.values().map(|bytes| bytes.len() as u64).sum();
    if size > BYTES || members.len() > MEMBERS {
        return Err(Failure::request(format!(
            "{}: {size} bytes in {} files are too many for a bundle; pack parts of the matrix (--only)",
            run.display(),
            members.len()
        )));
    }
    let protocol = protocol.map(|of| of.digest());
    let contents = Contents { link, protocol, ..contents(first, &rows, &members) };
    let bytes = write(&contents, &members);
    let bytes = bytes.map_err(|e| Failure::failed(format!("packing: {e}")))?;
    Ok(Packed { bytes, nameless })
}

/// An address that anybody can open.
pub(super) fn address(link: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+=".contains(c);
    match link.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() && rest.chars().all(plain) && strict::text(link).is_ok() => {
            Ok(link.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::request(format!(
            "the link `{}` is no plain https:// address of a folder of checkpoints",
            link.escape_debug()
        ))),
    }
}

/// The first of rows that are of one program and one benchmark.
fn one_program<'a>(run: &Path, rows: &'a [Row], allow_dirty: bool) -> Result<&'a Row> {
    let wrong = |why: &str| Failure::request(format!("{}: {why}", run.display()));
    let first = rows.first().ok_or_else(|| wrong("no rows; run the benchmark first"))?;
    if rows.iter().any(|row| row.code != first.code || row.benchmark != first.benchmark) {
        return Err(wrong("rows of several programs or benchmarks; pack each by itself"));
    }
    if first.code.dirty && !allow_dirty {
        return Err(wrong(
            "its program was built from changed sources; commit and run again, or give --allow-dirty, which marks the bundle",
        ));
    }
    Ok(first)
}

/// Cards of the attacks and defenses in the rows.
fn cards(rows: &[Row]) -> Result<Value> {
    let names = |of: fn(&Row) -> &Value| -> BTreeSet<&str> {
        rows.iter().filter_map(|row| of(row)["name"].as_str()).collect()
    };
    let mut out = serde_json::Map::new();
    for (kind, names) in
        [(Kind::Attacks, names(|row| &row.attack)), (Kind::Defenses, names(|row| &row.defense))]
    {
        let items = names.into_iter().map(|name| kind.find(name)).collect::<Result<Vec<_>>>()?;
        out.insert(kind.singular().to_owned(), json!(items));
    }
    Ok(Value::Object(out))
}

/// The weights behind rows.
fn models(rows: &[Row]) -> BTreeSet<Digest> {
    rows.iter().filter_map(|row| row.weights).collect()
}

fn contents(first: &Row, rows: &[Row], members: &BTreeMap<String, Vec<u8>>) -> Contents {
    let member =
        |bytes: &Vec<u8>| Member { bytes: bytes.len() as u64, sha256: Digest::of_bytes(bytes) };
    Contents {
        format: FORMAT,
        benchmark: first.benchmark.clone(),
        code: first.code.clone(),
        environment: json!(Machine::of_this_process()),
        checkpoints: models(rows).into_iter().collect(),
        link: None,
        protocol: None,
        files: members.iter().map(|(name, bytes)| (name.clone(), member(bytes))).collect(),
    }
}

fn write(contents: &Contents, members: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes)
    };
    add(CONTENTS, format!("{:#}\n", json!(contents)).as_bytes())?;
    members.iter().try_for_each(|(name, bytes)| add(name, bytes))?;
    tar.into_inner()?.finish()
}
