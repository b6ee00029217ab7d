//! The log of every change of state. A row is written in the transaction of the change that it is about.

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::clock;
use super::database::{Database, Write, number, text};

/// Rows that one answer holds.
pub(crate) const PAGE: i64 = 200;

/// Who acts.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    /// Whoever holds a token, by the token's id.
    Token(String),
    /// The server itself: its queue, its start.
    Server,
    /// A person at the machine.
    CommandLine,
}

impl Actor {
    fn name(&self) -> String {
        match self {
            Self::Token(id) => format!("token:{id}"),
            Self::Server => "server".to_owned(),
            Self::CommandLine => "command-line".to_owned(),
        }
    }
}

/// A change.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Who.
    pub(crate) actor: &'a Actor,
    /// What, as `submission.accept`.
    pub(crate) action: &'a str,
    /// Of which submission or token.
    pub(crate) subject: &'a str,
    /// State before; nothing where it came to be.
    pub(crate) before: &'a str,
    /// State after.
    pub(crate) after: &'a str,
    /// Why, or with what.
    pub(crate) detail: &'a str,
}

/// Appends a row.
pub(crate) async fn append(write: &mut Write<'_>, change: &Change<'_>) -> sqlx::Result<()> {
    let last = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS last FROM audit");
    let last = number(&last.fetch_one(&mut *write.tx).await?, "last")?;
    let sql = "INSERT INTO audit (seq, at, actor, action, subject, before, after, detail) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let row = sqlx::query(sql).bind(last + 1).bind(clock::now()).bind(change.actor.name());
    let row = row.bind(change.action.to_owned()).bind(change.subject.to_owned());
    let row = row.bind(change.before.to_owned()).bind(change.after.to_owned());
    row.bind(change.detail.to_owned()).execute(&mut *write.tx).await.map(drop)
}

/// Rows before number `before`, the newest first.
pub(crate) async fn page(database: &Database, before: i64) -> sqlx::Result<Vec<Value>> {
    let sql = "SELECT seq, at, actor, action, subject, before, after, detail FROM audit \
               WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
    let rows = sqlx::query(sql).bind(before).bind(PAGE).fetch_all(database.read()).await?;
    rows.iter().map(shown).collect()
}

fn shown(row: &AnyRow) -> sqlx::Result<Value> {
    Ok(json!({
        "seq": number(row, "seq")?, "at": clock::text(number(row, "at")?), "actor": text(row, "actor")?,
        "action": text(row, "action")?, "subject": text(row, "subject")?, "before": text(row, "before")?,
        "after": text(row, "after")?, "detail": text(row, "detail")?,
    }))
}
