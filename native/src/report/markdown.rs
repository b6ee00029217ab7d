//! `report.md`: finding, table and command, for a pull request or a README.

use super::lines::{COLUMNS, Line, columns};
use super::page::Content;
use super::results_table::footnote;

/// The whole file.
pub(super) fn render(c: &Content<'_>) -> String {
    let title = if c.extras.title.is_empty() { "toxiclip report" } else { &c.extras.title };
    let mut out = format!("# {title}\n\n{}\n\n", c.finding);
    for note in &c.results.notes {
        out.push_str(&format!("> Note: {note}.\n\n"));
    }
    out.push_str(&table(c.lines, true));
    out.push_str(&format!("\n{}\n", footnote(c.lines)));
    out.push_str(&super::comparisons::markdown(c.families));
    if !c.extras.command.is_empty() {
        out.push_str(&format!("\nRepeat with:\n\n```\n{}\n```\n", c.extras.command));
    }
    out
}

/// The table, with or without the columns that name data set and encoder.
pub(super) fn table(lines: &[Line], with_set: bool) -> String {
    let skip = if with_set { 0 } else { 2 };
    let shown = columns(lines);
    let heads = &["dataset", "encoder", "attack", "defense"][skip..];
    let heads: Vec<&str> =
        heads.iter().copied().chain(shown.iter().map(|&i| COLUMNS[i].0)).collect();
    let mut out = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for line in lines {
        let scored = match &line.scored {
            Some(scored) if line.attack == "none" => format!("none (against {scored})"),
            _ => line.attack.clone(),
        };
        let names = [&line.dataset, &line.encoder, &scored, &line.defense].map(|t| escape(t));
        out.push_str(&format!(
            "| {} | {} |\n",
            names[skip..].join(" | "),
            shown.iter().map(|&i| line.texts()[i].clone()).collect::<Vec<_>>().join(" | ")
        ));
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
