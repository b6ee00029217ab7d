//! The table of the page: attack × defense, each value with its interval and its baselines beside it.

use maud::{Markup, html};

use super::aggregate::Estimate;
use super::figure::{copyable, csv_line, csv_link, marker};
use super::lines::{COLUMNS, Line, columns};
use super::numbers::{interval, rank_interval, seeds};
use super::page::Content;

/// The table with its footnotes and data.
pub(super) fn section(c: &Content<'_>, command: &str) -> Markup {
    html! {
        section #table {
            h2 { "Results" }
            (table(c.lines, ""))
            p.foot { (footnote(c.lines)) }
            p.foot { (csv_link("results", &csv(c.lines))) }
            @if !command.is_empty() {
                details.small { summary { "Command that repeats the table" } (copyable(command)) }
            }
        }
    }
}

/// The table alone; `definitions` is the page that defines the metrics, empty for the one that it stands on.
pub(super) fn table(lines: &[Line], definitions: &str) -> Markup {
    html! {
        table.cardlike {
            thead {
                tr {
                    th scope="col" { "attack" }
                    th scope="col" { "defense" }
                    @for (head, metric) in columns(lines).into_iter().map(|i| COLUMNS[i]) {
                        th scope="col" { a href=(format!("{definitions}#def-{metric}")) { (head) } }
                    }
                }
            }
            tbody { (body(lines)) }
        }
    }
}

fn body(lines: &[Line]) -> Markup {
    let group = |l: &Line| (l.dataset.clone(), l.encoder.clone());
    let several = lines.iter().any(|l| group(l) != group(&lines[0]));
    html! {
        @for (i, line) in lines.iter().enumerate() {
            @if several && (i == 0 || group(&lines[i - 1]) != group(line)) {
                tr.group { th colspan=(columns(lines).len() + 2) scope="colgroup" { (line.dataset) ", " (line.encoder) } }
            }
            tr {
                th scope="row" { (marker(line.role)) (attack(line, lines)) }
                td data-label="defense" { (line.defense) }
                @for column in columns(lines) { (value(line, column, line.estimates()[column])) }
            }
        }
    }
}

/// The attack's label; controls say what they are scored against where that is not plain.
fn attack(line: &Line, lines: &[Line]) -> Markup {
    let controls = lines.iter().filter(|l| l.attack == "none" && l.defense == line.defense);
    let several = controls.clone().any(|l| l.scored != line.scored);
    html! {
        (line.attack)
        @if line.attack == "none" {
            @match &line.scored {
                Some(scored) if several => small { " (scored against " (scored) ")" },
                _ => small { " (control)" },
            }
        }
    }
}

fn value(line: &Line, column: usize, e: Option<&Estimate>) -> Markup {
    let label = COLUMNS[column].0;
    let is_rank = COLUMNS[column].1 == "min-rank";
    match e {
        Some(e) => html! {
            td.number data-label=(label) title=(format!("n = {} per seed; seeds {}", e.n, seeds(&e.seeds))) {
                span {
                    @if is_rank { (format!("{:.1}", e.value)) } @else { (format!("{:.2}", e.value)) }
                    " " small { @if is_rank { (rank_interval(e)) } @else { (interval(e)) } }
                }
            }
        },
        None if line.failures.is_empty() => html! { td data-label=(label) { "–" } },
        None => html! {
            td data-label=(label) { span.failed title=(line.failures.join("; ")) { "failed" } }
        },
    }
}

/// How to read the cells, with n and seeds.
pub(super) fn footnote(lines: &[Line]) -> String {
    let estimates = || lines.iter().flat_map(Line::estimates).flatten();
    let mut sets: Vec<String> = estimates().map(|e| seeds(&e.seeds)).collect();
    sets.sort();
    sets.dedup();
    let counts = COLUMNS.iter().enumerate().filter_map(|(i, (head, _))| {
        let mut n: Vec<u64> = lines.iter().filter_map(|l| l.estimates()[i].map(|e| e.n)).collect();
        n.sort_unstable();
        n.dedup();
        match n.as_slice() {
            [] => None,
            [one] => Some(format!("{head} {one}")),
            [first, .., last] => Some(format!("{head} {first} to {last}")),
        }
    });
    let counts: Vec<String> = counts.collect();
    let several = estimates().any(|e| e.seeds.len() > 1);
    let over = if several {
        "means over seeds with 95 % intervals over seeds and samples"
    } else {
        "values of one seed with 95 % intervals over samples"
    };
    let failed: Vec<String> = lines
        .iter()
        .filter(|l| !l.failures.is_empty())
        .map(|l| format!("{}: {}", l.model(), l.failures.join("; ")))
        .collect();
    let failed = match failed.is_empty() {
        true => String::new(),
        false => format!(" Failed: {}.", failed.join(". ")),
    };
    format!(
        "Cells are {over}. Seeds {}. Judgements per seed (n): {}. The clean model is the undefended control on the same queries; \
         random captions go through the model of their own line. Ranks are 0-based: 0 is total success of the attack.{failed}",
        sets.join(" / "),
        counts.join(", ")
    )
}

fn csv(lines: &[Line]) -> String {
    let fixed = ["dataset", "encoder", "attack", "scored_against", "defense"].map(str::to_owned);
    let ends = ["", "_lo", "_hi", "_n", "_seeds"];
    let columns = COLUMNS.iter().flat_map(|(head, _)| ends.map(|end| format!("{head}{end}")));
    let mut out = csv_line(&fixed.into_iter().chain(columns).collect::<Vec<_>>());
    for l in lines {
        let scored = l.scored.clone().unwrap_or_default();
        let mut fields =
            vec![l.dataset.clone(), l.encoder.clone(), l.attack.clone(), scored, l.defense.clone()];
        for e in l.estimates() {
            match e {
                Some(e) => {
                    fields.extend([e.value, e.interval.lo, e.interval.hi].map(|v| v.to_string()));
                    fields.extend([e.n.to_string(), seeds(&e.seeds)]);
                }
                None => fields.extend(ends.map(|_| String::new())),
            }
        }
        out.push_str(&csv_line(&fields));
    }
    out
}
