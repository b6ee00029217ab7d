//! Backup and restoring: rows and bundles in one file. What is laid out of bundles is made again.
//!
//! | member | content |
//! |---|---|
//! | `backup.json` | [`About`]; comes first |
//! | `TABLE.jsonl` | a table, a row each line: the same from SQLite and PostgreSQL, so that one is restored into the other |
//! | `bundles/ID.tar.zst` | every bundle that came whole |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{Any, Column as _, Row as _, Transaction};
use toxiclip_shared::digest::Digest;

use super::app::database_of;
use super::check::lay_out;
use super::database::{Database, MIGRATIONS, Write};
use super::names::is_hex;
use super::places::{Places, remove};
use crate::cmd::serve::Place;
use crate::failure::{Failure, Result};
use crate::output;

const FORMAT: u32 = 1;
const ABOUT: &str = "backup.json";
/// Tables, with the migration that each came with.
const TABLES: [(&str, i64); 3] = [("tokens", 1), ("submissions", 1), ("audit", 2)];
/// Bundles, the bulk, are compressed already.
const LEVEL: i32 = 1;
/// Bytes of a table at most.
const TABLE: u64 = 1 << 30;

/// `backup.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: u32,
    /// The newest migration of its tables.
    migration: i64,
}

type Rows = Vec<Map<String, Value>>;

/// Writes database and bundles, as they are at one moment, into one file.
///
/// # Errors
/// If they cannot be read, or the file cannot be written.
pub(crate) async fn write(file: &Path, place: &Place) -> Result<()> {
    let places = Places::open(&place.data)?;
    let database = Database::open(&database_of(place, &places)).await?;
    let tables = tables(&database).await.map_err(|e| Failure::failed(format!("database: {e}")))?;
    database.close().await;
    let partial = file.with_extension("partial");
    let written = archive(&partial, &tables, &places)
        .and_then(|bundles| fs::rename(&partial, file).map(|()| bundles));
    let bundles = written.map_err(|e| {
        drop(remove(&partial));
        Failure::io(file, &e)
    })?;
    output::print(&format!("{}  {bundles} bundles", file.display()))
}

async fn tables(database: &Database) -> sqlx::Result<BTreeMap<&'static str, Rows>> {
    let mut moment = database.moment().await?;
    let mut all = BTreeMap::new();
    for (table, _) in TABLES {
        all.insert(table, rows(&mut moment, table).await?);
    }
    moment.rollback().await?;
    Ok(all)
}

async fn rows(moment: &mut Transaction<'static, Any>, table: &str) -> sqlx::Result<Rows> {
    let sql = format!("SELECT * FROM {table}");
    let rows = sqlx::query(&sql).fetch_all(&mut **moment).await?;
    rows.iter().map(object).collect()
}

fn object(row: &AnyRow) -> sqlx::Result<Map<String, Value>> {
    let mut object = Map::new();
    for column in row.columns() {
        let name = column.name();
        let value = match column.type_info().kind() {
            AnyTypeInfoKind::Text => json!(row.try_get::<String, _>(name)?),
            _ => json!(row.try_get::<i64, _>(name)?),
        };
        object.insert(name.to_owned(), value);
    }
    Ok(object)
}

fn archive(
    file: &Path,
    tables: &BTreeMap<&'static str, Rows>,
    places: &Places,
) -> std::io::Result<usize> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(File::create(file)?, LEVEL)?);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, bytes)
    };
    let migration = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    add(ABOUT, json!(About { format: FORMAT, migration }).to_string().as_bytes())?;
    for (table, rows) in tables {
        let lines: String = rows.iter().map(|row| format!("{}\n", json!(row))).collect();
        add(&format!("{table}.jsonl"), lines.as_bytes())?;
    }
    let complete = tables["submissions"].iter().filter(|row| row["complete"] == 1);
    let ids: Vec<&str> = complete.filter_map(|row| row["id"].as_str()).collect();
    // What was lost from the disk before cannot be saved; its row says so.
    let lost = |id: &&str| !places.bundle(id).exists();
    let ids: Vec<&str> = ids.into_iter().filter(|id| !lost(id)).collect();
    for id in &ids {
        let mut bundle = File::open(places.bundle(id))?;
        tar.append_file(format!("bundles/{id}.tar.zst"), &mut bundle)?;
    }
    tar.into_inner()?.finish()?.sync_all()?;
    Ok(ids.len())
}

/// Lays a backup out into an empty folder and an empty database.
///
/// # Errors
/// If either is not empty, or the file is no backup.
pub(crate) async fn restore(file: &Path, place: &Place) -> Result<()> {
    let remedy = "give a file that `toxiclip serve backup` wrote";
    let source = File::open(file).map_err(|e| Failure::absent(file, &e, remedy))?;
    let places = Places::open(&place.data)?;
    let _lock = places.lock()?;
    let database = Database::connect(&database_of(place, &places)).await?;
    let wrong = |why: String| Failure::request(format!("{}: {why}; {remedy}", file.display()));
    let bundles =
        restored(source, &places, &database).await.map_err(|e| wrong(format!("{e:#}")))?;
    database.close().await;
    output::print(&format!("{}  {bundles} bundles", places.root().display()))
}

