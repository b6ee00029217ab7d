//! The first page: what is ranked and by which protocols, controls that scripts bring to life, and the table.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use super::entries::Ranked;
use super::lanes::LANES;
use super::{document, exports, number};
use crate::benchmark::called;
use crate::published::Published;
use crate::report::lines::UTILITY;
use crate::report::numbers::thousands;

/// Where the entries come from.
#[derive(Debug)]
pub(super) struct Source {
    benchmarks: usize,
    submitters: usize,
    protocols: BTreeSet<String>,
    synthetic: bool,
}

impl Source {
    pub(super) fn of(published: &[Published]) -> Self {
        let today = published.iter().filter(|p| p.older.is_none());
        let submitters: BTreeSet<&str> = published.iter().map(|p| p.submitter.as_str()).collect();
        Self {
            benchmarks: published.len(),
            submitters: submitters.len(),
            protocols: today.map(|p| called(p.entry.protocol)).collect(),
            synthetic: false,
        }
    }

    pub(super) fn synthetic() -> Self {
        Self { benchmarks: 0, submitters: 0, protocols: BTreeSet::new(), synthetic: true }
    }
}

/// A column: its word in addresses, its head, whether it shows from the start.
pub(super) const COLUMNS: [(&str, &str, bool); 18] = [
    ("name", "entry", true),
    ("opponent", "against", true),
    ("rank", "rank", true),
    ("value", "deciding value", true),
    ("clean", "clean model", true),
    ("worst", "worst known", true),
    ("utility", "utility: ir@10", true),
    ("change", "change of ir@10", true),
    ("accuracy", "ca", false),
    ("seconds", "seconds a seed", true),
    ("held", "clean data", true),
    ("acts", "acts", false),
    ("year", "year", true),
    ("encoder", "encoder", true),
    ("benchmark", "benchmark", true),
    ("seeds", "seeds", true),
    ("protocol", "protocol", false),
    ("verified", "verified", true),
];

/// The page.
pub(super) fn index(all: &[Ranked], source: &Source) -> Markup {
    let today = all.iter().filter(|e| e.older.is_none()).count();
    let content = html! {
        @if source.synthetic {
            p.note { strong { "Synthetic entries." } " Every number on this page was made up to see whether the page stays fluid; none was measured." }
        } @else {
            p.finding {
                (today) " verified entries from " (source.benchmarks) " published runs of " (source.submitters)
                @if source.submitters == 1 { " submitter" } @else { " submitters" }
                ", each number recomputed from the evidence that lies beside its rows."
            }
            p {
                "Ranked by " (source.protocols.len()) " protocols: "
                @for (i, protocol) in source.protocols.iter().enumerate() { @if i > 0 { ", " } code { (protocol) } }
                ". A protocol is the hash of everything that decides what a number means: metric definitions, data, class names, prompts, preprocessing and tokenizer. "
                "Only entries of the same protocol, data, encoder, training recipe and metric share a rank; entries of older protocols stay, marked."
            }
        }
        (controls())
        figure #plot hidden {}
        section #pivot aria-label="Encoders side by side" hidden {}
        p.quiet #count aria-live="polite" {}
        div.scroller #scroller tabindex="0" role="region" aria-label="Entries" { (table(all)) }
        p #more-line hidden { button #more type="button" { "Show all" } }
        (footnotes())
        script type="application/json" id="data" { (PreEscaped(exports::page_data(all))) }
    };
    let scripts =
        ["state.js", "facets.js", "table.js", "plot.js", "pivot.js", "copy.js", "main.js"];
    document("Leaderboard", 0, &scripts, &content)
}

fn controls() -> Markup {
    html! {
        form.controls #controls hidden {
            fieldset.lanes {
                legend { "Lane" }
                @for (value, text) in LANES.iter().map(|l| (l.id, l.title)).chain([("encoders", "encoders"), ("all", "all")]) {
                    label { input type="radio" name="lane" value=(value) checked[value == "attacks"]; span { (text) } }
                }
            }
            p.quiet #question {}
            details #filter open { summary { "Filter" } div.facets #facets {} }
            ul.chips #chips aria-label="Filters" {}
            div.tools {
                label { "Search " input type="search" name="search" placeholder="attack, defense, encoder" autocomplete="off"; }
                details.columns { summary { "Columns" } div #columns {} }
                details.columns { summary { "Copy or save" }
                    div.exports {
                        @for (kind, text) in [("markdown", "Copy Markdown"), ("latex", "Copy LaTeX"), ("csv", "Copy CSV"), ("save-csv", "Save CSV"), ("save-json", "Save JSON")] {
                            button type="button" data-export=(kind) { (text) }
                        }
                    }
                }
                span.quiet #told role="status" {}
            }
        }
    }
}

