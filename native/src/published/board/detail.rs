//! A page for each attack and defense of a published run: what was measured of it, how, by whom checked, how to repeat it.

use maud::{Markup, html};
use serde_json::Value;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Unit};

use super::entries::{Cards, Ranked};
use super::{document, number};
use crate::benchmark::called;
use crate::catalogue::{Item, Kind};
use crate::published::{Published, poisoned};
use crate::report::aggregate::{Estimate, Key};
use crate::report::numbers::thousands;
use crate::row::Row;

/// How deep the pages lie below the leaderboard's folder.
const DEPTH: usize = 3;

/// The address of a page: the same for as long as results of this attack and defense are published.
pub(super) fn address(published: &Published, attack: &Value, defense: &Value) -> String {
    let called = |spec: &Value| format!("{}-{}", name(spec), called(Digest::of(spec)));
    format!("{}{}--{}.html", folder(published), called(attack), called(defense))
}

/// The name of an attack or defense with parameters: rows whose specs have none were refused.
fn name(spec: &Value) -> &str {
    spec["name"].as_str().unwrap_or("none")
}

fn folder(published: &Published) -> String {
    format!("entry/{}/{}/", published.submitter, published.called().replace('/', "."))
}

/// The page of entries that share an attack and a defense, at least one; `evidence` is where rows lie, seen from the
/// leaderboard's folder.
pub(super) fn page(
    published: &Published,
    own: &[&Ranked],
    cards: &Cards,
    evidence: &str,
) -> Markup {
    let first = own[0];
    let (attack, defense) = (&first.attack, &first.defense);
    let title = match &defense[..] {
        "none" => format!("{attack}, undefended"),
        _ => format!("{attack}, after {defense}"),
    };
    let content = html! {
        p.finding { (sentence(first)) }
        p {
            "From " (published.submitter) "'s run of benchmark " code { (published.name) } ": " (published.title) ". "
            "Protocol " code { (called(published.entry.protocol)) } "."
        }
        @if let Some(why) = &published.older { p.note { "An older version: " (why) ". Its numbers follow from its evidence and are not ranked beside today's." } }
        @if let Some(without) = published.left_out() { p.note { "The run is a part of its benchmark: " (without) "." } }
        (standing(own))
        (cells(published, own))
        @if let Some(changed) = first.changed(published) { (poisoned::section(changed, &"../".repeat(DEPTH))) }
        div.cards {
            (card(cards.find(Kind::Attacks, &first.attack_spec), &first.attack_spec, "attack"))
            @if first.defense != "none" { (card(cards.find(Kind::Defenses, &first.defense_spec), &first.defense_spec, "defense")) }
        }
        (sources(published, evidence))
        (repeat(published, first))
        (history(published))
    };
    document(&title, DEPTH, &["repeat.js"], &content)
}

fn sentence(e: &Ranked) -> String {
    let (metric, value, interval) = (e.metric, e.value.value, e.value.interval);
    let seeds = e.value.seeds.len();
    let said =
        format!("{metric} {value:.2} [{:.2}, {:.2}] over {seeds} seeds", interval.lo, interval.hi);
    match &e.clean {
        Some(clean) => format!("{said}, {:.2} on the clean model.", clean.value),
        None => said + ".",
    }
}

fn standing(own: &[&Ranked]) -> Markup {
    html! {
        section {
            h2 { "Where it stands" }
            table.cardlike {
                thead { tr {
                    @for head in ["lane", "encoder", "rank", "deciding value", "clean model", "ir@10", "worst known", "seconds a seed", "clean data"] { th scope="col" { (head) } }
                } }
                tbody {
                    @for e in own {
                        tr {
                            th scope="row" { a href=(format!("../../../index.html#lane={}", e.lane.id)) { (e.lane.title) } }
                            td data-label="encoder" { (e.encoder) }
                            td data-label="rank" { (e.place) }
                            (number("", "deciding value", Some(&e.value), e.metric))
                            (number("", "clean model", e.clean.as_ref(), ""))
                            (number("", "ir@10", e.utility.as_ref(), ""))
                            td data-label="worst known" {
                                @match &e.worst {
                                    Some(w) => span { (format!("{:.2} ", w.value)) small { (w.metric) " of " (w.attack) ", found by " (w.by) } },
                                    None => "–",
                                }
                            }
                            td.number data-label="seconds a seed" { @match e.seconds { Some(s) => (format!("{s:.1}")), None => "–" } }
                            td.number data-label="clean data" { @match e.held { Some(held) => (thousands(held)), None => "–" } }
                        }
                    }
                }
            }
        }
    }
}

