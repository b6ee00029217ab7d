//! Everything that has a name, in one form: what `list` and `show` print.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::data::Splits;
use toxiclip_shared::data::emoji::{ArtSet, DATASETS, DatasetInfo};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::encoders::{self, Clip, Layers};
use toxiclip_shared::graph::ParamSpec;
use toxiclip_shared::metrics::{self, Metric};
use toxiclip_shared::registry::{Entry, Param, unknown};

use crate::benchmark::{Benchmark, Form, Protocol};
use crate::data::{BROUGHT, Brought, RETRIEVAL, RetrievalSet};
use crate::failure::{Failure, Result};

/// A kind of named thing; its plural is the argument of `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Poisonings and backdoors.
    Attacks,
    /// Filters, training rules, repairs and screens.
    Defenses,
    /// Architectures.
    Encoders,
    /// Pairs of images and captions.
    Datasets,
    /// What a row's value says.
    Metrics,
    /// TOML files of the repository.
    Benchmarks,
}

/// One named thing. Fields that its kind does not have are left out of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Item {
    /// What the command line and benchmark files call it.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Further facts, sorted by key: formula, licence, paper, title.
    #[serde(flatten)]
    pub facts: BTreeMap<String, Value>,
    /// Parameters with defaults; empty for things that have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Classes of a data set by subgroup: what an attack can name. Only [`Kind::find`] fills them in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, Vec<String>>,
}

/// A parameter as `show` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// kebab-case key.
    pub key: String,
    /// The default; `null` where there is none.
    pub default: Value,
    /// `px`, `rows`, `epochs`; empty for names and switches.
    pub unit: String,
    /// One line.
    pub help: String,
}

impl Kind {
    /// The word for one thing of this kind.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Attacks => "attack",
            Self::Defenses => "defense",
            Self::Encoders => "encoder",
            Self::Datasets => "dataset",
            Self::Metrics => "metric",
            Self::Benchmarks => "benchmark",
        }
    }

    /// All things of this kind, in the order of their registry.
    ///
    /// # Errors
    /// For things that are files, if one cannot be read.
    pub fn items(self) -> Result<Vec<Item>> {
        match self {
            Self::Attacks => Ok(ATTACKS.iter().copied().map(from_entry).collect()),
            Self::Defenses => DEFENSES.iter().copied().map(defense).collect(),
            Self::Encoders => encoders::library::ENCODERS.iter().map(|(n, _)| encoder(n)).collect(),
            Self::Datasets => {
                let brought = BROUGHT.iter().map(|set| brought(set));
                let retrieval = RETRIEVAL.iter().map(retrieval);
                Ok(DATASETS.iter().map(dataset).chain(retrieval).chain(brought).collect())
            }
            Self::Metrics => Ok(metrics::all().map(metric).collect()),
            Self::Benchmarks => benchmarks(&benchmarks_folder()),
        }
    }

    /// What `list` prints: column heads, and a row for each thing.
    ///
    /// # Errors
    /// As [`Kind::items`].
    pub fn table(self) -> Result<(Vec<&'static str>, Vec<Vec<String>>)> {
        let fact = |item: &Item, key: &str| match &item.facts[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (heads, keys): (Vec<_>, Vec<_>) = match self {
            Self::Attacks => (vec!["attack", "year", "what it does"], vec!["year"]),
            Self::Defenses => {
                (vec!["defense", "year", "acts", "what it does"], vec!["year", "acts"])
            }
            other => (vec![other.singular(), "what it is"], vec![]),
        };
        let row = |item: Item| {
            let facts = keys.iter().map(|key| fact(&item, key)).collect::<Vec<_>>();
            [vec![item.name], facts, vec![item.summary]].concat()
        };
        Ok((heads, self.items()?.into_iter().map(row).collect()))
    }

    /// [`Kind::table`] in Markdown.
    ///
    /// # Errors
    /// As [`Kind::items`].
    pub fn markdown(self) -> Result<String> {
        let (heads, rows) = self.table()?;
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut out = line(heads.iter().map(|&head| head.to_owned()).collect());
        out.push_str(&format!("|{}\n", "---|".repeat(heads.len())));
        out.extend(rows.into_iter().map(line));
        Ok(out)
    }

    /// The thing called `name`.
    ///
    /// # Errors
    /// If there is none; says which was probably meant.
    pub fn find(self, name: &str) -> Result<Item> {
        let items = self.items()?;
        let mut item = items.iter().find(|item| item.name == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
            Failure::request(unknown(self.singular(), name, &names))
        })?;
        // A set that this build lacks still has a card.
        if let (Self::Datasets, Ok(splits)) = (self, crate::data::named(name, None)) {
            for class in splits.test.classes() {
                item.classes.entry(class.subgroup.clone()).or_default().push(class.name.clone());
            }
        }
        Ok(item)
    }
}

