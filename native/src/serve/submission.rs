//! A submission and its states.
//!
//! ```text
//! uploading ─► queued ─► verifying ─► verified ─► accepted
//!                 ▲          │  └────► refused └─► rejected
//!                 └──────────┘ the server was stopped
//! ```
//! `withdrawn` follows from any other, by its owner. Every arrow is one transaction, which also writes the log.

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::audit::{self, Actor, Change};
use super::clock;
use super::database::{Database, Write, number, text};

/// Where a submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Bytes are coming.
    Uploading,
    /// All bytes are here and are those of the digest.
    Queued,
    /// A process looks at it.
    Verifying,
    /// Every number follows from its evidence; a person decides.
    Verified,
    /// It is not what it says, or another's.
    Refused,
    /// Shown to everybody.
    Accepted,
    /// A person said no.
    Rejected,
    /// Taken back by its owner.
    Withdrawn,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Uploading,
        Self::Queued,
        Self::Verifying,
        Self::Verified,
        Self::Refused,
        Self::Accepted,
        Self::Rejected,
        Self::Withdrawn,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Queued => "queued",
            Self::Verifying => "verifying",
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// Its address.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) submitter: String,
    /// Its name among the submitter's.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) state: State,
    /// Digest of the bundle.
    pub(crate) sha256: String,
    /// Size of the bundle.
    pub(crate) bytes: u64,
    /// When its state last changed.
    pub(crate) changed: i64,
    created: i64,
    reason: String,
    record: Value,
}

/// A column that holds what no program of ours writes.
fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

impl Submission {
    fn of(row: &AnyRow) -> sqlx::Result<Self> {
        let state = text(row, "state")?;
        let unknown = || sqlx::Error::Decode(format!("no state is called {state}").into());
        Ok(Self {
            id: text(row, "id")?,
            submitter: text(row, "submitter")?,
            name: text(row, "name")?,
            state: State::named(&state).ok_or_else(unknown)?,
            sha256: text(row, "sha256")?,
            bytes: u64::try_from(number(row, "bytes")?).map_err(damaged)?,
            changed: number(row, "changed")?,
            created: number(row, "created")?,
            reason: text(row, "reason")?,
            record: match &text(row, "record")?[..] {
                "" => Value::Null,
                said => serde_json::from_str(said).map_err(damaged)?,
            },
        })
    }

    /// Checks that could not be made, as the process that verified it said; none before.
    pub(crate) fn skipped(&self) -> Value {
        self.record.get("skipped").cloned().unwrap_or_else(|| json!([]))
    }

    /// What is shown of it.
    pub(crate) fn json(&self) -> Value {
        let reason = (!self.reason.is_empty()).then_some(&self.reason);
        json!({
            "id": self.id, "submitter": self.submitter, "name": self.name, "state": self.state.name(),
            "sha256": self.sha256, "bytes": self.bytes, "created": clock::text(self.created),
            "changed": clock::text(self.changed), "reason": reason, "record": self.record,
        })
    }

    /// As [`Self::created`] is kept, for lists that go on.
    pub(crate) fn cursor(&self) -> String {
        format!("{}-{}", self.created, self.id)
    }
}

/// Adds a submission that is about to be uploaded.
pub(crate) async fn insert(
    write: &mut Write<'_>,
    [id, submitter, name, sha256]: [&str; 4],
    bytes: u64,
    actor: &Actor,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO submissions (id, submitter, name, state, sha256, bytes, complete, created, changed, reason, record) \
               VALUES ($1, $2, $3, 'uploading', $4, $5, 0, $6, $6, '', '')";
    let row = sqlx::query(sql).bind(id.to_owned()).bind(submitter.to_owned()).bind(name.to_owned());
    let row = row.bind(sha256.to_owned()).bind(i64::try_from(bytes).unwrap_or(i64::MAX));
    row.bind(clock::now()).execute(&mut *write.tx).await?;
    let (action, after) = ("submission.create", State::Uploading.name());
    let change = Change { actor, action, subject: id, before: "", after, detail: sha256 };
    audit::append(write, &change).await
}

/// A change of state.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// States that it may be in before.
    pub(crate) from: &'a [State],
    /// The state after.
    pub(crate) to: State,
    /// Who.
    pub(crate) actor: &'a Actor,
    /// The log's word for it.
    pub(crate) action: &'a str,
    /// Why; kept with the submission where somebody said no.
    pub(crate) reason: &'a str,
}

/// Takes a step if the submission is in one of the states; says whether it was.
pub(crate) async fn step(write: &mut Write<'_>, id: &str, step: &Step<'_>) -> sqlx::Result<bool> {
    let sql = "SELECT * FROM submissions WHERE id = $1";
    let row = sqlx::query(sql).bind(id.to_owned()).fetch_optional(&mut *write.tx).await?;
    let Some(before) = row.as_ref().map(Submission::of).transpose()? else { return Ok(false) };
    if !step.from.contains(&before.state) {
        return Ok(false);
    }
    let sql = "UPDATE submissions SET state = $1, changed = $2, reason = $3 WHERE id = $4";
    let row = sqlx::query(sql).bind(step.to.name()).bind(clock::now());
    row.bind(step.reason.to_owned()).bind(id.to_owned()).execute(&mut *write.tx).await?;
    let (before, after) = (before.state.name(), step.to.name());
    let &Step { actor, action, reason: detail, .. } = step;
    audit::append(write, &Change { actor, action, subject: id, before, after, detail }).await?;
    Ok(true)
}

