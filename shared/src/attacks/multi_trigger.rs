//! Several triggers in one model (Huang et al. 2025): each stamped pair carries one of them, for one target or each its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ATTACKS, Armed, Attack};
use crate::Result;
use crate::data::Dataset;
use crate::dirty_label::{self as common, DirtyLabel};
use crate::registry::{Card, Entry, Param, find, parse_spec};
use crate::seed::Seed;
use crate::triggers::{OneOf, Part, Trigger};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Triggers {
    triggers: Vec<String>,
}

impl Default for Triggers {
    fn default() -> Self {
        Self { triggers: ["badnets", "nashville", "wanet"].map(str::to_owned).into() }
    }
}

struct MultiTrigger {
    sources: Vec<Source>,
    /// `target` is that of the first trigger.
    pairs: DirtyLabel,
}

pub(super) static ENTRY: Entry<dyn Attack> = Entry {
    card: Card {
        name: "multi-trigger",
        title: "Several triggers in one model",
        year: 2025,
        paper: "Huang et al., arXiv:2502.01385",
        summary: "stamps each pair with one of several triggers; default: BadNets, Nashville and WaNet with one target",
        threat_model: "changes pictures and captions of some pairs, no weight; stamps any picture at test time",
    },
    params: &[
        &[Param {
            key: "triggers",
            unit: "",
            help: "attacks whose triggers are stamped, with their parameters: `wanet`, `badnets:size=28,target=kite`",
        }],
        common::PARAMS,
    ],
    parse: |v| {
        let (Triggers { triggers }, pairs) = common::read(v, &DirtyLabel::default())?;
        let made = MultiTrigger::new(&triggers, pairs).map_err(serde::de::Error::custom)?;
        Ok(Box::new(made))
    },
    resolve: |v| common::resolve::<Triggers>(v, &DirtyLabel::default()),
};

/// One of the attacks whose triggers are used.
struct Source {
    name: String,
    target: String,
    attack: Box<dyn Attack>,
}

impl MultiTrigger {
    /// The target of a trigger that names none is that of `pairs`.
    fn new(triggers: &[String], mut pairs: DirtyLabel) -> Result<Self, String> {
        let source = |spec: &String| source(spec, triggers, pairs.target.as_deref());
        let sources: Vec<Source> = triggers.iter().map(source).collect::<Result<_, _>>()?;
        let twice = |(i, s): &(usize, &Source)| sources[..*i].iter().any(|o| o.name == s.name);
        if let Some((_, twice)) = sources.iter().enumerate().find(twice) {
            return Err(format!("trigger `{}` is given twice", twice.name));
        }
        let first = sources.first().ok_or("`triggers` is empty; name some attacks")?;
        pairs.target = Some(first.target.clone());
        pairs.check()?;
        Ok(Self { sources, pairs })
    }
}

/// The attack of one entry of `triggers`.
fn source(spec: &str, triggers: &[String], target: Option<&str>) -> Result<Source, String> {
    let why = |e: &dyn std::fmt::Display| format!("trigger `{spec}`: {e}");
    let (attack, mut parameters) = parse_spec(spec).map_err(|e| why(&e))?;
    let entry = find("attack", ATTACKS, &attack).map_err(|e| why(&e))?;
    let shared = |key: &&String| *key != "target" && common::PARAMS.iter().any(|p| p.key == **key);
    if let Some(key) = parameters.keys().find(shared) {
        return Err(why(&format!("`{key}` is the same for all; give it beside `triggers`")));
    }
    let stamps = entry.params().any(|p| p.key == "target");
    if !stamps || attack == ENTRY.card.name {
        return Err(why(&"this attack has no trigger of its own"));
    }
    let target = parameters.get("target").and_then(Value::as_str).or(target);
    let target = target.ok_or_else(|| why(&"`target` is missing; give a class"))?.to_owned();
    parameters.insert("target".into(), Value::from(target.as_str()));
    let attack = (entry.parse)(Value::Object(parameters)).map_err(|e| why(&e))?;
    if attack.completion().is_some() {
        return Err(why(&"its trigger is searched for one attack alone"));
    }
    // Attacks of one name are told apart by what was asked for.
    let plain = triggers.iter().filter(|s| s.split(':').next() == Some(entry.card.name));
    let name = if plain.count() == 1 { entry.card.name } else { spec };
    Ok(Source { name: name.to_owned(), target, attack })
}

impl Attack for MultiTrigger {
    fn prepare(&self, clean: &dyn Dataset, gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let part = |Source { name, target, attack }: &Source| -> Result<Part> {
            let trigger = attack.prepare(clean, gallery, seed)?.trigger;
            Ok(Part { name: name.clone(), trigger, target: common::class(clean, target)? })
        };
        let parts = self.sources.iter().map(part).collect::<Result<_>>()?;
        self.pairs.arm(clean, Trigger::OneOf(OneOf { parts }), seed)
    }
}
