//! Places among rivals, the worst that is known of an entry, and who is dominated.
//!
//! Rivals are models of one lane, protocol, data set, encoder, training recipe and metric, with the other side fixed. A
//! model ranks behind all whose interval lies wholly on the better side of its own, and before all whose interval lies
//! wholly on the worse side. What a submitter measured in several benchmarks counts once, where it has most seeds.

use std::collections::BTreeMap;

use serde_json::json;
use toxiclip_shared::digest::Digest;

use super::entries::Ranked;
use super::lanes::{Best, Side};

/// From which place to which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// At best.
    pub(super) first: usize,
    /// At worst.
    pub(super) last: usize,
    /// Among so many.
    pub(super) of: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.first == self.last {
            true => write!(f, "{} of {}", self.first, self.of),
            false => write!(f, "{}–{} of {}", self.first, self.last, self.of),
        }
    }
}

/// The worst that anybody found against an entry, and who found it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worst {
    /// The value.
    pub(super) value: f64,
    /// Its metric.
    pub(super) metric: &'static str,
    /// Label of the attack.
    pub(super) attack: String,
    /// Whose results have it.
    pub(super) by: String,
}

/// Fills in places, worst known values and domination.
pub(super) fn rank(all: &mut [Ranked]) {
    let mut tables: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    let mut known: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    for (i, entry) in all.iter().enumerate() {
        tables.entry(table(entry)).or_default().push(i);
        if entry.lane.side == Side::Defense {
            known.entry(defended(entry)).or_default().push(i);
        }
    }
    for (table, rivals) in &tables {
        let distinct = distinct(all, rivals);
        let places: Vec<Place> = rivals.iter().map(|&i| place(all, &distinct, i)).collect();
        let beaten: Vec<bool> = rivals.iter().map(|&i| dominated(all, &distinct, i)).collect();
        for ((&i, place), beaten) in rivals.iter().zip(places).zip(beaten) {
            (all[i].place, all[i].dominated, all[i].table) = (place, beaten, table.short());
        }
    }
    for same in known.values() {
        let worst = worst(all, same);
        same.iter().for_each(|&i| all[i].worst.clone_from(&worst));
    }
}

/// What rivals have in common.
fn table(entry: &Ranked) -> Digest {
    let fixed = match entry.lane.side {
        // What is laid against undefended models is `none` for all.
        Side::Attack => &entry.defense_spec,
        Side::Defense => &entry.attack_spec,
    };
    Digest::of(&json!([common(entry), entry.metric, fixed]))
}

/// What all attacks on one defense have in common.
fn defended(entry: &Ranked) -> Digest {
    Digest::of(&json!([common(entry), entry.defense_spec]))
}

fn common(e: &Ranked) -> serde_json::Value {
    json!([e.lane.id, e.protocol, e.recipe, e.dataset, e.encoder])
}

/// Whose it is, and what: the same for measurements of one thing.
fn measured(entry: &Ranked) -> (&str, &serde_json::Value) {
    let ranked = match entry.lane.side {
        Side::Attack => &entry.attack_spec,
        Side::Defense => &entry.defense_spec,
    };
    (&entry.submitter, ranked)
}

/// The rivals, of measurements of one thing that with most seeds; the first of several.
fn distinct(all: &[Ranked], rivals: &[usize]) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for &i in rivals {
        match kept.iter_mut().find(|k| measured(&all[**k]) == measured(&all[i])) {
            Some(k) if all[i].value.seeds.len() > all[*k].value.seeds.len() => *k = i,
            Some(_) => {}
            None => kept.push(i),
        }
    }
    kept
}

fn place(all: &[Ranked], rivals: &[usize], own: usize) -> Place {
    let others = || rivals.iter().filter(|&&i| measured(&all[i]) != measured(&all[own]));
    let above = |a: &Ranked, b: &Ranked| match a.lane.best {
        Best::High => a.value.interval.lo > b.value.interval.hi,
        Best::Low => a.value.interval.hi < b.value.interval.lo,
    };
    let ahead = others().filter(|&&i| above(&all[i], &all[own])).count();
    let behind = others().filter(|&&i| above(&all[own], &all[i])).count();
    Place { first: 1 + ahead, last: rivals.len() - behind, of: rivals.len() }
}