/// Every metric that was measured, by encoder.
fn cells(published: &Published, own: &[&Ranked]) -> Markup {
    let mine = |key: &&Key| {
        key.against.is_none() && key.attack == own[0].attack && key.defense == own[0].defense
    };
    let keys: Vec<&Key> = published.results.keys.iter().filter(mine).collect();
    let mut models: Vec<(&str, &str)> = Vec::new();
    for key in &keys {
        if !models.contains(&(&key.dataset, &key.encoder)) {
            models.push((&key.dataset, &key.encoder));
        }
    }
    html! {
        section {
            h2 { "Every value" }
            @for (dataset, encoder) in models {
                h3 { (dataset) ", " (encoder) }
                table.cardlike {
                    thead { tr { @for head in ["metric", "mean and interval", "judgements a seed", "seeds"] { th scope="col" { (head) } } } }
                    tbody {
                        @for key in keys.iter().filter(|k| (&k.dataset[..], &k.encoder[..]) == (dataset, encoder)) {
                            @if let Some(e) = published.results.get(key) {
                                tr {
                                    th scope="row" { a href=(format!("../../../../catalogue/metrics.html#def-{}", key.metric)) { (key.metric) } }
                                    td.number data-label="mean and interval" { (text(&key.metric, e)) }
                                    td.number data-label="judgements a seed" { (e.n) }
                                    td data-label="seeds" { (crate::report::numbers::seeds(&e.seeds)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn text(metric: &str, e: &Estimate) -> String {
    match metrics::find(metric).is_ok_and(|m| m.unit == Unit::Rank) {
        true => crate::report::numbers::rank(e),
        false => crate::report::numbers::estimate(e),
    }
}

fn card(item: Option<&Item>, spec: &Value, kind: &str) -> Markup {
    let Some(item) = item else { return html! {} };
    let fact = |key: &str| match item.facts.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let given =
        spec.as_object().into_iter().flatten().filter(|(key, v)| *key != "name" && !v.is_null());
    html! {
        section.card {
            h2 { (fact("title")) }
            p { (item.summary) "." }
            p { strong { @if kind == "attack" { "The attacker: " } @else { "The defender: " } } (fact("threat_model")) }
            p.quiet { (fact("paper")) ", " (fact("year")) ". " a href=(format!("../../../../catalogue/{kind}-{}.html", item.name)) { "More of it" } }
            dl.facts { @for (key, value) in given { dt { (key) } dd { code { (value.to_string()) } } } }
        }
    }
}

/// Where rows and evidence lie, and by what they were made.
fn sources(published: &Published, evidence: &str) -> Markup {
    let up = "../".repeat(DEPTH);
    let place = format!("{up}{evidence}/{}/{}", published.submitter, published.called());
    let rows = &published.results.rows;
    let machine = distinct(rows, |row| row.machine.clone());
    html! {
        section {
            h2 { "Evidence and environment" }
            p {
                a href=(format!("{place}/evidence.parquet")) download { "evidence.parquet" } " (a line for each judgement) and "
                a href=(format!("{place}/rows.jsonl")) download { "rows.jsonl" } ": every value above follows from the first."
            }
            dl.facts {
                dt { "machine" } dd { (machine) }
                @if let Some(environment) = &published.entry.environment { dt { "environment" } dd { code { (environment.to_string()) } } }
                @if let Some(row) = rows.first() {
                    dt { "commit" } dd { code { (row.code.commit) } }
                    dt { "compiler" } dd { (row.code.rustc) }
                    dt { "locked dependencies" } dd { code { (row.code.lock) } }
                }
                dt { "protocol" } dd { code { (published.entry.protocol) } }
                @for (file, digest) in &published.entry.files { dt { "sha256 of " (file) } dd { code { (digest) } } }
                @if let Some(link) = &published.entry.checkpoints { dt { "checkpoints" } dd { (link) } }
            }
        }
    }
}

fn distinct(rows: &[Row], of: fn(&Row) -> String) -> String {
    let mut all: Vec<String> = rows.iter().map(of).collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}

fn repeat(published: &Published, e: &Ranked) -> Markup {
    let command = format!(
        "cargo run --release -- run benchmarks/{}.toml --only attack={} --only defense={}",
        published.name,
        name(&e.attack_spec),
        name(&e.defense_spec)
    );
    html! {
        section {
            h2 { "Repeat it" }
            div.command { pre tabindex="0" { (command) } button type="button" data-copy hidden { "Copy" } }
        }
    }
}

fn history(published: &Published) -> Markup {
    html! {
        section {
            h2 { "Verifications" }
            ul {
                @for look in &published.entry.verifications {
                    li {
                        "Before it was accepted, by " (look.by) ":"
                        ul {
                            @for line in &look.passed { li { "✓ " (line) } }
                            @for line in &look.skipped { li { "not checked: " (line) } }
                        }
                    }
                }
                li {
                    "Whenever this page is built: files have the digests above, every row follows from its evidence"
                    @match (&published.older, published.left_out()) {
                        (Some(_), _) => ".",
                        (None, None) => ", all models that the benchmark asks for are there.",
                        (None, Some(_)) => ", all models that the benchmark asks for with the run's attacks are there.",
                    }
                }
            }
        }
    }
}
