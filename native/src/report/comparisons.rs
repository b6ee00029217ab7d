//! The section of paired comparisons: places first, then the differences behind them.

use maud::{Markup, html};

use super::compare::{ALPHA, Family, Pair};
use super::figure::{csv_line, csv_link, marker};
use super::lines::UTILITY;
use super::numbers::{rank_interval, thousands};
use super::page::Content;

/// One block per family; what is not about the main question is folded away.
pub(super) fn section(c: &Content<'_>) -> Option<Markup> {
    if c.families.is_empty() {
        return None;
    }
    let several = |f: &Family| {
        c.families.iter().any(|o| (&o.dataset, &o.encoder) != (&f.dataset, &f.encoder))
    };
    Some(html! {
        section #comparisons {
            h2 { "Which differences are more than chance" }
            p {
                "Models that answered the same queries are compared query by query. A place is a range, from below all models that are clearly "
                "better to above all that are clearly worse; place 1 is best for whoever deploys the model. A difference is clear if its p, "
                "corrected for all comparisons of its table, is at most " (ALPHA) " and its 95 % interval over seeds and pictures leaves out 0."
            }
            @for family in c.families {
                @if family.metric.name == "min-rank" {
                    details { summary { (head(family, several(family))) } (block(family)) }
                } @else {
                    h3 { (head(family, several(family))) }
                    (block(family))
                }
            }
            p.foot { (csv_link("comparisons", &csv(c.families))) }
        }
    })
}

fn head(f: &Family, named: bool) -> String {
    let about = f.about().map(|a| format!(" on the goals of {a}")).unwrap_or_default();
    let set = if named { format!(", {}, {}", f.dataset, f.encoder) } else { String::new() };
    format!("{}{about}{set}", f.metric.name)
}

fn block(f: &Family) -> Markup {
    let clusters = f.pairs.iter().map(|p| p.comparison.clusters).max().unwrap_or(0);
    let (main, rest): (Vec<&Pair>, Vec<&Pair>) = f.pairs.iter().partition(|p| p.main);
    html! {
        div.compared {
            (standings(f))
            div {
                (differences(f, &main))
                @if !rest.is_empty() {
                    details.small {
                        summary { (rest.len()) " further comparisons of this table" }
                        (differences(f, &rest))
                    }
                }
            }
        }
        p.foot {
            (thousands(f.queries as u64)) " queries about " (thousands(clusters as u64)) " pictures per seed; "
            "places from all " (f.pairs.len()) " comparisons, corrected together."
        }
    }
}

fn standings(f: &Family) -> Markup {
    let mut order: Vec<usize> = (0..f.models.len()).collect();
    let best_first = |i: &usize, j: &usize| {
        let (a, b) = (&f.models[*i], &f.models[*j]);
        let by_value = a.estimate.value.total_cmp(&b.estimate.value);
        let by_value = if f.metric.higher_is_better { by_value.reverse() } else { by_value };
        a.places
            .start()
            .cmp(b.places.start())
            .then(a.places.end().cmp(b.places.end()))
            .then(by_value)
    };
    order.sort_by(best_first);
    html! {
        table {
            thead { tr { th scope="col" { "place" } th scope="col" { "model" } th scope="col" { (f.metric.name) } } }
            tbody {
                @for m in order.into_iter().map(|i| &f.models[i]) {
                    tr {
                        th scope="row" { (range(*m.places.start(), *m.places.end())) }
                        td { (marker(m.role)) (m.name()) }
                        td.number { span { (value(f, m.estimate.value)) " " small { (interval_of(f, &m.estimate)) } } }
                    }
                }
            }
        }
    }
}

/// `2` or `2–4`.
pub(super) fn range(start: usize, end: usize) -> String {
    if start == end { start.to_string() } else { format!("{start}–{end}") }
}

fn interval_of(f: &Family, e: &super::aggregate::Estimate) -> String {
    if f.metric.name == "min-rank" { rank_interval(e) } else { super::numbers::interval(e) }
}

fn value(f: &Family, v: f64) -> String {
    if f.metric.name == "min-rank" { format!("{v:.1}") } else { format!("{v:.2}") }
}

