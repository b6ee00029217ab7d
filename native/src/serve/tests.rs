//! What only the inside can see: that the description is complete, and that old databases are brought up to date.

use std::collections::BTreeSet;

use super::database::{Database, MIGRATIONS, number, text};
use super::router::resources;
use super::{audit, submission};

/// A database that the first migration alone wrote, with its rows.
const OLD: &str = include_str!("../../tests/serve/first.sql");

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn every_operation_is_described_once() {
    let all = resources(1 << 20);
    let mut ids = BTreeSet::new();
    for resource in &all {
        assert!(!resource.operations.is_empty(), "{}", resource.path);
        for (method, operation) in &resource.operations {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(
                !operation["summary"].as_str().unwrap().is_empty(),
                "{method} {}",
                resource.path
            );
        }
    }
    let document = super::openapi::document(&all);
    assert_eq!(document["paths"].as_object().unwrap().len(), all.len(), "a path twice");
}

#[test]
fn an_old_database_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("old?100%#.sqlite").to_string_lossy().into_owned();
    runtime().block_on(async {
        let old = Database::connect(&file).await.unwrap();
        sqlx::raw_sql(OLD).execute(old.read()).await.unwrap();
        old.close().await;
        let database = Database::open(&file).await.unwrap();
        let found = submission::get(&database, &"a1".repeat(16)).await.unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), found.state.name(), found.bytes),
            ("first-run", "accepted", 4321)
        );
        let log = audit::page(&database, i64::MAX).await.unwrap();
        let subjects: Vec<&str> = log.iter().map(|row| row["subject"].as_str().unwrap()).collect();
        assert_eq!(subjects, ["b2".repeat(16), "a1".repeat(16)], "what was there is in the log");
        assert_eq!((&log[1]["actor"], &log[1]["after"]), (&"migration".into(), &"accepted".into()));
        let row = sqlx::query("SELECT content, COUNT(*) AS n FROM submissions GROUP BY content");
        let row = row.fetch_one(database.read()).await.unwrap();
        assert_eq!(
            (text(&row, "content").unwrap(), number(&row, "n").unwrap()),
            (String::new(), 2)
        );
        // A second time nothing is left to do.
        database.migrate(MIGRATIONS.last().unwrap().0).await.unwrap();
        database.close().await;
    });
}

#[test]
fn a_database_of_another_history_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new.sqlite").to_string_lossy().into_owned();
    runtime().block_on(async {
        let newer = Database::open(&file).await.unwrap();
        let sql = "UPDATE _sqlx_migrations SET version = 99 WHERE version = 2";
        sqlx::raw_sql(sql).execute(newer.read()).await.unwrap();
        newer.close().await;
        let refused = Database::open(&file).await.unwrap_err();
        assert!(refused.code() == 2 && refused.to_string().contains("99"), "{refused}");
    });
}
