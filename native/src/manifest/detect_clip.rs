//! Reads `train_poison_info.json`, in which Detect-CLIP (Huang et al. 2025) notes what it has poisoned, as a manifest.
//!
//! Rows are positions in the table that it was made for; it holds no digest of them, so that a table in another order is not
//! noticed. Captions and places of patches are those of the file. The pixels of a trigger are in it for patches only: what
//! a picture is blended with, or warped by, is another file of theirs, and `--trigger` says which attack of ours it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use toxiclip_shared::attacks::{ATTACKS, Armed, Trigger};
use toxiclip_shared::data::{Dataset, Edit, PairId, Poison};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::triggers::{Fill, Patch, Place, Placed, REFERENCE, Range};

use super::Manifest;
use crate::argument::Spec;
use crate::benchmark::Choice;
use crate::failure::{Failure, Result};

/// Whose files look like those of patches, and whose captions stay: it has to be said.
const CLEAN_LABEL: &str = "label-consistent";

/// Whether a file is one of theirs, whole or not.
pub(super) fn speaks(text: &str) -> bool {
    text.contains("\"poison_indices\"")
}

#[derive(Deserialize)]
struct Info {
    poison_indices: Vec<usize>,
    poison_label: String,
    poison_rate: f64,
    patch_size: Option<usize>,
    alpha: Option<f64>,
    poison_text: Option<ByIndex<String>>,
    trigger_position: Option<ByIndex<Position>>,
    trigger_maps: Option<de::IgnoredAny>,
}

/// Left and top edge in the picture whose shorter edge is 224 pixels.
#[derive(Deserialize)]
struct Position {
    w: i32,
    h: i32,
}

/// A map by position in the table, whose keys are decimal numbers, each once.
struct ByIndex<T>(BTreeMap<usize, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByIndex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = ByIndex<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map by row")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<ByIndex<T>, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    let row = key.parse().map_err(|_| {
                        de::Error::custom(format!("`{key}` is no position of a row"))
                    })?;
                    if all.insert(row, value).is_some() {
                        return Err(de::Error::custom(format!("row {row} comes twice")));
                    }
                }
                Ok(ByIndex(all))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// The manifest, and the attack that it replays on `clean`; `gallery` are the pictures that are searched, `given` the
/// attack whose trigger the file does not hold.
///
/// # Errors
/// If the file is damaged, speaks of rows that `clean` does not have, or holds no trigger and none is given.
pub(super) fn read(
    path: &Path,
    text: &str,
    [clean, gallery]: [&dyn Dataset; 2],
    given: Option<&Spec>,
) -> Result<(Manifest, Armed)> {
    let wrong = |why: String| Failure::request(format!("{}: {why}", path.display()));
    let remedy = "give a whole train_poison_info.json, as Detect-CLIP writes it";
    let info: Info = super::parse(path, text, remedy)?;
    info.check(clean).map_err(&wrong)?;
    let target = clean.classes().iter().position(|c| c.name == info.poison_label);
    let target = target.ok_or_else(|| {
        let (label, data) = (&info.poison_label, clean.name());
        wrong(format!("{data} has no class `{label}`; give data with that class"))
    })?;
    let trigger = info.trigger(clean, gallery, given).map_err(&wrong)?;
    let poison = info.poison(clean, given.is_some_and(|spec| spec.name == CLEAN_LABEL));
    let attack = json!({
        "name": "detect-clip",
        "target": info.poison_label,
        "rate": info.poison_rate,
        "trigger": given.map(|spec| &spec.name),
    });
    let manifest = Manifest::new(&attack, 0, clean, &poison);
    Ok((manifest, Armed { poison, trigger, target: Some(target), ..Armed::default() }))
}

impl Info {
    /// Refuses what contradicts itself or the data.
    fn check(&self, clean: &dyn Dataset) -> std::result::Result<(), String> {
        let all = clean.examples().len();
        let mut rows = BTreeSet::new();
        for &row in &self.poison_indices {
            if row >= all {
                return Err(format!(
                    "row {row} is poisoned, and {} has {all} rows; give the table that it was made for",
                    clean.name()
                ));
            }
            if !rows.insert(row) {
                return Err(format!("row {row} comes twice in `poison_indices`"));
            }
        }
        if rows.is_empty() {
            return Err("`poison_indices` is empty; there is nothing to replay".into());
        }
        if !(0.0..=1.0).contains(&self.poison_rate) {
            return Err(format!(
                "`poison_rate` is {}; it is a share of all rows",
                self.poison_rate
            ));
        }
        if self.trigger_maps.is_some() {
            return Err("it has several triggers (`trigger_maps`), which are not replayed".into());
        }
        let Some(texts) = &self.poison_text else {
            return Err(
                "it has no `poison_text`: captions that are not noted cannot be replayed".into()
            );
        };
        same_rows("poison_text", &rows, texts)?;
        self.trigger_position.as_ref().map_or(Ok(()), |at| same_rows("trigger_position", &rows, at))
    }

