//! What the leaderboard ranks: every attacked model of every published folder, once in each lane to which it belongs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use toxiclip_shared::digest::{Digest, canonical_json};
use toxiclip_shared::metrics::interval::Interval;

use super::lanes::{LANES, Lane, Side};
use super::ranks::{Place, Worst};
use crate::benchmark::called;
use crate::catalogue::{Item, Kind};
use crate::pipeline::known::Changed;
use crate::published::Published;
use crate::report::aggregate::{Estimate, Key};
use crate::report::lines::Line;

/// A model in a lane.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// The lane.
    pub(super) lane: &'static Lane,
    /// Whose it is.
    pub(super) submitter: String,
    /// Path of the benchmark.
    pub(super) benchmark: String,
    /// Data-set name.
    pub(super) dataset: String,
    /// Encoder, and how its victim trains where that differs.
    pub(super) encoder: String,
    /// Label of the attack.
    pub(super) attack: String,
    /// Label of the defense.
    pub(super) defense: String,
    /// The attack with all parameters.
    pub(super) attack_spec: Value,
    /// The defense with all parameters.
    pub(super) defense_spec: Value,
    /// The metric that decides.
    pub(super) metric: &'static str,
    /// Its value.
    pub(super) value: Estimate,
    /// The same of the clean model on the same queries.
    pub(super) clean: Option<Estimate>,
    /// What the model is still good for.
    pub(super) utility: Option<Estimate>,
    /// That of the clean model.
    pub(super) clean_utility: Option<f64>,
    /// Zero-shot accuracy.
    pub(super) accuracy: Option<Estimate>,
    /// Seconds of work for one seed.
    pub(super) seconds: Option<f64>,
    /// Clean pairs or pictures that the defense asks for; `None` where the benchmark no longer tells.
    pub(super) held: Option<u64>,
    /// Year of the paper of what is ranked.
    pub(super) year: Option<u64>,
    /// When a defense acts.
    pub(super) acts: String,
    /// By what it was measured.
    pub(super) protocol: Digest,
    /// The training that all its rivals have in common.
    pub(super) recipe: Digest,
    /// Why it is of an older version.
    pub(super) older: Option<String>,
    /// How it was verified.
    pub(super) verified: String,
    /// The day of the submission, if it is known.
    pub(super) date: Option<String>,
    /// The page with everything about it, below the leaderboard's folder.
    pub(super) page: String,
    /// The table that it shares with its rivals, by name.
    pub(super) table: String,
    /// Its place among its rivals.
    pub(super) place: Place,
    /// The worst that anybody found against it.
    pub(super) worst: Option<Worst>,
    /// Whether a rival is no less useful, no worse, and better in one of both.
    pub(super) dominated: bool,
}

impl Ranked {
    /// What is ranked.
    pub(super) fn name(&self) -> &str {
        match self.lane.side {
            Side::Attack => &self.attack,
            Side::Defense => &self.defense,
        }
    }

    /// What it stands against.
    pub(super) fn opponent(&self) -> &str {
        match self.lane.side {
            Side::Attack => &self.defense,
            Side::Defense => &self.attack,
        }
    }

    /// Utility lost against the clean model, with its sign.
    pub(super) fn change(&self) -> Option<f64> {
        Some(self.utility.as_ref()?.value - self.clean_utility?)
    }

    /// What its attack changes, if its run's benchmark tells.
    pub(super) fn changed<'a>(&self, run: &'a Published) -> Option<&'a Changed> {
        run.known.attacks.get(&canonical_json(&self.attack_spec))
    }

    /// Whether it is of this run.
    pub(super) fn is_of(&self, run: &Published) -> bool {
        (&self.submitter, &self.benchmark, self.protocol, &self.older)
            == (&run.submitter, &run.name, run.entry.protocol, &run.older)
    }

    /// The protocol as people call it.
    pub(super) fn version(&self) -> String {
        called(self.protocol)
    }
}

/// The models of one published folder.
///
/// # Errors
/// If no row is of a label that its results have.
pub(super) fn of(published: &Published, lines: &[Line], cards: &Cards) -> Result<Vec<Ranked>> {
    let mut out = Vec::new();
    let specs = specs(published);
    let spec = |label: &String| {
        specs
            .get(label)
            .cloned()
            .with_context(|| format!("{}: no row is of {label}", published.name))
    };
    for line in lines {
        for lane in LANES.iter().filter(|lane| lane.takes(&line.attack, &line.defense)) {
            let Some((metric, value)) = decisive(published, line, lane) else { continue };
            let (attack_spec, defense_spec) = (spec(&line.attack)?, spec(&line.defense)?);
            let ranked = match lane.side {
                Side::Attack => cards.find(Kind::Attacks, &attack_spec),
                Side::Defense => cards.find(Kind::Defenses, &defense_spec),
            };
            let fact = |key: &str| ranked.and_then(|item| item.facts.get(key));
            let key = (canonical_json(&attack_spec), canonical_json(&defense_spec));
            let is_success = lane.metrics.contains(&"asr");
            out.push(Ranked {
                lane,
                submitter: published.submitter.clone(),
                benchmark: published.name.clone(),
                dataset: line.dataset.clone(),
                encoder: line.encoder.clone(),
                attack: line.attack.clone(),
                defense: line.defense.clone(),
                page: super::detail::address(published, &attack_spec, &defense_spec),
                metric,
                value: value.clone(),
                clean: line.clean_success().filter(|_| is_success).cloned(),
                utility: line.utility.clone(),
                clean_utility: clean_utility(line, lines),
                accuracy: line.accuracy.clone(),
                seconds: seconds(published, line),
                held: published.known.held.get(&key).copied(),
                year: fact("year").and_then(Value::as_u64),
                acts: fact("acts").and_then(Value::as_str).unwrap_or("–").to_owned(),
                protocol: published.entry.protocol,
                recipe: published.recipe,
                older: published.older.clone(),
                verified: verified(published),
                date: published.entry.date.clone(),
                table: String::new(),
                place: Place::default(),
                worst: None,
                dominated: false,
                attack_spec,
                defense_spec,
            });
        }
    }
    Ok(out)
}

