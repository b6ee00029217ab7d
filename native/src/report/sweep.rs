//! Ablations in results: where a numeric parameter of attack, victim or defense takes several values and all else
//! stays, its values become the x of a curve.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::defenses::DEFENSES;
use toxiclip_shared::registry::{self, Entry};

use super::aggregate::{Estimate, Results};
use super::extras::{ReportExtras, Role};
use super::lines::{Line, model_name};

/// Fewer values make no curve.
const VALUES: usize = 3;

/// One parameter, and how attack and utility follow it.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    /// `rate of single-label (share)`: parameter, whose it is, unit.
    pub(super) parameter: String,
    /// Attack success.
    pub(super) hit: Vec<Series>,
    /// Utility.
    pub(super) utility: Vec<Series>,
}

/// One curve.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Which models.
    pub(super) name: String,
    /// Colour and shape.
    pub(super) role: Role,
    /// By value of the parameter, ascending.
    pub(super) points: Vec<(f64, Estimate)>,
}

/// A line's parameters, told apart by whether they are numbers; keys such as `attack.rate`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Setting {
    words: BTreeMap<String, String>,
    numbers: BTreeMap<String, f64>,
}

/// Lines that differ in one parameter only, by its value.
type Group<'a> = (Setting, BTreeMap<u64, (f64, &'a Line)>);

/// All sweeps, one per parameter.
pub(super) fn sweeps(results: &Results, lines: &[Line], extras: &ReportExtras) -> Vec<Sweep> {
    let mut specs: BTreeMap<String, Value> = BTreeMap::new();
    for row in &results.rows {
        let key = results.key(row);
        specs.insert(format!("attack.{}", key.attack), row.attack.clone());
        specs.insert(format!("defense.{}", key.defense), row.defense.clone());
    }
    let recipe = recipe(extras);
    let settings: Vec<(Setting, &Line)> =
        lines.iter().map(|line| (setting(line, &specs, &recipe), line)).collect();
    let parameters: BTreeSet<&String> =
        settings.iter().flat_map(|(s, _)| s.numbers.keys()).collect();
    parameters.into_iter().filter_map(|p| sweep(p, &settings, lines)).collect()
}

/// The numbers of the plain victim's recipe, for victims that change one of them.
fn recipe(extras: &ReportExtras) -> BTreeMap<String, f64> {
    let fact = extras.facts.iter().find(|fact| fact.name == "training recipe");
    let json: Value = fact.and_then(|f| serde_json::from_str(&f.value).ok()).unwrap_or_default();
    let numbers =
        json.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?)));
    numbers.chain([("share".to_owned(), 1.0)]).collect()
}

fn setting(
    line: &Line,
    specs: &BTreeMap<String, Value>,
    recipe: &BTreeMap<String, f64>,
) -> Setting {
    let mut setting = Setting::default();
    let mut put = |key: String, value: &Value| match value.as_f64() {
        Some(number) => drop(setting.numbers.insert(key, number)),
        None => drop(setting.words.insert(key, value.to_string())),
    };
    for (part, label) in [("attack", &line.attack), ("defense", &line.defense)] {
        let spec = specs.get(&format!("{part}.{label}")).and_then(Value::as_object);
        spec.into_iter().flatten().for_each(|(k, v)| put(format!("{part}.{k}"), v));
    }
    // A victim's differences stand behind the encoder's name: `tiny-resnet, epochs=2`.
    let mut parts = line.encoder.split(", ");
    put("encoder".into(), &Value::from(parts.next().unwrap_or_default()));
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.parse::<f64>().map_or_else(|_| Value::from(value), Value::from);
        put(format!("victim.{key}"), &value);
    }
    for (key, value) in recipe {
        setting.numbers.entry(format!("victim.{key}")).or_insert(*value);
    }
    setting.words.insert("dataset".into(), line.dataset.clone());
    setting
}

