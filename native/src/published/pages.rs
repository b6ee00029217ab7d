//! `www/catalogue/`: a page for each attack and defense from its card and the published rows that it occurs in, a list of
//! them, and the definitions of the metrics. They work from `file://`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;
use toxiclip_shared::digest::canonical_json;
use toxiclip_shared::metrics;

use super::site::Files;
use super::{Published, poisoned};
use crate::catalogue::{Item, Kind};
use crate::pipeline::known::Changed;
use crate::report::aggregate::Results;
use crate::report::lines::Line;
use crate::report::numbers::seeds;
use crate::report::{definition, heat_picture, html_table, style};
use crate::row::Row;

const METRICS: &str = "metrics.html";
/// The folder below `www/`.
pub(super) const FOLDER: &str = "catalogue";

/// Where what everyday processing leaves of every trigger is written down.
pub(super) const TRIGGERS: &str = "docs/triggers.md";

/// All pages by file name; `triggers` is the text of [`TRIGGERS`], if it is there. They show what answers today's benchmarks.
pub(super) fn all(published: &[Published], lined: &[Vec<Line>], triggers: &str) -> Result<Files> {
    let today = || published.iter().zip(lined).filter(|(p, _)| p.benchmark.is_some());
    let mut pages = BTreeMap::from([("style.css".to_owned(), style().to_owned())]);
    let mut shown = Files::new();
    let mut lists = Vec::new();
    for (kind, heading) in [(Kind::Attacks, "Attacks"), (Kind::Defenses, "Defenses")] {
        let items = kind.items()?;
        for item in &items {
            let tables = today().filter_map(|(published, all)| {
                let of = labels(&published.results, kind, &item.name);
                let own: Vec<Line> = all.iter().filter(|l| about(l, kind, &of)).cloned().collect();
                let (name, title) = (published.name.as_str(), published.title.as_str());
                (!own.is_empty() && !baseline(item)).then_some((name, title, own))
            });
            let left = if kind == Kind::Attacks { survival(triggers, &item.name) } else { vec![] };
            let changed = today().find_map(|(published, _)| example(published, kind, item));
            changed.map_or(Ok(()), |changed| poisoned::pictures(changed, &mut shown))?;
            let page = entry(kind, item, &left, changed, &tables.collect::<Vec<_>>());
            pages.insert(file(kind, &item.name), page.into_string());
        }
        lists.push(list(kind, heading, &items));
    }
    let mut maps = Vec::new();
    for (of, lines) in today() {
        maps.extend(heat_picture(lines, &extent(of)).map(|svg| (of, svg)));
    }
    let lists = html! { @for list in &lists { (list) } @for (of, _) in &maps { (map(of)) } };
    pages.insert("index.html".into(), page("Attacks and defenses", &lists).into_string());
    let all = html! { dl.facts { @for metric in metrics::all() { (definition(metric)) } } };
    pages.insert(METRICS.into(), page("What the numbers mean", &all).into_string());
    // A text file ends with a line break.
    pages.values_mut().filter(|text| !text.ends_with('\n')).for_each(|text| text.push('\n'));
    shown.extend(maps.into_iter().map(|(of, svg)| (place(of), svg.into_bytes())));
    shown.extend(pages.into_iter().map(|(name, text)| (name, text.into_bytes())));
    Ok(shown)
}

/// The picture of a large matrix in the folder.
fn place(of: &Published) -> String {
    format!("maps/{}.svg", of.name)
}

/// The seeds of a run, and what it has not been run with yet.
fn extent(of: &Published) -> String {
    let all: BTreeSet<u64> = of.results.rows.iter().map(|row| row.seed).collect();
    let named = if all.len() == 1 { "Seed" } else { "Mean over seeds" };
    let seeds = seeds(&all.into_iter().collect::<Vec<_>>());
    let without = of.left_out().map_or_else(String::new, |text| format!("; {text}"));
    format!("{named} {seeds}{without}.")
}

fn map(of: &Published) -> Markup {
    html! {
        section {
            h2 { (of.title) }
            div.wide tabindex="0" role="group" aria-label=(of.title) { img src=(place(of)) alt=(format!("Attack success, attacks by defenses, of {}", of.name)); }
            p { "Repeat with " code { "toxiclip run benchmarks/" (of.name) ".toml" } ". " (extent(of)) }
        }
    }
}

/// What an attack changed in a published run, by the first of its settings there.
fn example<'a>(published: &'a Published, kind: Kind, item: &Item) -> Option<&'a Changed> {
    let spec = |row: &&Row| kind == Kind::Attacks && row.attack["name"] == item.name.as_str();
    let row = published.results.rows.iter().find(spec)?;
    published.known.attacks.get(&canonical_json(&row.attack)).filter(|c| !c.pairs.is_empty())
}

/// The labels under which rows know an attack or defense, one for each setting of its parameters.
fn labels(results: &Results, kind: Kind, name: &str) -> BTreeSet<String> {
    let named = |spec: &Value| spec.get("name").and_then(Value::as_str) == Some(name);
    let label = |row| {
        let key = results.key(row);
        match kind {
            Kind::Attacks => named(&row.attack).then_some(key.attack),
            _ => named(&row.defense).then_some(key.defense),
        }
    };
    results.rows.iter().filter_map(label).collect()
}

