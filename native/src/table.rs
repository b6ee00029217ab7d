//! The table of results for the terminal: the numbers of the report, aligned by columns.

use crate::report::aggregate::Results;
use crate::report::lines::{COLUMNS, Line, columns, lines};

/// Some columns of a line.
fn pick<const N: usize>(texts: [String; N], shown: &[usize]) -> Vec<String> {
    let kept = texts.into_iter().enumerate().filter(|(i, _)| shown.contains(i));
    kept.map(|(_, text)| text).collect()
}

/// All lines as plain text, one per model, under a head; ends with the notes of the results.
pub fn render(results: &Results) -> String {
    let lines = lines(results);
    let group = |l: &Line| [l.dataset.clone(), l.encoder.clone()];
    let differs = |i: usize| lines.iter().any(|l| group(l)[i] != group(&lines[0])[i]);
    let fixed: Vec<usize> = (0..2).filter(|i| differs(*i)).collect();
    let shown = columns(&lines);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let names = fixed.iter().map(|i| ["dataset", "encoder"][*i]).chain(["attack", "defense"]);
    rows.push(names.chain(shown.iter().map(|&i| COLUMNS[i].0)).map(str::to_owned).collect());
    for line in &lines {
        let attack = match &line.scored {
            Some(scored) if line.attack == "none" => format!("none (on {scored})"),
            _ => line.attack.clone(),
        };
        let names = fixed.iter().map(|i| group(line)[*i].clone());
        rows.push(
            names.chain([attack, line.defense.clone()]).chain(pick(line.texts(), &shown)).collect(),
        );
    }
    let mut out = align(&rows);
    for line in lines.iter().filter(|l| !l.failures.is_empty()) {
        out.push_str(&format!("{} failed: {}\n", line.model(), line.failures.join("; ")));
    }
    for note in &results.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}

/// Columns two spaces apart, texts flush left.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "bb".into()], vec!["–ccc".into(), "d".into()]];
        assert_eq!(align(&rows), "a     bb\n–ccc  d\n");
    }
}
