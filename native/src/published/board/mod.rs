//! The leaderboard, `www/leaderboard/`: a table of every published model with ranks, a page for each, and its data. It stands
//! without a script and works from `file://`; small classic scripts add filters, sorting, the plot and exports.

mod detail;
mod entries;
mod exports;
mod lanes;
mod page;
mod ranks;

use std::collections::BTreeMap;

use anyhow::Result;
use maud::{DOCTYPE, Markup, html};

use self::entries::{Cards, Ranked};
use super::site::Files;
use super::{Published, poisoned};
use crate::report::aggregate::Estimate;
use crate::report::lines::Line;
use crate::report::style;

/// The folder below `www/`.
pub(super) const FOLDER: &str = "leaderboard";
/// Where rows and evidence lie, seen from there, for pages that are committed.
pub(super) const COMMITTED: &str = "../../benchmarks/results";
/// The same for pages that are built to stand by themselves.
pub(super) const BESIDE: &str = "results";

/// Files that are as they are: styles, and scripts in the order in which pages load them.
const ASSETS: [(&str, &str); 9] = [
    ("board.css", include_str!("board.css")),
    ("state.js", include_str!("state.js")),
    ("facets.js", include_str!("facets.js")),
    ("table.js", include_str!("table.js")),
    ("plot.js", include_str!("plot.js")),
    ("pivot.js", include_str!("pivot.js")),
    ("copy.js", include_str!("copy.js")),
    ("main.js", include_str!("main.js")),
    ("repeat.js", include_str!("../../report/copy.js")),
];

/// All files of the leaderboard by their path in its folder; `evidence` is where rows lie, seen from it.
///
/// # Errors
/// If results name what is not registered.
pub(super) fn files(published: &[Published], lined: &[Vec<Line>], evidence: &str) -> Result<Files> {
    let cards = Cards::read()?;
    let mut all = Vec::new();
    for (published, lines) in published.iter().zip(lined) {
        all.extend(entries::of(published, lines, &cards)?);
    }
    ranks::rank(&mut all);
    let mut files = with_assets(&all, &page::Source::of(published));
    for published in published {
        let mut pages: BTreeMap<&str, Vec<&Ranked>> = BTreeMap::new();
        let mine = |e: &&Ranked| e.is_of(published);
        for entry in all.iter().filter(mine) {
            pages.entry(&entry.page).or_default().push(entry);
        }
        for (place, own) in pages {
            let page = detail::page(published, &own, &cards, evidence);
            files.insert(place.to_owned(), text(page));
            own[0].changed(published).map_or(Ok(()), |c| poisoned::pictures(c, &mut files))?;
        }
    }
    Ok(files)
}

/// A leaderboard of `count` made-up models, which says so.
pub(super) fn synthetic(count: usize) -> Files {
    let mut all = entries::synthetic(count);
    ranks::rank(&mut all);
    with_assets(&all, &page::Source::synthetic())
}

fn with_assets(all: &[Ranked], source: &page::Source) -> Files {
    let mut files: Files =
        ASSETS.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    files.insert("style.css".to_owned(), style().into());
    files.insert("index.html".to_owned(), text(page::index(all, source)));
    files.insert("leaderboard.json".to_owned(), exports::json(all).into());
    files.insert("entries.csv".to_owned(), exports::csv(all).into());
    files
}

/// A page as a file, which ends with a line break.
fn text(page: Markup) -> Vec<u8> {
    (page.into_string() + "\n").into()
}

/// A page `depth` folders below the leaderboard's.
fn document(title: &str, depth: usize, scripts: &[&str], content: &Markup) -> Markup {
    let up = "../".repeat(depth);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // Nothing runs that does not lie beside the page, whatever a name may hold.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · toxiclip" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(format!("{up}style.css"));
                link rel="stylesheet" href=(format!("{up}board.css"));
                @for script in scripts { script defer src=(format!("{up}{script}")) {} }
            }
            body {
                header { h1 { (title) } }
                nav aria-label="Pages" {
                    a href=(format!("{up}index.html")) { "Leaderboard" }
                    a href=(format!("{up}../catalogue/index.html")) { "All attacks and defenses" }
                    a href=(format!("{up}../catalogue/metrics.html")) { "What the numbers mean" }
                }
                main { (content) }
            }
        }
    }
}

/// A cell with a value and its interval in small print.
fn number(class: &str, label: &str, e: Option<&Estimate>, unit: &str) -> Markup {
    html! {
        td class=(format!("number {class}")) data-label=(label) {
            @match e {
                Some(e) => span {
                    (format!("{:.2} ", e.value))
                    small { (format!("[{:.2}, {:.2}]", e.interval.lo, e.interval.hi)) @if !unit.is_empty() { " " (unit) } }
                },
                None => "–",
            }
        }
    }
}