/// A definition compiled in from `benchmarks/encoders/`; its parameters are counted in the graph.
fn encoder(name: &str) -> Result<Item> {
    let config = encoders::library::find(name)?;
    let count = |specs: &[ParamSpec]| -> usize {
        specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum()
    };
    let (vision, text) = (&config.vision_cfg, &config.text_cfg);
    let tower = match &vision.layers {
        Layers::Transformer(depth) => format!("ViT of {depth} blocks"),
        Layers::ResNet(stages) => format!("ResNet {stages:?}"),
    };
    let parameters = count(&Clip::build(&config).params());
    Ok(Item {
        name: name.to_owned(),
        summary: format!(
            "{tower}, width {}, {} px; text depth {}, width {}; {parameters} parameters",
            vision.width, vision.image_size, text.layers, text.width
        ),
        facts: facts([
            ("file", format!("benchmarks/encoders/{name}.json").into()),
            ("definition", serde_json::to_value(&config).map_err(Failure::failed)?),
        ]),
        ..Item::default()
    })
}

fn dataset(info: &DatasetInfo) -> Item {
    let joined = |part: fn(&ArtSet) -> &'static str| -> Value {
        let parts: BTreeSet<&str> = info.art_sets().map(part).collect();
        parts.into_iter().collect::<Vec<_>>().join("; ").into()
    };
    let missing =
        cfg!(not(feature = "emoji-share-alike")) && info.art_sets().any(ArtSet::share_alike);
    let note = if missing { " (needs --features emoji-share-alike)" } else { "" };
    Item {
        name: info.name.to_owned(),
        summary: format!("{}{note}", info.summary),
        facts: facts([
            ("licence of the art", joined(|set| set.licence)),
            ("credit", joined(|set| set.credit)),
        ]),
        ..Item::default()
    }
}

/// A data set that users bring.
fn brought(set: &Brought) -> Item {
    Item {
        name: set.name.to_owned(),
        summary: set.summary.to_owned(),
        facts: facts([
            ("files below --data-root", set.wanted().into()),
            ("get it from", set.origin.into()),
            ("licence", set.licence.into()),
            ("reference", set.reference.into()),
        ]),
        ..Item::default()
    }
}

/// A data set of Yang et al., whom users ask for it.
fn retrieval(set: &RetrievalSet) -> Item {
    Item {
        name: set.name.to_owned(),
        summary: set.summary.to_owned(),
        facts: facts([
            ("files below --data-root", set.lists().join(", ").into()),
            ("reference", "Yang et al. 2023, arXiv:2209.15266".into()),
        ]),
        ..Item::default()
    }
}

fn metric(metric: &Metric) -> Item {
    let better = if metric.higher_is_better { "higher" } else { "lower" };
    Item {
        name: metric.name.to_owned(),
        summary: metric.summary.to_owned(),
        facts: facts([
            ("formula", metric.formula.into()),
            ("reference", metric.reference.into()),
            ("better", better.into()),
        ]),
        ..Item::default()
    }
}

/// A registered attack or defense: its card, and its parameters with the defaults that its own parser fills in.
fn from_entry<T: ?Sized>(entry: &Entry<T>) -> Item {
    let card = &entry.card;
    let defaults = (entry.resolve)(Value::Object(serde_json::Map::new())).unwrap_or_default();
    let parameter = |p: &Param| Parameter {
        key: p.key.to_owned(),
        default: defaults.get(p.key).cloned().unwrap_or(Value::Null),
        unit: p.unit.to_owned(),
        help: p.help.to_owned(),
    };
    Item {
        name: card.name.to_owned(),
        summary: card.summary.to_owned(),
        facts: facts([
            ("title", card.title.into()),
            ("year", card.year.into()),
            ("paper", card.paper.into()),
            ("threat_model", card.threat_model.into()),
        ]),
        parameters: entry.params().map(parameter).collect(),
        ..Item::default()
    }
}

