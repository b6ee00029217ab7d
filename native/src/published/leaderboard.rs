//! The leaderboard: every published model of an attack on one page, to be filtered, sorted and compared. The table stands
//! without a script; `leaderboard.js` adds filters, ranks and the plot. It works from `file://`.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::pages::{Own, page};
use crate::report::aggregate::Estimate;
use crate::report::lines::Line;

/// The page's file.
pub(super) const FILE: &str = "leaderboard.html";
/// The script beside it.
pub(super) const SCRIPT: &str = "leaderboard.js";
const STYLE: &str = "leaderboard.css";

/// An attacked model of a published benchmark.
struct Entry<'a> {
    benchmark: &'a str,
    line: &'a Line,
    metric: &'static str,
    success: &'a Estimate,
    /// Retrieval of the clean model of the same benchmark, encoder and data.
    clean_utility: Option<f64>,
}

/// Page and script.
pub(super) fn files(published: &[Own], lined: &[Vec<Line>]) -> BTreeMap<String, String> {
    let mut entries = Vec::new();
    for ((benchmark, _, _), lines) in published.iter().zip(lined) {
        for line in lines.iter().filter(|line| line.attack != "none") {
            let Some((metric, success)) = line.success() else { continue };
            let clean_utility = clean_utility(line, lines);
            entries.push(Entry { benchmark, line, metric, success, clean_utility });
        }
    }
    let models = entries.len();
    let content = html! {
        link rel="stylesheet" href=(STYLE);
        p.finding {
            (models) " attacked models of " (published.len()) " published benchmarks, every value recomputed from the evidence that lies beside its rows."
        }
        p {
            "Attack success is " code { "asr" } " of triggers, " code { "hit@10" } " of mispaired captions, " code { "targeted" } " of single pictures, and "
            code { "asr-passed" } " behind a screen of inputs; each stands beside the clean model's on the same queries. Only values of one metric are ranked "
            "among each other. All are means over seeds with 95 % intervals over seeds and samples, on drawings and a small encoder: compare directions with papers, not values."
        }
        form.controls id="controls" hidden {
            fieldset {
                legend { "View" }
                @for (value, text) in [("", "all"), ("attacks", "attacks, undefended"), ("defenses", "defenses")] {
                    label { input type="radio" name="view" value=(value) checked[value.is_empty()]; " " (text) }
                }
            }
            label { "Metric " select name="metric" { option value="" { "all" } @for m in distinct(&entries, |e| e.metric) { option { (m) } } } }
            label { "Encoder " select name="encoder" { option value="" { "all" } @for e in distinct(&entries, |e| &e.line.encoder) { option { (e) } } } }
            label { "Benchmark " select name="benchmark" { option value="" { "all" } @for b in distinct(&entries, |e| e.benchmark) { option { (b) } } } }
            label { "Search " input type="search" name="search" placeholder="attack or defense"; }
            button type="button" data-export="csv" { "Save CSV" }
            button type="button" data-export="json" { "Save JSON" }
        }
        figure id="plot" hidden {}
        p.quiet id="count" aria-live="polite" {}
        table.cardlike id="board" {
            thead { tr { @for (key, head) in HEADS { th scope="col" data-key=(key) { (head) } } } }
            tbody { @for entry in &entries { (row(entry)) } }
        }
        p.foot {
            "Ranks are of the rows shown, one metric at a time: a row ranks behind all whose interval lies wholly on the better side of its own, and before all whose "
            "interval lies wholly on the worse side. Better is more success among undefended attacks, less success among defenses."
        }
        script type="application/json" id="data" { (maud::PreEscaped(data(&entries))) }
        script src=(SCRIPT) {}
    };
    BTreeMap::from([
        (FILE.to_owned(), page("Leaderboard", &content).into_string()),
        (SCRIPT.to_owned(), include_str!("leaderboard.js").to_owned()),
        (STYLE.to_owned(), include_str!("leaderboard.css").to_owned()),
    ])
}

const HEADS: [(&str, &str); 9] = [
    ("rank", "rank"),
    ("attack", "attack"),
    ("defense", "defense"),
    ("success", "attack success"),
    ("clean", "clean model"),
    ("utility", "ir@10"),
    ("change", "change of ir@10"),
    ("seeds", "seeds"),
    ("benchmark", "benchmark, encoder"),
];

fn clean_utility(line: &Line, lines: &[Line]) -> Option<f64> {
    let mut controls = lines.iter().filter(|other| {
        (&other.attack[..], &other.defense[..]) == ("none", "none")
            && (&other.dataset, &other.encoder) == (&line.dataset, &line.encoder)
    });
    Some(controls.next()?.utility.as_ref()?.value)
}

fn distinct<'a, 'b>(
    entries: &'a [Entry<'b>],
    of: impl Fn(&'a Entry<'b>) -> &'a str,
) -> Vec<&'a str> {
    let mut all: Vec<&str> = entries.iter().map(of).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn row(entry: &Entry<'_>) -> Markup {
    let Entry { benchmark, line, metric, success, clean_utility } = entry;
    let number = |label: &str, e: Option<&Estimate>| match e {
        Some(e) => html! {
            td.number data-label=(label) {
                span { (format!("{:.2} ", e.value)) small { (format!("[{:.2}, {:.2}]", e.interval.lo, e.interval.hi)) } }
            }
        },
        None => html! { td data-label=(label) { "–" } },
    };
    let change = line.utility.as_ref().zip(*clean_utility).map(|(now, clean)| now.value - clean);
    html! {
        tr {
            td data-label="rank" { "–" }
            th scope="row" { (line.attack) }
            td data-label="defense" { (line.defense) }
            td.number data-label="attack success" {
                span { (format!("{:.2} ", success.value)) small { (format!("[{:.2}, {:.2}] ", success.interval.lo, success.interval.hi)) (metric) } }
            }
            (number("clean model", line.clean_success()))
            (number("ir@10", line.utility.as_ref()))
            td.number data-label="change of ir@10" { @match change { Some(c) => (format!("{c:+.2}")), None => "–" } }
            td.number data-label="seeds" { (success.seeds.len()) }
            td data-label="benchmark, encoder" { span { code { (benchmark) } ", " (line.encoder) } }
        }
    }
}

/// What the script works on, row by row; nothing in it can end the element that it stands in.
fn data(entries: &[Entry<'_>]) -> String {
    let estimate = |e: Option<&Estimate>| match e {
        Some(e) => json!([e.value, e.interval.lo, e.interval.hi]),
        None => Value::Null,
    };
    let one = |entry: &Entry<'_>| {
        let Entry { benchmark, line, metric, success, clean_utility } = entry;
        json!({
            "benchmark": benchmark, "dataset": line.dataset, "encoder": line.encoder, "attack": line.attack,
            "defense": line.defense, "metric": metric, "success": estimate(Some(success)),
            "clean": estimate(line.clean_success()), "utility": estimate(line.utility.as_ref()),
            "cleanUtility": clean_utility, "accuracy": estimate(line.accuracy.as_ref()), "n": success.n,
            "seeds": success.seeds,
        })
    };
    let all: Vec<Value> = entries.iter().map(one).collect();
    json!(all).to_string().replace('<', "\\u003c")
}
