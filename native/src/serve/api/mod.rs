//! The interface: one file for each kind of thing, which holds its paths, their description and what answers.

mod audit;
mod content;
mod decide;
mod feed;
mod leaderboard;
mod service;
mod submissions;
mod tokens;

use super::openapi::Resource;

/// All of it but the description itself; `most` bytes of a bundle.
pub(crate) fn resources(most: u64) -> Vec<Resource> {
    let parts = [
        service::resources(),
        tokens::resources(),
        submissions::resources(most),
        content::resources(),
        decide::resources(),
        leaderboard::resources(),
        feed::resources(),
        audit::resources(),
    ];
    parts.into_iter().flatten().collect()
}
