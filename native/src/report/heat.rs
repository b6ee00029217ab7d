//! Heat maps: a value for each pair of a row and a column, printed in its cell, so that shade is not needed.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;
use toxiclip_shared::metrics;

use super::aggregate::{Key, Results};
use super::figure::{csv_line, foot};
use super::lines::{HIT, Line, model_name};
use super::numbers::percent;

/// Values in [0, 1] over two lists of names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heat {
    /// The finding.
    pub(super) title: String,
    /// What the values are.
    pub(super) metric: &'static str,
    /// What rows and columns are.
    pub(super) axes: [String; 2],
    /// Row names.
    pub(super) rows: Vec<String>,
    /// Column names.
    pub(super) columns: Vec<String>,
    /// By row and column; `None` where nothing was measured.
    pub(super) cells: Vec<Vec<Option<f64>>>,
    /// How to read it, one sentence.
    pub(super) caption: String,
}

/// All heat maps that the results hold; nothing without one.
pub(super) fn section(results: &Results, lines: &[Line], command: &str) -> Option<Markup> {
    let mut maps: Vec<Heat> = Vec::new();
    maps.extend(class_pairs(results, lines));
    maps.extend(success(lines));
    maps.extend(grid(lines, &USEFUL));
    maps.extend(goals(results));
    (!maps.is_empty()).then(|| {
        html! {
            section #heat {
                h2 { "Pair by pair" }
                @for (i, map) in maps.iter().enumerate() { (figure(map, i, command)) }
            }
        }
    })
}

fn figure(map: &Heat, index: usize, command: &str) -> Markup {
    let plain = |text: &String| text.trim_start_matches("subgroup:").to_owned();
    // Long heads stand upright, so that a column is as wide as its values.
    let many = map.columns.len() > 4 || map.columns.iter().any(|c| plain(c).chars().count() > 12);
    html! {
        figure {
            h3 { (map.title) }
            div.wide tabindex="0" role="group" aria-label=(map.title) {
                table class=(if many { "heat many" } else { "heat" }) {
                    caption { (map.axes[0]) " by " (map.axes[1]) }
                    thead {
                        tr { th { "" } @for column in &map.columns { th scope="col" { span { (plain(column)) } } } }
                    }
                    tbody {
                        @for (row, cells) in map.rows.iter().zip(&map.cells) {
                            tr {
                                th scope="row" { (plain(row)) }
                                @for cell in cells {
                                    @match cell {
                                        Some(v) => td style=(format!("--share:{:.0}%", 4.0 + 46.0 * v)) { (format!("{v:.2}")) },
                                        None => td { "–" },
                                    }
                                }
                            }
                        }
                    }
                }
            }
            figcaption { (map.caption) }
            (foot(command, &format!("heat-{}", index + 1), &csv(map)))
        }
    }
}

/// Class × class, where attacks differ in nothing but their two classes.
fn class_pairs(results: &Results, lines: &[Line]) -> Option<Heat> {
    let mut specs: BTreeMap<String, &Value> = BTreeMap::new();
    for row in &results.rows {
        specs.insert(results.key(row).attack, &row.attack);
    }
    let ends = |line: &Line| {
        let spec = specs.get(&line.attack)?;
        let end = |key: &str| spec.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((end("from")?, end("to")?, line.hit.as_ref()?.value))
    };
    let first = lines.first()?;
    let of_first = |l: &&Line| (&l.dataset, &l.encoder) == (&first.dataset, &first.encoder);
    let all: Vec<_> =
        lines.iter().filter(of_first).filter(|l| l.defense == "none").filter_map(ends).collect();
    let names = |of: &dyn Fn(&(String, String, f64)) -> String| distinct(all.iter().map(of));
    let (rows, columns) = (names(&|p| p.0.clone()), names(&|p| p.1.clone()));
    if rows.len() < 2 || columns.len() < 2 || all.len() < 4 {
        return None;
    }
    let cell =
        |from: &String, to: &String| all.iter().find(|p| (&p.0, &p.1) == (from, to)).map(|p| p.2);
    let table = |of: &dyn Fn(&String, &String) -> Option<f64>| -> Vec<Vec<Option<f64>>> {
        rows.iter().map(|row| columns.iter().map(|column| of(row, column)).collect()).collect()
    };
    let cells = table(&cell);
    Some(Heat {
        title: extremes(HIT, &rows, &columns, &cells, " → "),
        metric: HIT,
        axes: ["class asked about".into(), "class fetched".into()],
        rows,
        columns,
        cells,
        caption: format!(
            "{HIT} of the undefended attack, mean over seeds. Each cell is a model of its own."
        ),
    })
}

/// A quantity of a grid.
struct Quantity {
    /// Its metrics.
    metric: &'static str,
    of: fn(&Line) -> Option<f64>,
    caption: &'static str,
}

const SUCCESS: Quantity = Quantity {
    metric: "attack success",
    of: |line| Some(line.success()?.1.value),
    caption: "hit@10 of pairing attacks on their goals, asr of triggers on pictures of other classes (asr-passed behind a screen of inputs), targeted of single pictures; mean over seeds. The table of results has the intervals.",
};

const USEFUL: Quantity = Quantity {
    metric: "ca",
    of: |line| Some(line.accuracy.as_ref()?.value),
    caption: "Zero-shot accuracy on clean pictures, mean over seeds: what each defense costs. The table of results has the intervals.",
};

/// Attack success of attacks × defenses; nothing where a table says it.
pub(super) fn success(lines: &[Line]) -> Option<Heat> {
    grid(lines, &SUCCESS)
}

