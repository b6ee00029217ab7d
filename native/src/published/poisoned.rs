//! Poisoned pairs on pages of a site: pictures are files of their own, by what is in them, so that pages share them.

use anyhow::Result;
use maud::{Markup, html};
use toxiclip_shared::digest::Digest;

use super::site::Files;
use crate::pipeline::known::Changed;
use crate::report;
use crate::report::extras::Picture;
use crate::report::numbers::{percent, thousands};

/// The folder of pictures in that of the site.
const FOLDER: &str = "pairs";
/// Pairs on a page.
const SHOWN: usize = 4;

/// What an attack changes, for a page from which `up` leads to the site's folder.
pub(super) fn section(changed: &Changed, up: &str) -> Markup {
    let budget = &changed.budget;
    let share = budget.poisoned_pairs as f64 / budget.training_pairs.max(1) as f64;
    let address = |picture: &Picture| format!("{up}{}", place(picture));
    html! {
        @if !changed.pairs.is_empty() {
            section {
                h2 { "What was poisoned" }
                p {
                    (thousands(budget.poisoned_pairs)) " of " (thousands(budget.training_pairs)) " training pairs ("
                    (percent(share)) ") at the first seed. Some of them:"
                }
                ul.pairs { @for pair in changed.pairs.iter().take(SHOWN) { li.pair { (report::pair(pair, address)) } } }
            }
        }
    }
}

/// The pictures that [`section`] shows, added to a site.
///
/// # Errors
/// If one is damaged.
pub(super) fn pictures(changed: &Changed, files: &mut Files) -> Result<()> {
    for pair in changed.pairs.iter().take(SHOWN) {
        for picture in std::iter::once(&pair.before).chain(&pair.after) {
            files.insert(place(picture), picture.bytes()?);
        }
    }
    Ok(())
}

fn place(picture: &Picture) -> String {
    format!("{FOLDER}/{}.png", Digest::of_bytes(picture.png.as_bytes()).short())
}