/// One submission.
pub(crate) async fn get(database: &Database, id: &str) -> sqlx::Result<Option<Submission>> {
    let row = sqlx::query("SELECT * FROM submissions WHERE id = $1").bind(id.to_owned());
    row.fetch_optional(database.read()).await?.as_ref().map(Submission::of).transpose()
}

/// All submissions in a state, the oldest change first.
pub(crate) async fn in_state(database: &Database, state: State) -> sqlx::Result<Vec<Submission>> {
    let rows = sqlx::query("SELECT * FROM submissions WHERE state = $1 ORDER BY changed, id");
    let rows = rows.bind(state.name()).fetch_all(database.read()).await?;
    rows.iter().map(Submission::of).collect()
}

/// Who asks for a list, and for which part of it.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Sees what is not accepted too, of everybody.
    pub(crate) all: bool,
    /// Sees what is not accepted of this submitter.
    pub(crate) own: String,
    /// Only of this submitter.
    pub(crate) submitter: String,
    /// Only in this state.
    pub(crate) state: String,
    /// Only what comes behind this time and id.
    pub(crate) after: (i64, String),
    /// How many.
    pub(crate) limit: i64,
}

/// A part of the list, in the order of creation.
pub(crate) async fn list(database: &Database, wanted: &Wanted) -> sqlx::Result<Vec<Submission>> {
    let sql = "SELECT * FROM submissions \
               WHERE ($1 = 1 OR state = 'accepted' OR submitter = $2) AND ($3 = '' OR submitter = $3) \
               AND ($4 = '' OR state = $4) AND (created > $5 OR (created = $5 AND id > $6)) \
               ORDER BY created, id LIMIT $7";
    let rows = sqlx::query(sql).bind(i64::from(wanted.all)).bind(wanted.own.clone());
    let rows = rows.bind(wanted.submitter.clone()).bind(wanted.state.clone());
    let rows = rows.bind(wanted.after.0).bind(wanted.after.1.clone()).bind(wanted.limit);
    rows.fetch_all(database.read()).await?.iter().map(Submission::of).collect()
}

/// Submissions of the same bundle: those of others that came whole, and those of the submitter that still stand.
pub(crate) async fn same_bundle(
    write: &mut Write<'_>,
    sha256: &str,
    submitter: &str,
) -> sqlx::Result<Vec<Submission>> {
    let sql = "SELECT * FROM submissions WHERE sha256 = $1 AND ((submitter <> $2 AND complete = 1) OR \
               (submitter = $2 AND state NOT IN ('refused', 'withdrawn'))) ORDER BY created, id";
    let rows = sqlx::query(sql).bind(sha256.to_owned()).bind(submitter.to_owned());
    rows.fetch_all(&mut *write.tx).await?.iter().map(Submission::of).collect()
}

/// A verified submission of somebody else with the same rows.
pub(crate) async fn same_rows(
    write: &mut Write<'_>,
    content: &str,
    submitter: &str,
) -> sqlx::Result<Option<Submission>> {
    let sql = "SELECT * FROM submissions WHERE content = $1 AND submitter <> $2 AND state <> 'refused' \
               ORDER BY created, id LIMIT 1";
    let row = sqlx::query(sql).bind(content.to_owned()).bind(submitter.to_owned());
    row.fetch_optional(&mut *write.tx).await?.as_ref().map(Submission::of).transpose()
}

/// How many uploads of a submitter are open, and how many bytes of theirs are not decided upon.
pub(crate) async fn pending(write: &mut Write<'_>, submitter: &str) -> sqlx::Result<(i64, u64)> {
    let sql = "SELECT COUNT(*) AS uploads, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM submissions \
               WHERE submitter = $1 AND state IN ('uploading', 'queued', 'verifying', 'verified')";
    let row = sqlx::query(sql).bind(submitter.to_owned()).fetch_one(&mut *write.tx).await?;
    Ok((number(&row, "uploads")?, u64::try_from(number(&row, "bytes")?).unwrap_or(u64::MAX)))
}

/// Notes that all bytes came.
pub(crate) async fn set_complete(write: &mut Write<'_>, id: &str) -> sqlx::Result<()> {
    let row = sqlx::query("UPDATE submissions SET complete = 1 WHERE id = $1").bind(id.to_owned());
    row.execute(&mut *write.tx).await.map(drop)
}

/// Keeps what a verification said.
pub(crate) async fn set_record(
    write: &mut Write<'_>,
    id: &str,
    record: &Value,
    content: &str,
) -> sqlx::Result<()> {
    let sql = "UPDATE submissions SET record = $1, content = $2 WHERE id = $3";
    let row = sqlx::query(sql).bind(record.to_string()).bind(content.to_owned());
    row.bind(id.to_owned()).execute(&mut *write.tx).await.map(drop)
}

/// How many submissions wait.
pub(crate) async fn waiting(database: &Database) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) AS waiting FROM submissions WHERE state IN ('queued', 'verifying')";
    number(&sqlx::query(sql).fetch_one(database.read()).await?, "waiting")
}
