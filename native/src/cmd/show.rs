//! `toxiclip show`: one thing in full.

use serde_json::Value;

use crate::catalogue::{Item, Kind};
use crate::failure::Result;
use crate::output;

/// The card of one attack, defense, encoder, dataset or metric, with its parameters.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it is.
    kind: One,
    /// Its name, as `toxiclip list` prints it.
    name: String,
}

/// The singular of [`Kind`], without benchmarks: those are read best as the files they are.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum One {
    Attack,
    Defense,
    Encoder,
    Dataset,
    Metric,
}

/// Prints the card.
///
/// # Errors
/// If there is no such thing.
pub fn run(args: &Args) -> Result<()> {
    let kind = match args.kind {
        One::Attack => Kind::Attacks,
        One::Defense => Kind::Defenses,
        One::Encoder => Kind::Encoders,
        One::Dataset => Kind::Datasets,
        One::Metric => Kind::Metrics,
    };
    output::print(&text(&kind.find(&args.name)?))
}

fn text(item: &Item) -> String {
    let mut out = format!("{}: {}\n\n", item.name, item.summary);
    let facts: Vec<[String; 2]> =
        item.facts.iter().map(|(key, value)| [key.replace('_', " "), plain(value)]).collect();
    out.push_str(&output::columns(&facts));
    if !item.parameters.is_empty() {
        out.push_str("\nparameters\n");
        let rows: Vec<[String; 4]> = item
            .parameters
            .iter()
            .map(|p| [format!("  {}", p.key), default(&p.default), p.unit.clone(), p.help.clone()])
            .collect();
        out.push_str(&output::columns(&rows));
    }
    if !item.classes.is_empty() {
        let count: usize = item.classes.values().map(Vec::len).sum();
        out.push_str(&format!(
            "\n{count} classes by subgroup (an attack names a class, or subgroup:NAME)\n"
        ));
        let rows: Vec<[String; 2]> = item
            .classes
            .iter()
            .map(|(group, names)| [format!("  {group}"), names.join(", ")])
            .collect();
        out.push_str(&output::columns(&rows));
    }
    out
}

fn default(value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { plain(value) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Parameter;

    #[test]
    fn a_card_shows_facts_and_parameters() {
        let mut item =
            Item { name: "patch".into(), summary: "stamps a square".into(), ..Item::default() };
        item.facts.insert("threat_model".into(), "writes pictures".into());
        let parameter = |key: &str, default| Parameter {
            key: key.into(),
            default,
            unit: "px".into(),
            help: "edge".into(),
        };
        item.parameters = vec![parameter("size", 4.into()), parameter("at", Value::Null)];
        item.classes.insert("air".into(), vec!["kite".into(), "rocket".into()]);
        let expected = "patch: stamps a square\n\nthreat model  writes pictures\n\nparameters\n  \
                        size  4  px  edge\n  at    -  px  edge\n\n\
                        2 classes by subgroup (an attack names a class, or subgroup:NAME)\n  air  kite, rocket\n";
        assert_eq!(text(&item), expected);
    }
}