fn dominated(all: &[Ranked], rivals: &[usize], own: usize) -> bool {
    let utility = |e: &Ranked| e.utility.as_ref().map(|u| u.value);
    let Some(mine) = utility(&all[own]) else { return false };
    let others = rivals.iter().filter(|&&i| measured(&all[i]) != measured(&all[own]));
    others.copied().any(|i| {
        let (e, me) = (&all[i], &all[own]);
        let Some(theirs) = utility(e) else { return false };
        let (better, worse) = (
            e.lane.beats(e.value.value, me.value.value),
            e.lane.beats(me.value.value, e.value.value),
        );
        !worse && theirs >= mine && (better || theirs > mine)
    })
}

fn worst(all: &[Ranked], same: &[usize]) -> Option<Worst> {
    let worse = |a: &&usize, b: &&usize| {
        let (x, y) = (&all[**a], &all[**b]);
        let order = x.value.value.total_cmp(&y.value.value);
        if x.lane.best == Best::Low { order } else { order.reverse() }
    };
    let found = &all[*same.iter().max_by(worse)?];
    Some(Worst {
        value: found.value.value,
        metric: found.metric,
        attack: found.attack.clone(),
        by: found.submitter.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::entries::synthetic;
    use super::*;

    /// Three defenses of one protocol under one attack, with the values given.
    fn entries(values: [(f64, f64); 3]) -> Vec<Ranked> {
        let mut all: Vec<Ranked> =
            synthetic(60).into_iter().filter(|e| e.lane.id == "defenses").collect();
        all.truncate(3);
        for (e, (value, utility)) in all.iter_mut().zip(values) {
            (e.encoder, e.attack) = ("tiny-resnet".into(), "a".into());
            e.attack_spec = json!({"name": "a"});
            e.value.value = value;
            (e.value.interval.lo, e.value.interval.hi) = (value - 0.1, value + 0.1);
            e.utility.as_mut().unwrap().value = utility;
        }
        all
    }

    #[test]
    fn overlapping_intervals_share_a_place() {
        let mut all = entries([(0.2, 0.5), (0.3, 0.6), (0.9, 0.4)]);
        rank(&mut all);
        let places: Vec<String> = all.iter().map(|e| e.place.to_string()).collect();
        assert_eq!(places, ["1–2 of 3", "1–2 of 3", "3 of 3"]);
        assert_eq!(all.iter().map(|e| e.dominated).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn what_two_benchmarks_measured_counts_once_where_it_has_most_seeds() {
        let mut all = entries([(0.2, 0.5), (0.9, 0.6), (0.9, 0.4)]);
        let defense = all[1].defense_spec.clone();
        (all[2].defense_spec, all[2].benchmark) = (defense, "another".into());
        let submitter = all[1].submitter.clone();
        all[2].submitter = submitter;
        all[2].value.seeds = vec![0, 1, 2, 3, 4];
        rank(&mut all);
        let places: Vec<String> = all.iter().map(|e| e.place.to_string()).collect();
        assert_eq!(places, ["1 of 2", "2 of 2", "2 of 2"]);
        assert!(!all[1].dominated, "neither by itself nor by a less useful one");
    }

    #[test]
    fn another_protocol_is_another_table() {
        let mut all = entries([(0.2, 0.5), (0.3, 0.6), (0.9, 0.4)]);
        all[2].protocol = Digest::of(&"another");
        rank(&mut all);
        assert_eq!(all[2].place, Place { first: 1, last: 1, of: 1 });
        assert_eq!(all[0].place.of, 2);
        assert!(!all[2].dominated);
    }

    #[test]
    fn anybody_may_lower_what_is_known_of_a_defense_and_is_named() {
        let mut all = entries([(0.2, 0.5), (0.3, 0.6), (0.9, 0.4)]);
        let defense = all[0].defense_spec.clone();
        // Somebody else attacks the first defense by the same protocol with another attack.
        all[2].defense_spec = defense;
        (all[2].submitter, all[2].attack) = ("somebody".into(), "adaptive".into());
        all[2].attack_spec = json!({"name": "adaptive"});
        rank(&mut all);
        let worst = all[0].worst.clone().unwrap();
        assert_eq!((worst.value, &worst.by[..], &worst.attack[..]), (0.9, "somebody", "adaptive"));
        assert_eq!(all[1].worst.as_ref().unwrap().value, 0.3, "another defense keeps its own");
        all[2].protocol = Digest::of(&"another");
        rank(&mut all);
        assert_eq!(all[0].worst.as_ref().unwrap().value, 0.2, "not by another protocol");
    }
}
