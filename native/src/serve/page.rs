//! The page of a server that was given none: what was accepted, and where the interface is.

use axum::extract::State;
use axum::http::StatusCode;
use maud::{DOCTYPE, html};

use super::answer::{Answer, typed};
use super::app::App;
use super::board;
use super::clock;
use super::openapi::PREFIX;

/// Shows it.
pub(crate) async fn index(State(app): State<App>) -> Answer {
    let board = board::of(&app).await?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width"; title { "toxiclip: results" } }
            body {
                h1 { "Accepted results" }
                p { (board.shown.len()) " bundles, every value recomputed from its evidence." }
                table {
                    thead { tr { th { "submitter" } th { "name" } th { "accepted" } th { "bundle" } } }
                    tbody {
                        @for one in &board.shown {
                            tr {
                                td { (one.submitter) }
                                td { a href={ (PREFIX) "/submissions/" (one.id) } { (one.name) } }
                                td { (clock::text(one.changed).unwrap_or_default()) }
                                td { a href={ (PREFIX) "/submissions/" (one.id) "/bundle" } { (one.bytes) " bytes" } }
                            }
                        }
                    }
                }
                p {
                    "Interface: " a href={ (PREFIX) "/openapi.json" } { "description" } ", "
                    a href={ (PREFIX) "/leaderboard" } { "leaderboard" } ", " a href={ (PREFIX) "/feed" } { "feed" } "."
                }
            }
        }
    };
    Ok(typed(StatusCode::OK, "text/html; charset=utf-8", page.into_string()))
}