fn differences(f: &Family, pairs: &[&Pair]) -> Markup {
    html! {
        table.cardlike {
            thead { tr {
                th scope="col" { "comparison" } th scope="col" { "difference" } th scope="col" { "queries up / down" }
                th scope="col" { "seeds that agree" } th scope="col" { "p, corrected" } th scope="col" { "verdict" }
            } }
            tbody {
                @for p in pairs {
                    @let c = &p.comparison;
                    tr {
                        th scope="row" { (f.models[p.first].name()) " − " (f.models[p.second].name()) }
                        td.number data-label="difference" { span { (signed(f, c.difference)) " " small { (interval(f, p)) } } }
                        td.number data-label="queries up / down" { (thousands(c.larger)) " / " (thousands(c.smaller)) }
                        td.number data-label="seeds that agree" { (c.agreeing) " of " (c.seeds) }
                        td.number data-label="p, corrected" title=(format!("p = {} before correction", p_value(c.p))) { (p_value(p.corrected)) }
                        td data-label="verdict" { (verdict(f, p)) }
                    }
                }
            }
        }
    }
}

/// `+0.92`, `−31.0`, with a true minus.
fn signed(f: &Family, v: f64) -> String {
    let text = value(f, v.abs());
    let zero = text.chars().all(|c| c == '0' || c == '.');
    match (zero, v > 0.0) {
        (true, _) => text,
        (false, true) => format!("+{text}"),
        (false, false) => format!("−{text}"),
    }
}

fn interval(f: &Family, p: &Pair) -> String {
    let i = p.comparison.interval;
    format!("[{}, {}]", signed(f, i.lo), signed(f, i.hi))
}

/// Three decimals; very small ones only by their bound.
fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// In words, from the view of whoever deploys the model.
fn verdict(f: &Family, p: &Pair) -> &'static str {
    let better = (p.comparison.difference > 0.0) == f.metric.higher_is_better;
    match (p.clear(), better, f.metric.name == UTILITY) {
        (false, ..) => "not clear",
        (true, true, true) => "more useful",
        (true, false, true) => "less useful",
        (true, true, false) => "attack weaker",
        (true, false, false) => "attack stronger",
    }
}

/// The main comparisons as a Markdown table; empty without any.
pub(super) fn markdown(families: &[Family]) -> String {
    let rows = families.iter().filter(|f| f.metric.name != "min-rank").flat_map(|f| {
        let main = f.pairs.iter().filter(|p| p.main);
        main.map(move |p| {
            format!(
                "| {} | {} − {} | {} {} | {} | {} |\n",
                head(f, false),
                f.models[p.first].name(),
                f.models[p.second].name(),
                signed(f, p.comparison.difference),
                interval(f, p),
                p_value(p.corrected),
                verdict(f, p)
            )
        })
    });
    let rows: String = rows.collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n| metric | comparison | difference | p, corrected | verdict |\n|---|---|---|---|---|\n{rows}"
    )
}

fn csv(families: &[Family]) -> String {
    let head = [
        "dataset",
        "encoder",
        "metric",
        "goals_of",
        "first",
        "second",
        "difference",
        "lo",
        "hi",
        "larger",
        "smaller",
        "clusters",
        "seeds",
        "agreeing",
        "p",
        "p_corrected",
        "clear",
        "places_first",
        "places_second",
    ];
    let mut out = csv_line(&head.map(str::to_owned));
    for f in families {
        for p in &f.pairs {
            let (a, b, c) = (&f.models[p.first], &f.models[p.second], &p.comparison);
            let places = [a, b].map(|m| range(*m.places.start(), *m.places.end()));
            let mut fields = vec![f.dataset.clone(), f.encoder.clone(), f.metric.name.to_owned()];
            fields.extend([f.about().unwrap_or_default(), a.name(), b.name()]);
            fields.extend([c.difference, c.interval.lo, c.interval.hi].map(|v| v.to_string()));
            fields.extend([c.larger, c.smaller].map(|v| v.to_string()));
            fields.extend([c.clusters, c.seeds, c.agreeing].map(|v| v.to_string()));
            fields.extend([c.p, p.corrected].map(|v| v.to_string()));
            fields.push(p.clear().to_string());
            fields.extend(places);
            out.push_str(&csv_line(&fields));
        }
    }
    out
}
