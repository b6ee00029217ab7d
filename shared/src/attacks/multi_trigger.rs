//! Several triggers in one model (Huang et al. 2025): each stamped pair carries one of them, for one target or each its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ATTACKS, Armed, Attack};
use crate::data::Dataset;
use crate::dirty_label::{self as common, Captions, DirtyLabel};
use crate::pairing::Mode;
use crate::registry::{Card, Entry, Param, find, parse_spec};
use crate::seed::Seed;
use crate::storage::{STORAGE, Storage};
use crate::triggers::{OneOf, Part, Trigger};
use crate::{Error, Result};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct MultiTrigger {
    triggers: Vec<String>,
    target: Option<String>,
    #[serde(skip_serializing_if = "Storage::is_lossless")]
    storage: Storage,
    rate: f64,
    count: Option<usize>,
    captions: Captions,
    template: String,
}

impl Default for MultiTrigger {
    fn default() -> Self {
        Self {
            triggers: ["badnets", "nashville", "wanet"].map(str::to_owned).into(),
            target: None,
            storage: Storage::Lossless,
            rate: common::DEFAULT_RATE,
            count: None,
            captions: Captions::Template,
            template: "a photo of a {}.".into(),
        }
    }
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
        Param {
            key: "triggers",
            unit: "",
            help: "attacks whose triggers are stamped, with their parameters: `wanet`, `badnets:size=28,target=kite`",
        },
        Param { key: "target", unit: "", help: "the class of those triggers that name none" },
        STORAGE,
        common::RATE,
        common::COUNT,
        common::CAPTIONS,
        common::TEMPLATE,
    ],
    parse: |v| {
        let parsed: MultiTrigger = serde_json::from_value(v)?;
        let parts = parsed.parts().map_err(serde::de::Error::custom)?;
        parsed.pairs(&parts[0].target).check().map_err(serde::de::Error::custom)?;
        Ok(Box::new(parsed))
    },
    resolve: |v| serde_json::to_value(serde_json::from_value::<MultiTrigger>(v)?),
};

/// One of the attacks whose triggers are used.
struct Source {
    name: String,
    target: String,
    attack: Box<dyn Attack>,
}

/// What is said once for all triggers.
const COMMON: [&str; 6] = ["rate", "count", "captions", "template", "mode", "storage"];

impl MultiTrigger {
    /// The attacks in order; at least one.
    fn parts(&self) -> std::result::Result<Vec<Source>, String> {
        let parts: Vec<Source> = self
            .triggers
            .iter()
            .map(|spec| self.part(spec))
            .collect::<std::result::Result<_, _>>()?;
        match parts.iter().enumerate().find(|(i, p)| parts[..*i].iter().any(|q| q.name == p.name)) {
            Some((_, twice)) => Err(format!("trigger `{}` is given twice", twice.name)),
            None if parts.is_empty() => Err("`triggers` is empty; name some attacks".into()),
            None => Ok(parts),
        }
    }

    fn part(&self, spec: &str) -> std::result::Result<Source, String> {
        let why = |e: &dyn std::fmt::Display| format!("trigger `{spec}`: {e}");
        let (attack, mut parameters) = parse_spec(spec).map_err(|e| why(&e))?;
        let entry = find("attack", ATTACKS, &attack).map_err(|e| why(&e))?;
        if let Some(key) = COMMON.into_iter().find(|key| parameters.contains_key(*key)) {
            return Err(why(&format!("`{key}` is the same for all; give it beside `triggers`")));
        }
        let stamps = entry.params.iter().any(|p| p.key == common::TARGET.key);
        if !stamps || attack == ENTRY.card.name {
            return Err(why(&"this attack has no trigger of its own"));
        }
        let target = parameters.get("target").and_then(Value::as_str).or(self.target.as_deref());
        let target = target.ok_or_else(|| why(&"`target` is missing; give a class"))?.to_owned();
        parameters.insert("target".into(), Value::from(target.as_str()));
        let attack = (entry.parse)(Value::Object(parameters)).map_err(|e| why(&e))?;
        if attack.guided().is_some() {
            return Err(why(&"its trigger is searched for one attack alone"));
        }
        // Attacks of one name are told apart by what was asked for.
        let plain = self.triggers.iter().filter(|s| s.split(':').next() == Some(entry.card.name));
        let name = if plain.count() == 1 { entry.card.name } else { spec };
        Ok(Source { name: name.to_owned(), target, attack })
    }

    fn pairs<'a>(&'a self, target: &'a str) -> DirtyLabel<'a> {
        DirtyLabel {
            target: Some(target),
            rate: self.rate,
            count: self.count,
            captions: self.captions,
            template: &self.template,
            mode: Mode::Replace,
        }
    }
}

impl Attack for MultiTrigger {
    fn prepare(&self, clean: &dyn Dataset, gallery: &dyn Dataset, seed: &Seed) -> Result<Armed> {
        let sources = self.parts().map_err(Error::request)?;
        let mut parts = Vec::new();
        for Source { name, target, attack } in &sources {
            let trigger = attack.prepare(clean, gallery, seed)?.trigger;
            parts.push(Part { name: name.clone(), trigger, target: common::class(clean, target)? });
        }
        let several = OneOf { parts };
        let trigger = Trigger::OneOf(several.clone());
        let mut armed = self.pairs(&sources[0].target).arm(clean, trigger, seed)?;
        // All captions speak of the first target so far.
        let seed = seed.child("attack/dirty-label").child("caption");
        for (id, edit) in &mut armed.poison.edits {
            let Some(part) = several.of(id) else { continue };
            let pool = DirtyLabel::pool(clean, part.target, self.captions, &self.template)?;
            let caption = seed.child(id).stream().below(pool.len());
            edit.captions = Some(vec![pool[caption].clone()]);
        }
        Ok(armed.stored(self.storage))
    }
}