/// Cards of everything registered, read once.
pub(super) struct Cards(BTreeMap<(&'static str, String), Item>);

impl Cards {
    /// Reads them.
    ///
    /// # Errors
    /// Never for a program whose registries were tested.
    pub(super) fn read() -> Result<Self> {
        let mut all = BTreeMap::new();
        for kind in [Kind::Attacks, Kind::Defenses] {
            let items = kind.items()?.into_iter();
            all.extend(items.map(|item| ((kind.singular(), item.name.clone()), item)));
        }
        Ok(Self(all))
    }

    /// The card of an attack or defense with parameters.
    pub(super) fn find(&self, kind: Kind, spec: &Value) -> Option<&Item> {
        self.0.get(&(kind.singular(), spec["name"].as_str()?.to_owned()))
    }
}

/// The metric of a lane that a model has, and its value.
fn decisive<'a>(
    published: &'a Published,
    line: &Line,
    lane: &Lane,
) -> Option<(&'static str, &'a Estimate)> {
    let of = |metric: &&'static str| Some((*metric, published.results.get(&line.key(metric))?));
    lane.metrics.iter().find_map(of)
}

/// What each label stands for.
fn specs(published: &Published) -> BTreeMap<String, Value> {
    let mut specs = BTreeMap::new();
    for row in &published.results.rows {
        let key = published.results.key(row);
        specs.entry(key.attack).or_insert_with(|| row.attack.clone());
        specs.entry(key.defense).or_insert_with(|| row.defense.clone());
    }
    specs
}

fn clean_utility(line: &Line, lines: &[Line]) -> Option<f64> {
    let mut controls = lines.iter().filter(|other| {
        (&other.attack[..], &other.defense[..]) == ("none", "none")
            && (&other.dataset, &other.encoder) == (&line.dataset, &line.encoder)
    });
    Some(controls.next()?.utility.as_ref()?.value)
}

/// Work of a cell, a mean over its seeds; all rows of a seed say the same.
fn seconds(published: &Published, line: &Line) -> Option<f64> {
    let about = |key: &&Key| {
        key.against.is_none()
            && (&key.dataset, &key.encoder) == (&line.dataset, &line.encoder)
            && (&key.attack, &key.defense) == (&line.attack, &line.defense)
    };
    let key = published.results.keys.iter().find(about)?;
    let all: Vec<f64> = published.results.rows_of(key).map(|row| row.seconds).collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// The most that was checked before the results were accepted.
fn verified(published: &Published) -> String {
    match published.entry.verifications.iter().map(|v| v.replayed).max() {
        Some(count) if count > 0 => format!("recomputed, {count} judgements replayed"),
        _ => "recomputed".to_owned(),
    }
}

/// Made-up models, to see whether the page stays fluid; they say of themselves what they are.
pub(super) fn synthetic(count: usize) -> Vec<Ranked> {
    let root = toxiclip_shared::seed::Seed::new(0).child("leaderboard/synthetic");
    let made = |i: usize| {
        let mut dice = root.child(i as u64).stream();
        let mut share = || dice.below(10_000) as f64 / 10_000.0;
        let mut estimate = || {
            let (value, half) = (share(), share() / 10.0);
            let interval = Interval { lo: (value - half).max(0.0), hi: (value + half).min(1.0) };
            Estimate { value, interval, n: 548, seeds: vec![0, 1, 2], gallery: None }
        };
        let (value, clean, utility) = (estimate(), estimate(), estimate());
        let defended = !i.is_multiple_of(3);
        let named = |name: String| serde_json::json!({ "name": name });
        let attack = format!("synthetic-attack-{}", i % 37);
        let defense = if defended { format!("synthetic-defense-{i}") } else { "none".to_owned() };
        Ranked {
            lane: &LANES[usize::from(defended)],
            submitter: "synthetic".to_owned(),
            benchmark: format!("synthetic/{}", i % 5),
            dataset: "emoji".to_owned(),
            encoder: ["tiny-resnet", "tiny-vit"][i % 2].to_owned(),
            attack_spec: named(attack.clone()),
            defense_spec: named(defense.clone()),
            page: "#".to_owned(),
            attack,
            defense,
            metric: "asr",
            clean_utility: Some(0.5),
            accuracy: Some(utility.clone()),
            seconds: Some(value.value * 100.0),
            held: Some(i as u64),
            value,
            clean: Some(clean),
            utility: Some(utility),
            year: Some(2017 + (i % 9) as u64),
            acts: "after training".to_owned(),
            protocol: Digest::of(&"synthetic"),
            recipe: Digest::of(&"synthetic"),
            older: None,
            verified: "synthetic: made up".to_owned(),
            date: None,
            table: String::new(),
            place: Place::default(),
            worst: None,
            dominated: false,
        }
    };
    (0..count).map(made).collect()
}
