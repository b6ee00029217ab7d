//! Tokens: who may submit, and who may decide.
//!
//! A token is 256 bits of the system's generator, shown once. What is kept is its sha256: a slow hash protects passwords
//! that people choose, and nobody searches 2^256 tokens however fast the hash is; so a request costs microseconds.

use serde_json::{Value, json};
use sqlx::any::AnyRow;
use toxiclip_shared::digest::Digest;

use super::audit::{self, Actor, Change};
use super::clock;
use super::database::{Database, Write, number, text};
use super::names::is_hex;
use crate::failure::{Failure, Result};
use crate::secret::secret;

/// What every token begins with, so that scanners of leaked secrets know it.
const PREFIX: &str = "txc_";
/// The last use is written at most so often, in milliseconds: reading must not become writing.
const USE_EVERY: i64 = 60_000;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To upload, and to withdraw what is one's own.
    Submit,
    /// To make and revoke tokens, to accept and reject, to read the log.
    Admin,
}

impl Scope {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Submit, Self::Admin].into_iter().find(|scope| scope.name() == name)
    }
}

/// A token without its secret.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Its address.
    pub(crate) id: String,
    /// What it allows.
    pub(crate) scope: Scope,
    /// Whose submissions it makes.
    pub(crate) submitter: String,
    created: i64,
    last_used: i64,
    revoked: i64,
}

impl Token {
    fn of(row: &AnyRow) -> sqlx::Result<Self> {
        let scope = text(row, "scope")?;
        let unknown = || sqlx::Error::Decode(format!("no scope is called {scope}").into());
        Ok(Self {
            id: text(row, "id")?,
            scope: Scope::named(&scope).ok_or_else(unknown)?,
            submitter: text(row, "submitter")?,
            created: number(row, "created")?,
            last_used: number(row, "last_used")?,
            revoked: number(row, "revoked")?,
        })
    }

    /// Its line in a table.
    pub(crate) fn words(&self) -> [String; 4] {
        let revoked = clock::text(self.revoked).unwrap_or_else(|| "–".to_owned());
        [self.id.clone(), self.scope.name().to_owned(), self.submitter.clone(), revoked]
    }

    /// What is shown of it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id, "scope": self.scope.name(), "submitter": self.submitter,
            "created": clock::text(self.created), "last_used": clock::text(self.last_used),
            "revoked": clock::text(self.revoked),
        })
    }
}

fn hash(token: &str) -> String {
    Digest::of_bytes(token.as_bytes()).to_string()
}

/// Makes a token; its secret is in no other place than the answer.
///
/// # Errors
/// If the database or the system's generator refuses.
pub(crate) async fn create(
    database: &Database,
    scope: Scope,
    submitter: &str,
    actor: &Actor,
) -> Result<(Token, String)> {
    let (id, secret) = (secret::<8>()?, format!("{PREFIX}{}", secret::<32>()?));
    let token = Token {
        id,
        scope,
        submitter: submitter.to_owned(),
        created: clock::now(),
        last_used: 0,
        revoked: 0,
    };
    insert(database, &token, &hash(&secret), actor)
        .await
        .map_err(|e| Failure::failed(format!("the token is not kept: {e}")))?;
    Ok((token, secret))
}

async fn insert(database: &Database, token: &Token, hash: &str, actor: &Actor) -> sqlx::Result<()> {
    let mut write = database.write().await?;
    let sql = "INSERT INTO tokens (id, hash, scope, submitter, created, last_used, revoked) \
               VALUES ($1, $2, $3, $4, $5, 0, 0)";
    let row =
        sqlx::query(sql).bind(token.id.clone()).bind(hash.to_owned()).bind(token.scope.name());
    row.bind(token.submitter.clone()).bind(token.created).execute(&mut *write.tx).await?;
    let detail = format!("{} {}", token.scope.name(), token.submitter);
    log(&mut write, actor, "token.create", &token.id, ["", "valid"], detail.trim()).await?;
    write.commit().await
}

async fn log(
    write: &mut Write<'_>,
    actor: &Actor,
    action: &str,
    subject: &str,
    [before, after]: [&str; 2],
    detail: &str,
) -> sqlx::Result<()> {
    audit::append(write, &Change { actor, action, subject, before, after, detail }).await
}

/// The valid token of a secret.
pub(crate) async fn find(database: &Database, secret: &str) -> sqlx::Result<Option<Token>> {
    let known = secret.strip_prefix(PREFIX).is_some_and(|digits| is_hex(digits, 64));
    if !known {
        return Ok(None);
    }
    let sql = "SELECT * FROM tokens WHERE hash = $1 AND revoked = 0";
    let row = sqlx::query(sql).bind(hash(secret)).fetch_optional(database.read()).await?;
    row.as_ref().map(Token::of).transpose()
}

/// Notes that a token was used.
pub(crate) async fn used(database: &Database, token: &Token) -> sqlx::Result<()> {
    let now = clock::now();
    if now - token.last_used < USE_EVERY {
        return Ok(());
    }
    let mut write = database.write().await?;
    let sql = "UPDATE tokens SET last_used = $1 WHERE id = $2";
    sqlx::query(sql).bind(now).bind(token.id.clone()).execute(&mut *write.tx).await?;
    write.commit().await
}

/// All tokens, the oldest first.
pub(crate) async fn list(database: &Database) -> sqlx::Result<Vec<Token>> {
    let rows = sqlx::query("SELECT * FROM tokens ORDER BY created, id");
    rows.fetch_all(database.read()).await?.iter().map(Token::of).collect()
}

/// Ends a token; false if there is none of this id that is valid.
pub(crate) async fn revoke(database: &Database, id: &str, actor: &Actor) -> sqlx::Result<bool> {
    let mut write = database.write().await?;
    let sql = "UPDATE tokens SET revoked = $1 WHERE id = $2 AND revoked = 0";
    let row = sqlx::query(sql).bind(clock::now()).bind(id.to_owned());
    if row.execute(&mut *write.tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    log(&mut write, actor, "token.revoke", id, ["valid", "revoked"], "").await?;
    write.commit().await?;
    Ok(true)
}
