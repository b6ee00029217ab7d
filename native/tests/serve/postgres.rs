//! The same on PostgreSQL: `cargo xtask test` brings a server up; `TOXICLIP_POSTGRES_URL` names an empty database of any.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::Server;
use crate::{backup, flow};

/// A schema of its own in the database, so that tests do not meet; none where there is no database.
fn database() -> Option<String> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let required = std::env::var_os("REQUIRE_POSTGRES").is_some_and(|v| v == "1");
    let Ok(url) = std::env::var("TOXICLIP_POSTGRES_URL") else {
        assert!(!required, "REQUIRE_POSTGRES=1, and TOXICLIP_POSTGRES_URL names no database");
        println!("SKIPPED: TOXICLIP_POSTGRES_URL names no database");
        return None;
    };
    let schema = format!("t{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        connection.execute(&format!("CREATE SCHEMA {schema}")[..]).await.unwrap();
    });
    let sign = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{sign}options=-c%20search_path%3D{schema}"))
}

fn on_postgres(test: impl Fn(&Server)) {
    let Some(url) = database() else { return };
    let dir = tempfile::tempdir().unwrap();
    test(&Server::on(dir.path().join("data"), Some(url), &[]));
}

#[test]
fn postgres_a_bundle_is_accepted_and_withdrawn() {
    on_postgres(flow::accepted_and_withdrawn);
}

#[test]
fn postgres_replays_are_refused() {
    on_postgres(flow::replays);
}

#[test]
fn postgres_is_backed_up_and_restored_into_either_kind() {
    on_postgres(|server| {
        let place = tempfile::tempdir().unwrap();
        backup::round(server, None, place.path());
    });
    let Some(url) = database() else { return };
    let place = tempfile::tempdir().unwrap();
    backup::round(&Server::start(&[]), Some(url), place.path());
}
