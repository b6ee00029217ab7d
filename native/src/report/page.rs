//! `report.html`: one self-contained page, from the finding down to the command that repeats it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::aggregate::Results;
use super::compare::Family;
use super::extras::ReportExtras;
use super::figure::copyable;
use super::lines::Line;
use super::{
    comparisons, curves, heat, histogram, map, methods, ranking, results_table, scatter, strips,
    sweep, sweep_plot,
};

pub(super) const STYLE: &str = concat!(include_str!("style.css"), include_str!("plots.css"));
const SCRIPT: &str = include_str!("copy.js");

/// Everything a page is made from.
pub(super) struct Content<'a> {
    pub(super) results: &'a Results,
    pub(super) lines: &'a [Line],
    pub(super) extras: &'a ReportExtras,
    pub(super) families: &'a [Family],
    pub(super) finding: &'a str,
}

/// The whole page.
pub(super) fn render(c: &Content<'_>) -> Markup {
    let title = if c.extras.title.is_empty() { "toxiclip report" } else { &c.extras.title };
    let sections = sections(c);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.finding { (c.finding) }
                    @for note in &c.results.notes { p.note { "Note: " (note) "." } }
                }
                nav aria-label="Sections" {
                    @for (id, name, _) in &sections { a href=(format!("#{id}")) { (name) } }
                }
                main {
                    @if !c.extras.analysis.is_empty() {
                        section #question { details open { summary { "What is asked, and how to read it" } (paragraphs(&c.extras.analysis)) } }
                    }
                    @for (_, _, section) in &sections { (section) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Text from a file of fixed width: blank lines part paragraphs, other line ends are the file's, not the reader's.
fn paragraphs(text: &str) -> Markup {
    let parts =
        text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    html! { @for part in parts.filter(|part| !part.is_empty()) { p { (part) } } }
}

/// Anchor, name in the list of sections, and content; parts without content are left out.
fn sections(c: &Content<'_>) -> Vec<(&'static str, &'static str, Markup)> {
    let command = c.extras.command.as_str();
    let sweeps = sweep::sweeps(c.results, c.lines, c.extras);
    let all = [
        ("table", "Results", Some(results_table::section(c, command))),
        ("plot", "Attack and utility", plots(c.lines, command)),
        ("ablations", "Ablations", sweep_plot::section(&sweeps, command)),
        ("heat", "Pair by pair", heat::section(c.results, c.lines, command)),
        ("ranking", "Ranking", ranking::section(c.results, c.lines)),
        ("comparisons", "Comparisons", comparisons::section(c)),
        ("poisoned", "Poisoned pairs", strips::poisoned(c.extras)),
        ("retrieval", "Retrieval", strips::retrieval(c.extras)),
        ("maps", "Map", map::section(&c.extras.maps, command)),
        ("scores", "Filter", histogram::section(c.results, command)),
        ("curves", "Training", curves::section(&c.extras.curves, command)),
        ("cost", "Cost", methods::cost(&c.extras.costs)),
        ("threat", "Threat model", methods::threat(&c.extras.cards)),
        ("methods", "Methods", Some(methods::methods(c))),
        ("repeat", "Repeat", repeat(command)),
        ("responsible", "Responsible use", Some(responsible())),
    ];
    all.into_iter().filter_map(|(id, name, section)| Some((id, name, section?))).collect()
}

/// One plot per data set and encoder.
fn plots(lines: &[Line], command: &str) -> Option<Markup> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        let group = (line.dataset.as_str(), line.encoder.as_str());
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let figures: Vec<(&str, &str, Markup)> = groups
        .into_iter()
        .filter_map(|(dataset, encoder)| {
            let mine: Vec<&Line> =
                lines.iter().filter(|l| l.dataset == dataset && l.encoder == encoder).collect();
            Some((dataset, encoder, scatter::figure(&mine, command)?))
        })
        .collect();
    let several = figures.len() > 1;
    (!figures.is_empty()).then(|| {
        html! {
            section #plot {
                h2 { "Attack success against utility" }
                @for (dataset, encoder, figure) in &figures {
                    @if several { p.quiet { (dataset) ", " (encoder) } }
                    (figure)
                }
            }
        }
    })
}

fn repeat(command: &str) -> Option<Markup> {
    (!command.is_empty()).then(|| {
        html! {
            section #repeat {
                h2 { "Repeat this" }
                p { "The same command on the same machine type gives the same weights and the same values, bit for bit." }
                (copyable(command))
            }
        }
    })
}

fn responsible() -> Markup {
    html! {
        section #responsible {
            h2 { "Responsible use" }
            p {
                "The poisoned models behind this page exist to measure attacks and defenses on openly licensed pictures. "
                "Their checkpoints say that they are poisoned; keep that mark, do not deploy them, and do not publish them as ordinary models. "
                "Findings against a system that people use belong to its maintainers first."
            }
        }
    }
}