fn table(all: &[Ranked]) -> Markup {
    html! {
        table.board #board {
            thead { tr { @for (key, head, shown) in COLUMNS { th scope="col" data-key=(key) class=(class(key, shown)) { (head) } } } }
            tbody { @for entry in all { (row(entry)) } }
        }
    }
}

fn class(key: &str, shown: bool) -> String {
    format!("c-{key}{}", if shown { "" } else { " off" })
}

fn row(e: &Ranked) -> Markup {
    let plain = |key: &str, label: &str, text: &str| {
        let shown = COLUMNS.iter().any(|(k, _, shown)| *k == key && *shown);
        html! { td class=(class(key, shown)) data-label=(label) { (text) } }
    };
    let year = e.year.map_or_else(|| "–".to_owned(), |year| year.to_string());
    let change = e
        .change()
        .map_or_else(|| "–".to_owned(), |change| format!("{change:+.2}").replace('-', "−"));
    let seconds = e.seconds.map_or_else(|| "–".to_owned(), |s| format!("{s:.1}"));
    html! {
        tr class=(if e.older.is_some() { "older" } else { "" }) {
            th.c-name scope="row" {
                @if e.page == "#" { (label(e.name())) } @else { a href=(e.page) { (label(e.name())) } }
                @if e.older.is_some() { " " small.mark { "older version" } }
            }
            td.c-opponent data-label="against" { (label(e.opponent())) }
            (plain("rank", "rank", &e.place.to_string()))
            (number("c-value", "deciding value", Some(&e.value), e.metric))
            (number("c-clean", "clean model", e.clean.as_ref(), ""))
            td.c-worst data-label="worst known" {
                @match &e.worst {
                    Some(worst) => { (format!("{:.2} ", worst.value)) small { (worst.metric) " of " (worst.attack) ", found by " (worst.by) } }
                    None => "–",
                }
            }
            (number("c-utility", "ir@10", e.utility.as_ref(), ""))
            (plain("change", "change of ir@10", &change))
            (number("c-accuracy off", "ca", e.accuracy.as_ref(), ""))
            (plain("seconds", "seconds a seed", &seconds))
            (plain("held", "clean data", &e.held.map_or_else(|| "–".to_owned(), thousands)))
            (plain("acts", "acts", &e.acts))
            (plain("year", "year", &year))
            (plain("encoder", "encoder", &e.encoder))
            (plain("benchmark", "benchmark", &e.benchmark))
            (plain("seeds", "seeds", &e.value.seeds.len().to_string()))
            (plain("protocol", "protocol", &e.version()))
            td.c-verified data-label="verified" { "✓ " (e.verified) @if let Some(date) = &e.date { ", " (date) } }
        }
    }
}

/// A label whose parameters stand behind its name in small print, cut where they are many.
fn label(label: &str) -> Markup {
    match label.split_once(':') {
        Some((name, parameters)) => html! {
            (name) " " small.parameters title=(label) { (parameters.replace(',', ", ")) }
        },
        None => html! { (label) },
    }
}

fn footnotes() -> Markup {
    html! {
        p.foot {
            "All values are means over seeds with 95 % intervals over seeds and samples, on drawings and small encoders unless the benchmark says otherwise: compare directions with papers, not values. "
            "A rank range holds the places that overlapping intervals leave open, among rivals of one protocol, data set, encoder, recipe and metric with the other side fixed; what one submitter measured twice counts once. "
            "Clean data is how many pairs or pictures a defender must hold that nobody has poisoned. "
            "Utility is " code { (UTILITY) } "; its change is against the clean model of the same run. "
            "Worst known is the worst value that any submitter found against the same defense by the same protocol: anybody may lower an entry by submitting an attack. "
            "Faded: a rival is no less useful, no worse, and better in one of both. Definitions: "
            a href="../catalogue/metrics.html" { "what the numbers mean" } "."
        }
        p.foot {
            "Data: " a href="leaderboard.json" { "leaderboard.json" } ", " a href="entries.csv" { "entries.csv" } ". "
            "Keys: " kbd { "/" } " searches, " kbd { "↑" } " " kbd { "↓" } " walk rows, " kbd { "Enter" } " opens one."
        }
    }
}