/// Attack × defense, where either list is long enough for a map.
fn grid(lines: &[Line], quantity: &Quantity) -> Option<Heat> {
    let first = lines.first()?;
    let attacked: Vec<&Line> = lines
        .iter()
        .filter(|l| l.attack != "none" && l.success().is_some())
        .filter(|l| (&l.dataset, &l.encoder) == (&first.dataset, &first.encoder))
        .collect();
    let rows = distinct(attacked.iter().map(|l| l.attack.clone()));
    let columns = distinct(attacked.iter().map(|l| l.defense.clone()));
    if rows.len() < 2 || columns.len() < 2 || rows.len().max(columns.len()) < 3 {
        return None;
    }
    let value = |attack: &String, defense: &String| {
        let line = attacked.iter().find(|l| (&l.attack, &l.defense) == (attack, defense))?;
        (quantity.of)(line)
    };
    let cells: Vec<Vec<Option<f64>>> =
        rows.iter().map(|row| columns.iter().map(|column| value(row, column)).collect()).collect();
    if cells.iter().flatten().all(Option::is_none) {
        return None;
    }
    Some(Heat {
        title: extremes(quantity.metric, &rows, &columns, &cells, " + "),
        metric: quantity.metric,
        axes: ["attack".into(), "defense".into()],
        rows,
        columns,
        cells,
        caption: quantity.caption.into(),
    })
}

/// The values of a goal's seeds, by goal.
type ByGoal = BTreeMap<String, Vec<f64>>;

/// A model's name and its values.
type Model = (String, ByGoal);

/// Goal × model, for attacks with several goals: one goal is close to all or nothing.
fn goals(results: &Results) -> Vec<Heat> {
    let Ok(metric) = metrics::find(HIT) else { return Vec::new() };
    // By attack: by model and goal, the values of its seeds.
    let mut all: BTreeMap<String, Vec<Model>> = BTreeMap::new();
    for key in results.keys.iter().filter(|key| key.metric == HIT) {
        let attack = key.against.as_ref().unwrap_or(&key.attack);
        let values = by_goal(results, key, metric);
        let name = model_name(&key.attack, &key.defense);
        let several =
            results.keys.iter().any(|k| (&k.dataset, &k.encoder) != (&key.dataset, &key.encoder));
        let name = if several { format!("{name}, {}, {}", key.dataset, key.encoder) } else { name };
        all.entry(attack.clone()).or_default().push((name, values));
    }
    all.into_iter().filter_map(|(attack, models)| goal_map(&attack, &models)).collect()
}

/// The mean of every goal's queries, for each seed.
fn by_goal(results: &Results, key: &Key, metric: &metrics::Metric) -> ByGoal {
    let mut out = ByGoal::new();
    for row in results.rows_of(key) {
        let evidence = results.evidence(row).unwrap_or_default();
        let mine = || evidence.iter().filter(|j| j.task == metric.task);
        for goal in distinct(mine().filter_map(|j| j.goal.clone())) {
            let own: Vec<_> = mine().filter(|j| j.goal.as_ref() == Some(&goal)).cloned().collect();
            if let Some(mean) = metric.clusters(&own).mean() {
                out.entry(goal).or_default().push(mean);
            }
        }
    }
    out
}

fn goal_map(attack: &str, models: &[Model]) -> Option<Heat> {
    let rows = distinct(models.iter().flat_map(|(_, goals)| goals.keys().cloned()));
    let columns: Vec<String> = models.iter().map(|(name, _)| name.clone()).collect();
    if rows.len() < 2 || columns.is_empty() {
        return None;
    }
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let cells: Vec<Vec<Option<f64>>> = rows
        .iter()
        .map(|goal| models.iter().map(|(_, goals)| goals.get(goal).map(mean)).collect())
        .collect();
    let own = columns.iter().position(|name| name == attack).unwrap_or(0);
    let reached = cells.iter().filter(|row| row[own].is_some_and(|v| v >= 0.5)).count();
    Some(Heat {
        title: format!(
            "{attack} fetches its target for most captions of {reached} of {} goals",
            rows.len()
        ),
        metric: HIT,
        axes: [format!("goal of {attack}"), "model".into()],
        rows,
        columns,
        cells,
        caption: format!(
            "{HIT} per goal, mean over seeds. A goal has few test pictures: look at the pattern, not at one cell."
        ),
    })
}

/// States the largest and the smallest cell.
fn extremes(
    metric: &str,
    rows: &[String],
    columns: &[String],
    cells: &[Vec<Option<f64>>],
    by: &str,
) -> String {
    let mut all: Vec<(f64, String)> = Vec::new();
    for (row, values) in rows.iter().zip(cells) {
        for (column, value) in columns.iter().zip(values) {
            let name = format!("{row}{by}{column}").replace("subgroup:", "");
            // `attack + none` is the attack itself.
            let name = name.trim_end_matches(" + none").to_owned();
            all.extend(value.map(|v| (v, name)));
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    match (all.first(), all.last()) {
        (Some(low), Some(high)) => format!(
            "{metric} is {} for {} and {} for {}",
            percent(high.0),
            high.1,
            percent(low.0),
            low.1
        ),
        _ => metric.to_owned(),
    }
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut out = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

fn csv(map: &Heat) -> String {
    let mut out = csv_line(&[map.axes[0].clone(), map.axes[1].clone(), map.metric.to_owned()]);
    for (row, cells) in map.rows.iter().zip(&map.cells) {
        for (column, cell) in map.columns.iter().zip(cells) {
            let value = cell.map(|v| v.to_string()).unwrap_or_default();
            out.push_str(&csv_line(&[row.clone(), column.clone(), value]));
        }
    }
    out
}