fn sweep(parameter: &str, settings: &[(Setting, &Line)], lines: &[Line]) -> Option<Sweep> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (setting, line) in settings.iter().filter(|(_, line)| line.role != Role::Clean) {
        let mut rest = setting.clone();
        let Some(x) = rest.numbers.remove(parameter) else { continue };
        let group = match groups.iter_mut().find(|(other, _)| *other == rest) {
            Some(group) => group,
            None => {
                groups.push((rest, BTreeMap::new()));
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        // Parameters are not negative, where the order of bits is that of numbers.
        group.1.insert(x.max(0.0).to_bits(), (x, line));
    }
    groups.retain(|(_, points)| points.len() >= VALUES);
    let names = names(&groups);
    let (mut hit, mut utility) = (Vec::new(), Vec::new());
    for ((_, points), name) in groups.iter().zip(names) {
        let of = |get: &dyn Fn(&Line) -> Option<Estimate>| -> Vec<(f64, Estimate)> {
            points.values().filter_map(|(x, line)| Some((*x, get(line)?))).collect()
        };
        let series = |name: &str, role, points| Series { name: name.to_owned(), role, points };
        let role = points.values().next()?.1.role;
        if hit.is_empty() {
            hit.push(series("clean", Role::Clean, of(&|l| l.clean_hit.clone())));
            let clean = |l: &Line| control(lines, l).and_then(|c| c.utility.clone());
            utility.push(series("clean", Role::Clean, of(&clean)));
        }
        hit.push(series(&name, role, of(&|l| l.hit.clone())));
        utility.push(series(&name, role, of(&|l| l.utility.clone())));
    }
    hit.retain(|s| s.points.len() >= VALUES);
    utility.retain(|s| s.points.len() >= VALUES);
    let title = in_words(parameter, &groups.first()?.0);
    (!hit.is_empty() || !utility.is_empty()).then_some(Sweep { parameter: title, hit, utility })
}

/// The undefended clean model of the same data and victim.
fn control<'a>(lines: &'a [Line], of: &Line) -> Option<&'a Line> {
    let same = |l: &&Line| (&l.dataset, &l.encoder) == (&of.dataset, &of.encoder);
    lines.iter().filter(same).find(|l| l.role == Role::Clean && l.defense == "none")
}

/// Models by name, with whatever else tells one group from another.
fn names(groups: &[Group<'_>]) -> Vec<String> {
    let text = |s: &Setting, key: &str| {
        s.words
            .get(key)
            .cloned()
            .or_else(|| s.numbers.get(key).map(f64::to_string))
            .unwrap_or_default()
    };
    let keys: BTreeSet<&String> =
        groups.iter().flat_map(|(s, _)| s.words.keys().chain(s.numbers.keys())).collect();
    let name = |s: &Setting, part: &str| text(s, part).trim_matches('"').to_owned();
    let named = |(setting, _): &Group<'_>| {
        let (attack, defense) = (name(setting, "attack.name"), name(setting, "defense.name"));
        let namesakes = groups.iter().map(|(s, _)| s).filter(|s| {
            (name(s, "attack.name"), name(s, "defense.name")) == (attack.clone(), defense.clone())
        });
        let differs =
            |key: &&&String| namesakes.clone().any(|s| text(s, key) != text(setting, key));
        let told: Vec<String> = keys
            .iter()
            .filter(differs)
            .map(|key| {
                let short = key.rsplit('.').next().unwrap_or(key);
                format!(", {short} {}", text(setting, key).trim_matches('"'))
            })
            .collect();
        model_name(&attack, &defense) + &told.concat()
    };
    groups.iter().map(named).collect()
}

/// `attack.rate` of single-label becomes `rate of single-label (share)`.
fn in_words(parameter: &str, of: &Setting) -> String {
    let (part, key) = parameter.split_once('.').unwrap_or(("", parameter));
    let name = of.words.get(&format!("{part}.name")).map(|n| n.trim_matches('"').to_owned());
    let unit = match part {
        "attack" => name.as_ref().and_then(|name| unit("attack", ATTACKS, name, key)),
        "defense" => name.as_ref().and_then(|name| unit("defense", DEFENSES, name, key)),
        _ if key == "share" => Some("of the training pairs"),
        _ => None,
    };
    let unit =
        unit.filter(|u| !u.is_empty() && *u != key).map(|u| format!(" ({u})")).unwrap_or_default();
    format!("{key} of {}{unit}", name.unwrap_or_else(|| "the victim".into()))
}

fn unit<T: ?Sized>(
    kind: &str,
    list: &'static [&'static Entry<T>],
    name: &str,
    key: &str,
) -> Option<&'static str> {
    let entry = registry::find(kind, list, name).ok()?;
    entry.params().find(|p| p.key == key).map(|p| p.unit)
}
