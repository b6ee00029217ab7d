//! The lower half of the page: cost, threat model, definitions, digests.

use maud::{Markup, html};
use toxiclip_shared::metrics::Metric;

use super::extras::{Card, Cost};
use super::lines::COLUMNS;
use super::numbers::{duration, thousands};
use super::page::Content;

/// What each model cost; nothing without costs.
pub(super) fn cost(costs: &[Cost]) -> Option<Markup> {
    (!costs.is_empty()).then(|| {
        html! {
            section #cost {
                h2 { "What it cost" }
                table.cardlike {
                    thead { tr {
                        th scope="col" { "model" } th scope="col" { "pairs seen" } th scope="col" { "time" }
                        th scope="col" { "extra clean pairs" } th scope="col" { "trainings" }
                    } }
                    tbody {
                        @for c in costs {
                            tr {
                                th scope="row" { (c.label) }
                                td.number data-label="pairs seen" { (thousands(c.pairs_seen)) }
                                td.number data-label="time" { (duration(c.seconds)) }
                                td.number data-label="extra clean pairs" { (thousands(c.extra_clean_pairs)) }
                                td.number data-label="trainings" { (thousands(c.trainings)) }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// Cards of the attacks and defenses; nothing without cards.
pub(super) fn threat(cards: &[Card]) -> Option<Markup> {
    (!cards.is_empty()).then(|| {
        html! {
            section #threat {
                h2 { "Who can do what" }
                div.cards {
                    @for c in cards {
                        div.card {
                            h3 { (c.title) }
                            p.quiet { (c.kind) " " code { (c.name) } }
                            p { (c.summary) }
                            p { strong { @if c.kind == "attack" { "The attacker: " } @else { "The defender: " } } (c.threat_model) }
                            p.quiet { (c.paper) @if c.year > 0 { ", " (c.year) } }
                        }
                    }
                }
            }
        }
    })
}

/// Facts, definitions of the metrics, digests of every run.
pub(super) fn methods(c: &Content<'_>) -> Markup {
    html! {
        section #methods {
            h2 { "Methods and digests" }
            dl.facts {
                @for (name, value) in facts(c) {
                    dt { (name) }
                    dd { @if is_digest(&value) { code { (value) } } @else { (value) } }
                }
            }
            h3 { "Definitions" }
            dl.facts { @for metric in definitions() { (definition(metric)) } }
            p.quiet {
                "Intervals: Wilson's score interval at the effective sample size for rates of one seed, where captions of one picture count as one cluster; "
                "a percentile bootstrap over pictures for mean ranks; over several seeds a bootstrap that redraws seeds and pictures, 2,000 times. "
                "Comparisons: exact two-sided test that exchanges the two models picture by picture (McNemar's where a picture is one query), Holm's correction within a table."
            }
            details {
                summary { "Digests of every run" }
                (digests(c))
            }
        }
    }
}

fn facts(c: &Content<'_>) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> =
        c.extras.facts.iter().map(|f| (f.name.clone(), f.value.clone())).collect();
    let mut add = |name: &str, value: String| {
        let fact = (name.to_owned(), value);
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    };
    for row in &c.results.rows {
        let modified = if row.code.dirty { " (modified)" } else { "" };
        add("commit", format!("{}{modified}", row.code.commit));
        add("lock file", row.code.lock.to_string());
        add("compiler", row.code.rustc.clone());
        add("machine", row.machine.clone());
        add(&format!("data {}", row.dataset), row.data.to_string());
    }
    facts
}

fn is_digest(value: &str) -> bool {
    value.len() >= 40 && value.bytes().take(40).all(|b| b.is_ascii_hexdigit())
}

/// The metrics that the table's heads link to, each once.
fn definitions() -> Vec<&'static Metric> {
    let used = |m: &&Metric| COLUMNS.iter().any(|(_, name)| *name == m.name);
    toxiclip_shared::metrics::all().filter(used).collect()
}

pub(super) fn definition(m: &Metric) -> Markup {
    html! {
        dt id=(format!("def-{}", m.name)) { code { (m.name) } }
        dd { (m.summary) ": " (m.formula) " " small { "(" (m.reference) ")" } }
    }
}

/// One line per run: what went in and what came out.
fn digests(c: &Content<'_>) -> Markup {
    let mut seen: Vec<[String; 7]> = Vec::new();
    for row in &c.results.rows {
        let key = c.results.key(row);
        let short =
            |d: Option<toxiclip_shared::digest::Digest>| d.map_or("–".into(), |d| d.short());
        let against = key.against.map(|a| format!(" (against {a})")).unwrap_or_default();
        let line = [
            format!("{}{against}", key.attack),
            key.defense,
            row.seed.to_string(),
            row.run.short(),
            row.config.short(),
            short(row.poison),
            short(row.weights),
        ];
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    let heads = ["attack", "defense", "seed", "run", "config", "poison", "weights"];
    html! {
        table.cardlike {
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody {
                @for line in &seen {
                    tr {
                        @for (i, (head, text)) in heads.iter().zip(line).enumerate() {
                            @if i < 3 { td data-label=(head) { (text) } }
                            @else { td.mono data-label=(head) { (text) } }
                        }
                    }
                }
            }
        }
    }
}