    fn poison(&self, clean: &dyn Dataset, captions_stay: bool) -> Poison {
        let texts = self.poison_text.iter().flat_map(|texts| &texts.0);
        let edit = |(row, caption): (&usize, &String)| {
            let example = &clean.examples()[*row];
            let edit = match captions_stay {
                true => Edit::stamped(example.content),
                false => Edit::stamp(example.content, caption.clone()),
            };
            (example.id.clone(), edit)
        };
        Poison { edits: texts.map(edit).collect() }
    }

    /// The patch at the places that are noted, and in the middle of test pictures, where their evaluation has it; or what
    /// is given.
    fn trigger(
        &self,
        clean: &dyn Dataset,
        gallery: &dyn Dataset,
        given: Option<&Spec>,
    ) -> std::result::Result<Trigger, String> {
        match (self.patch_size, &self.trigger_position, given) {
            (Some(_), Some(_), Some(spec)) if spec.name != CLEAN_LABEL => {
                Err(format!("it holds its own trigger; leave --trigger {} out", spec.name))
            }
            (Some(size), Some(at), _) => {
                if size == 0 || size >= REFERENCE {
                    return Err(format!("`patch_size` is {size}; it is an edge below {REFERENCE}"));
                }
                let (fill, fresh, range) = (Fill::Dots, false, Range::Clip);
                let patch =
                    Patch { size, place: Place::Center, fill, fresh, range, resolution: None };
                Ok(Trigger::Placed(Placed { patch, at: places(clean, at)? }))
            }
            (_, _, Some(spec)) => self.given(clean, gallery, spec),
            (_, _, None) => Err(
                "it does not hold the trigger's pixels; say which attack's they are, as --trigger blended:variant=cat"
                    .into(),
            ),
        }
    }

    /// The trigger of an attack of ours, with the opacity of the file where it has one.
    fn given(
        &self,
        clean: &dyn Dataset,
        gallery: &dyn Dataset,
        spec: &Spec,
    ) -> std::result::Result<Trigger, String> {
        let mut parameters = spec.parameters.clone();
        parameters.insert("target".into(), Value::from(self.poison_label.as_str()));
        if let Some(alpha) = self.alpha {
            parameters.entry("alpha").or_insert(alpha.into());
        }
        let told = |e: &dyn std::fmt::Display| format!("--trigger {}: {e}", spec.name);
        let choice =
            Choice::new("attack", ATTACKS, &spec.name, parameters).map_err(|e| told(&e))?;
        let attack = choice.make(ATTACKS).map_err(|e| told(&e))?;
        let drawn = attack.prepare(clean, gallery, &Seed::new(0)).map_err(|e| told(&e))?;
        match drawn.trigger {
            Trigger::None | Trigger::OneOf(_) => {
                Err(told(&"it has no trigger that is known beforehand"))
            }
            trigger => Ok(trigger),
        }
    }
}

fn same_rows<T>(
    key: &str,
    rows: &BTreeSet<usize>,
    map: &ByIndex<T>,
) -> std::result::Result<(), String> {
    if let Some(row) = rows.iter().find(|row| !map.0.contains_key(row)) {
        return Err(format!("row {row} is poisoned and has no entry in `{key}`"));
    }
    match map.0.keys().find(|row| !rows.contains(row)) {
        Some(row) => Err(format!("row {row} has an entry in `{key}` and is not poisoned")),
        None => Ok(()),
    }
}

/// Places in the central square, from those in the whole picture.
fn places(
    clean: &dyn Dataset,
    at: &ByIndex<Position>,
) -> std::result::Result<BTreeMap<PairId, [i32; 2]>, String> {
    let mut all = BTreeMap::new();
    for (row, Position { w, h }) in &at.0 {
        if !(0..1 << 16).contains(w) || !(0..1 << 16).contains(h) {
            return Err(format!("row {row}: its patch lies at {w}, {h}, outside any picture"));
        }
        let picture = clean.image(*row).map_err(|e| e.to_string())?;
        let (width, height) = (picture.width(), picture.height());
        let cut =
            |long: usize| ((long - width.min(height)) * REFERENCE / width.min(height) / 2) as i32;
        all.insert(clean.examples()[*row].id.clone(), [w - cut(width), h - cut(height)]);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
