//! `toxiclip serve` from outside: a server of its own for every test, spoken to in plain HTTP.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "whoever waits for a server gives up at some time")]

#[path = "../submit/bundle.rs"]
#[allow(dead_code, reason = "no test needs all of it")]
mod bundle;
#[path = "../submit/forgeries.rs"]
mod forgeries;

mod attacks;
mod backup;
mod disk;
mod flow;
mod kills;
mod postgres;
mod queue;
mod scopes;
mod server;
mod uploads;

/// What bundles are of here: as little as has an attack in it, as each is verified.
pub(crate) const SPEC: &str = r#"
title = "mini"
analysis = "for bundles"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", "badnets:target=banana"]
defense = ["none"]
seed = [0]
[train]
steps = 2
batch = 64
"#;