/// Lines of the attack or scored against it; lines of the defense, and of the same models without one.
fn about(line: &Line, kind: Kind, of: &BTreeSet<String>) -> bool {
    match kind {
        Kind::Attacks => {
            of.contains(&line.attack) || line.scored.as_ref().is_some_and(|s| of.contains(s))
        }
        _ => !of.is_empty() && (of.contains(&line.defense) || line.defense == "none"),
    }
}

/// What stands beside all others in their tables has no table of its own.
fn baseline(item: &Item) -> bool {
    item.name == "none"
}

fn file(kind: Kind, name: &str) -> String {
    format!("{}-{name}.html", kind.singular())
}

fn text(item: &Item, key: &str) -> String {
    match item.facts.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · toxiclip" }
                link rel="stylesheet" href="style.css";
            }
            body {
                header { h1 { (title) } }
                nav aria-label="Pages" {
                    a href="index.html" { "All attacks and defenses" }
                    a href="../leaderboard/index.html" { "Leaderboard" }
                    a href=(METRICS) { "What the numbers mean" }
                }
                main { (content) }
            }
        }
    }
}

fn list(kind: Kind, heading: &str, items: &[Item]) -> Markup {
    html! {
        section {
            h2 { (heading) }
            table.cardlike {
                thead { tr { th scope="col" { (kind.singular()) } th scope="col" { "year" } th scope="col" { "what it does" } } }
                tbody {
                    @for item in items {
                        tr {
                            th scope="row" { a href=(file(kind, &item.name)) { (item.name) } }
                            td data-label="year" { (text(item, "year")) }
                            td data-label="what it does" { (item.summary) }
                        }
                    }
                }
            }
        }
    }
}

/// The lines of an attack in the table of triggers, its heads first; none where it has no trigger of its own.
fn survival<'a>(triggers: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| -> Vec<&'a str> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
    };
    let mut lines = triggers.lines().filter(|line| line.starts_with('|')).map(cells);
    let Some(heads) = lines.next() else { return vec![] };
    let own: Vec<_> = lines.filter(|cells| cells[0].split(':').next() == Some(name)).collect();
    if own.is_empty() { own } else { [vec![heads], own].concat() }
}

/// Card, parameters, what is left of a trigger, and a table for each published benchmark.
fn entry(
    kind: Kind,
    item: &Item,
    left: &[Vec<&str>],
    changed: Option<&Changed>,
    tables: &[(&str, &str, Vec<Line>)],
) -> Markup {
    let content = html! {
        p.finding { (item.summary) }
        p { strong { @if kind == Kind::Attacks { "The attacker: " } @else { "The defender: " } } (text(item, "threat_model")) }
        p.quiet { (text(item, "paper")) ", " (text(item, "year")) }
        @if !item.parameters.is_empty() { (parameters(item)) }
        @if let Some(changed) = changed { (poisoned::section(changed, "")) }
        @if let [heads, rows @ ..] = left { (visibility(heads, rows)) }
        @for (name, title, lines) in tables {
            section {
                h2 { (title) }
                (html_table(lines, METRICS))
                p { "Repeat with " code { "toxiclip run benchmarks/" (name) ".toml" } "." }
            }
        }
        @if tables.is_empty() && !baseline(item) {
            p.note { "No published benchmark has it yet." }
        }
    };
    page(&text(item, "title"), &content)
}

fn visibility(heads: &[&str], rows: &[Vec<&str>]) -> Markup {
    html! {
        section {
            h2 { "How visible it is, and what everyday processing leaves of it" }
            table.cardlike {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (i, (head, cell)) in heads.iter().zip(row).enumerate() {
                                @if i == 0 { th scope="row" { code { (cell) } } }
                                @else { td.number data-label=(head) { (cell) } }
                            }
                        }
                    }
                }
            }
            p.foot {
                "Signal: root mean square of stamped minus plain in 8-bit steps; PSNR in dB; then the share of the signal that is left. "
                "More in " code { (TRIGGERS) } "."
            }
        }
    }
}

fn parameters(item: &Item) -> Markup {
    let default = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    html! {
        section {
            h2 { "Parameters" }
            table.cardlike {
                thead { tr {
                    th scope="col" { "parameter" } th scope="col" { "default" } th scope="col" { "unit" } th scope="col" { "meaning" }
                } }
                tbody {
                    @for p in &item.parameters {
                        tr {
                            th scope="row" { code { (p.key) } }
                            td data-label="default" { (default(&p.default)) }
                            td data-label="unit" { (p.unit) }
                            td data-label="meaning" { (p.help) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_page() {
        let triggers = "| trigger | PSNR |\n| --- | --- |\n| `badnets:variant=yellow` | 28.3 |\n";
        let pages = all(&[], &[], triggers).unwrap();
        let pages: BTreeMap<String, String> = pages
            .into_iter()
            .map(|(name, page)| (name, String::from_utf8(page).unwrap()))
            .collect();
        assert!(pages["attack-badnets.html"].contains("28.3"));
        assert!(!pages["attack-sig.html"].contains("28.3"));
        for (kind, names) in [(Kind::Attacks, "badnets"), (Kind::Defenses, "finetune")] {
            assert!(pages["index.html"].contains(&file(kind, names)));
            assert!(pages[&file(kind, names)].contains("No published benchmark has it yet."));
        }
    }
}