/// A defense says besides at which moment it acts; its defaults are a request that can always be made.
fn defense(entry: &Entry<Defense>) -> Result<Item> {
    let mut item = from_entry(entry);
    let made = (entry.parse)(Value::Object(serde_json::Map::new()));
    let made = made.map_err(|e| Failure::failed(format!("{}: {e}", entry.card.name)))?;
    item.facts.insert("acts".into(), made.moment().into());
    Ok(item)
}

fn facts<const N: usize>(facts: [(&str, Value); N]) -> BTreeMap<String, Value> {
    facts.map(|(key, value)| (key.to_owned(), value)).into()
}

/// `benchmarks/` below the working directory, else the one this program was built from.
pub fn benchmarks_folder() -> PathBuf {
    let here = PathBuf::from("benchmarks");
    if here.is_dir() { here } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks") }
}

/// Every TOML file below `folder`, named by its path without the ending; committed results are no benchmarks.
fn benchmarks(folder: &Path) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut folders = vec![folder.to_owned()];
    // Most benchmarks are about the same data, which are opened once.
    let mut opened: BTreeMap<String, Splits> = BTreeMap::new();
    let mut open = |name: &str| -> Result<Splits> {
        if let Some(splits) = opened.get(name) {
            return Ok(splits.clone());
        }
        let splits = crate::data::named(name, None)?;
        opened.insert(name.to_owned(), splits.clone());
        Ok(splits)
    };
    while let Some(current) = folders.pop() {
        let entries = fs::read_dir(&current).map_err(|e| Failure::io(&current, &e))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && path != folder.join("results") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                items.push(benchmark(folder, &path, &mut open)?);
            }
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

fn benchmark(folder: &Path, path: &Path, open: impl FnMut(&str) -> Result<Splits>) -> Result<Item> {
    let text = fs::read_to_string(path).map_err(|e| Failure::io(path, &e))?;
    let table: toml::Table =
        text.parse().map_err(|e| Failure::request(format!("{}: {e}", path.display())))?;
    let title = table.get("title").and_then(toml::Value::as_str);
    let title = title.ok_or_else(|| {
        Failure::request(format!("{}: `title` is missing; give it one line", path.display()))
    })?;
    let name = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let mut facts = facts([("file", path.display().to_string().into())]);
    let protocol = Benchmark::parse(path, &text, Form::Laptop, &[], &[])
        .and_then(|benchmark| Protocol::with(&benchmark, open));
    match protocol {
        Ok(protocol) => facts.insert("protocol".into(), json!(protocol.digest())),
        // Its data are somewhere else, or it is no benchmark: asking for it says why.
        Err(why) => facts
            .insert("protocol".into(), Value::Null)
            .or(facts.insert("protocol_absent".into(), why.to_string().into())),
    };
    Ok(Item {
        name: name.to_string_lossy().replace('\\', "/"),
        summary: title.to_owned(),
        facts,
        ..Item::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_named_by_their_path() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("quick.toml", "title = 'Quick'"),
            ("wild/odd.toml", "title = 'Odd'"),
            ("results/x/y.toml", "no benchmark"),
            ("README.md", "no benchmark"),
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let items = benchmarks(dir.path()).unwrap();
        let found: Vec<_> = items.iter().map(|i| (i.name.as_str(), i.summary.as_str())).collect();
        assert_eq!(found, [("quick", "Quick"), ("wild/odd", "Odd")]);
        fs::write(dir.path().join("bad.toml"), "analysis = ''").unwrap();
        let failure = benchmarks(dir.path()).unwrap_err();
        assert!(failure.to_string().contains("bad.toml: `title` is missing"), "{failure}");
    }

    #[test]
    fn an_entry_shows_defaults_of_its_own_parser() {
        use toxiclip_shared::registry::{Card, Param};
        let entry: Entry<str> = Entry {
            card: Card {
                name: "patch",
                title: "Patch",
                year: 2017,
                paper: "a paper",
                summary: "stamps",
                threat_model: "writes pictures",
            },
            params: &[&[Param { key: "size", unit: "px", help: "edge" }]],
            parse: |_| Ok("".into()),
            resolve: |_| Ok(serde_json::json!({ "size": 4 })),
        };
        let item = from_entry(&entry);
        assert_eq!(item.parameters[0].default, 4);
        let json = serde_json::to_value(&item).unwrap();
        assert_eq!((&json["name"], &json["year"]), (&"patch".into(), &2017.into()));
    }
}
