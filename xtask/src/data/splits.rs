//! Which drawings of the training families are held out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use toxiclip_shared::data::emoji::{ART, Concepts, HeldOut, Role};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::seed::Seed;

use super::drawings::Drawings;

/// Classes that have a validation drawing.
const VALIDATION: usize = 120;

/// Draws one test drawing for every class that at least two training families draw, and a second
/// one, for validation, for `VALIDATION` of the classes that all five draw.
pub(crate) fn draw(concepts: &Concepts, drawings: &Drawings) -> Result<HeldOut> {
    let seed = Seed::new(0).child("emoji").child("splits");
    let mut test = BTreeMap::new();
    let mut complete = Vec::new();
    for class in concepts.classes() {
        let mut cells = cells(concepts, drawings, &class.id);
        let families: BTreeSet<&str> = cells.iter().map(|(set, _)| *set).collect();
        if families.len() < 2 {
            continue;
        }
        let pick = seed.child("test").child(&class.id).stream().below(cells.len());
        test.insert(class.id.clone(), name(cells.remove(pick)));
        if families.len() == ART.iter().filter(|set| set.role == Role::Training).count() {
            complete.push((class.id, cells));
        }
    }
    let chosen = seed.child("val").stream().sample(complete.len(), VALIDATION);
    let val: BTreeMap<String, String> = chosen
        .into_iter()
        .map(|i| {
            let (id, cells) = &complete[i];
            let pick = seed.child("val").child(id).stream().below(cells.len());
            (id.clone(), name(cells[pick]))
        })
        .collect();
    Ok(HeldOut { val: val.into_values().collect(), test: test.into_values().collect() })
}

/// Refuses two drawings of equal pixels among the training families: one could train and the other test.
pub(crate) fn check_distinct(concepts: &Concepts, drawings: &Drawings) -> Result<()> {
    let mut seen: BTreeMap<Digest, String> = BTreeMap::new();
    let mut twins = Vec::new();
    for class in concepts.classes() {
        for (set, concept) in cells(concepts, drawings, &class.id) {
            let own = name((set, concept));
            let digest = Digest::of_bytes(drawings[set][concept].rgba());
            if let Some(other) = seen.insert(digest, own.clone()) {
                twins.push(format!("{other} = {own}"));
            }
        }
    }
    ensure!(twins.is_empty(), "equal drawings; exclude one of each: {}", twins.join(", "));
    Ok(())
}

type Place<'a> = (&'static str, &'a str);

/// The drawings of a class in the training families.
fn cells<'a>(concepts: &'a Concepts, drawings: &Drawings, class: &str) -> Vec<Place<'a>> {
    let members: Vec<&str> = concepts
        .concepts
        .iter()
        .filter(|c| c.class.as_deref() == Some(class))
        .map(|c| c.id.as_str())
        .collect();
    ART.iter()
        .filter(|set| set.role == Role::Training)
        .flat_map(|set| members.iter().map(|id| (set.name, *id)))
        .filter(|(set, id)| drawings[set].contains_key(*id))
        .collect()
}

fn name((set, concept): Place<'_>) -> String {
    format!("{set}/{concept}")
}