async fn restored(source: File, places: &Places, database: &Database) -> anyhow::Result<usize> {
    use anyhow::ensure;
    let mut archive = tar::Archive::new(zstd::Decoder::new(source)?);
    let (mut about, mut tables) = (None, BTreeMap::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if about.is_none() {
            ensure!(name == ABOUT, "it does not begin with {ABOUT}");
            let said: About = serde_json::from_reader(entry.by_ref().take(1 << 16))?;
            ensure!(said.format == FORMAT, "format {} is not {FORMAT}", said.format);
            prepare(database, said.migration).await?;
            about = Some(said);
        } else if let Some(table) = name.strip_suffix(".jsonl") {
            let known = TABLES.iter().find(|(known, _)| *known == table);
            let Some((known, _)) = known else { anyhow::bail!("it has a table {table}") };
            tables.insert(*known, parsed(entry.by_ref().take(TABLE))?);
        } else {
            let id = name.strip_prefix("bundles/").and_then(|n| n.strip_suffix(".tar.zst"));
            let id = id.filter(|id| is_hex(id, 32));
            let Some(id) = id else { anyhow::bail!("it has a member {}", name.escape_debug()) };
            std::io::copy(&mut entry, &mut File::create(places.bundle(id))?)?;
        }
    }
    let Some(About { migration, .. }) = about else { anyhow::bail!("it is empty") };
    let bundles = bundles(&tables, places)?;
    let mut write = database.write().await?;
    for (table, _) in TABLES.iter().filter(|(_, since)| *since <= migration) {
        for row in tables.get(table).into_iter().flatten() {
            insert(&mut write, table, row).await?;
        }
    }
    write.commit().await?;
    database.migrate(MIGRATIONS.last().map_or(0, |(version, _, _)| *version)).await?;
    Ok(bundles)
}

/// An empty database with the tables of the backup.
async fn prepare(database: &Database, migration: i64) -> anyhow::Result<()> {
    let known = MIGRATIONS.iter().any(|(version, _, _)| *version == migration);
    anyhow::ensure!(known, "a newer program wrote it");
    database.migrate(migration).await?;
    for table in ["tokens", "submissions"] {
        let sql = format!("SELECT * FROM {table} LIMIT 1");
        let row = sqlx::query(&sql).fetch_optional(database.read()).await?;
        anyhow::ensure!(
            row.is_none(),
            "the database is not empty; give another with --db or --data"
        );
    }
    Ok(())
}

fn parsed(mut source: impl std::io::Read) -> anyhow::Result<Rows> {
    let mut text = String::new();
    source.read_to_string(&mut text)?;
    Ok(text.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?)
}

/// Every bundle that a row speaks of is there and is that; what was verified is laid out again.
fn bundles(tables: &BTreeMap<&str, Rows>, places: &Places) -> anyhow::Result<usize> {
    let mut count = 0;
    for row in tables.get("submissions").into_iter().flatten() {
        let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, state) = (word("id"), word("state"));
        anyhow::ensure!(is_hex(id, 32), "a submission has no identifier");
        let lost = state == "refused" && !places.bundle(id).exists();
        if row.get("complete") != Some(&json!(1)) || lost {
            continue;
        }
        let bytes = fs::read(places.bundle(id))?;
        let same = Digest::of_bytes(&bytes).to_string() == word("sha256");
        anyhow::ensure!(same, "the bundle of submission {id} is damaged");
        if ["verified", "accepted"].contains(&state) {
            // The server's start moves what was accepted to its place.
            let checked = places.checked(id);
            remove(&checked)?;
            lay_out(&bytes, &checked, id)?;
        }
        count += 1;
    }
    Ok(count)
}

async fn insert(
    write: &mut Write<'_>,
    table: &str,
    row: &Map<String, Value>,
) -> anyhow::Result<()> {
    let plain = |name: &&String| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    let columns: Vec<&String> = row.keys().filter(plain).collect();
    anyhow::ensure!(columns.len() == row.len(), "a column of {table} has no name");
    let names: Vec<&str> = columns.iter().map(|name| name.as_str()).collect();
    let values: Vec<String> = (1..=columns.len()).map(|i| format!("${i}")).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    let mut query = sqlx::query(&sql);
    for name in columns {
        query = match &row[name] {
            Value::String(text) => query.bind(text.clone()),
            Value::Number(number) => query.bind(
                number
                    .as_i64()
                    .with_context(|| format!("{number} in {table} is no whole number"))?,
            ),
            _ => anyhow::bail!("a value of {table} is neither text nor number"),
        };
    }
    query.execute(&mut *write.tx).await?;
    Ok(())
}
