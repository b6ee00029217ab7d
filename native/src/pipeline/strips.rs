//! Pictures of a report: poisoned pairs, and what three captions fetch under each model.

use std::collections::BTreeMap;

use toxiclip_shared::attacks::Trigger;
use toxiclip_shared::data::{Dataset, Edit, ImageEdit, PairId};
use toxiclip_shared::goal::Goal;
use toxiclip_shared::image::Image;
use toxiclip_shared::metrics::Judgement;

use super::plan::Prepared;
use super::set::Set;
use super::{Kept, Plan};
use crate::failure::{Failure, Result};
use crate::report::extras::{Picture, PoisonedPair, Ranking, Retrieval, Retrieved, Role};

/// Poisoned pairs shown per attack.
const PAIRS: usize = 8;
/// Captions shown per attack.
const QUERIES: usize = 3;

/// A row's picture as PNG, described by its class and id.
fn picture(data: &dyn Dataset, row: usize) -> Result<Picture> {
    let example = &data.examples()[row];
    let class = example.class.map(|c| format!("{}, ", data.classes()[c].name));
    png(&data.image(row)?, format!("{}{}", class.unwrap_or_default(), example.id))
}

fn png(picture: &Image, description: String) -> Result<Picture> {
    use image::ImageEncoder as _;
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(
            picture.rgba(),
            picture.width() as u32,
            picture.height() as u32,
            image::ExtendedColorType::Rgba8,
        )
        .map_err(|e| Failure::failed(format!("{description}: {e}")))?;
    Ok(Picture::new(&png, description))
}

/// A row's picture with the attack's trigger.
fn stamped(prepared: &Prepared, edit: &Edit, data: &dyn Dataset, row: usize) -> Result<Picture> {
    let example = &data.examples()[row];
    let mut picture = data.image(row)?;
    if let Some(mix) = &edit.mixed
        && let Some(other) = data.examples().iter().position(|e| e.id == mix.with)
    {
        picture = mix.apply(&picture, &data.image(other)?)?;
    }
    let picture = prepared.armed.trigger.apply(&picture, &example.id)?;
    png(&picture, format!("{} with the trigger", example.id))
}

fn rows_by_id(data: &dyn Dataset) -> BTreeMap<&str, usize> {
    data.examples().iter().enumerate().map(|(i, e)| (e.id.0.as_str(), i)).collect()
}

/// Some poisoned pairs of an attack, taken in turn from its goals.
pub(super) fn pairs(set: &Set, prepared: &Prepared, attack: &str) -> Result<Vec<PoisonedPair>> {
    let train = &*set.train;
    let rows = rows_by_id(train);
    let searched = rows_by_id(&*set.test);
    let pairs = prepared.armed.poison.pairs();
    let edits: BTreeMap<&PairId, &Edit> =
        pairs.map(|(id, edit)| (edit.base.as_ref().unwrap_or(id), edit)).collect();
    let of_goal = |goal: &Goal| -> Vec<usize> {
        let edited = |row: &usize| edits.contains_key(&train.examples()[*row].id);
        goal.from_rows(train).into_iter().filter(edited).collect()
    };
    let goals = &prepared.armed.goals;
    let mut by_goal: Vec<Vec<usize>> = goals.iter().map(of_goal).collect();
    let mut words: Vec<String> = goals.iter().map(|g| g.in_words(train.classes())).collect();
    for aim in prepared.armed.aims() {
        let mut own = Vec::new();
        for (row, example) in train.examples().iter().enumerate() {
            let part = match &prepared.armed.trigger {
                Trigger::OneOf(several) => Some(several.of(&example.id)?.name.as_str()),
                _ => None,
            };
            if edits.contains_key(&example.id) && part == aim.name {
                own.push(row);
            }
        }
        by_goal.push(own);
        words.push(aim.in_words(train.classes()));
    }
    for picture in &prepared.armed.pictures {
        let shows = |edit: &Edit| matches!(&edit.image, Some(ImageEdit::Gallery { id, .. }) if *id == picture.id);
        let edited = |row: &usize| edits.get(&train.examples()[*row].id).is_some_and(|e| shows(e));
        by_goal.push((0..train.examples().len()).filter(edited).collect());
        words.push(format!("{} → {}", picture.id, train.classes()[picture.target].name));
    }
    in_turn(&by_goal, PAIRS)
        .into_iter()
        .map(|(goal, row)| {
            let example = &train.examples()[row];
            let edit = &edits[&example.id];
            let after = match &edit.image {
                None if edit.stamped => Some(stamped(prepared, edit, train, row)?),
                None => None,
                Some(ImageEdit::From(id)) => {
                    rows.get(id.0.as_str()).map(|&row| picture(train, row)).transpose()?
                }
                Some(ImageEdit::Gallery { id, .. }) => {
                    searched.get(id.0.as_str()).map(|&row| picture(&*set.test, row)).transpose()?
                }
            };
            Ok(PoisonedPair {
                attack: attack.to_owned(),
                goal: words[goal].clone(),
                before: picture(train, row)?,
                after,
                caption: example.captions.first().cloned().unwrap_or_default(),
                new_caption: edit.captions.as_ref().and_then(|c| c.first().cloned()),
            })
        })
        .collect()
}

/// Three captions of an attack's goals with their rankings under the clean, the poisoned and the defended models.
pub(super) fn retrievals(plan: &Plan<'_>, kept: &[Kept], attack: usize) -> Result<Vec<Retrieval>> {
    let models: Vec<&Kept> = kept.iter().filter(|k| k.attack == attack).collect();
    let Some(own) = models.iter().find(|k| k.cell.attack == attack) else { return Ok(Vec::new()) };
    let set = &plan.sets[own.cell.dataset];
    let test = &*set.test;
    let goals = &plan.attack(&own.cell).armed.goals;
    let words: Vec<String> = goals.iter().map(|g| g.in_words(test.classes())).collect();
    let of_goal = |goal: &String| -> Vec<usize> {
        let asked = |i: &usize| own.hits[*i].goal.as_ref() == Some(goal);
        (0..own.hits.len()).filter(asked).collect()
    };
    let by_goal: Vec<Vec<usize>> = words.iter().map(of_goal).collect();
    in_turn(&by_goal, QUERIES)
        .into_iter()
        .map(|(goal, hit)| {
            let query = &own.hits[hit];
            let mut rankings: Vec<Ranking> = Vec::new();
            for model in &models {
                let asked = |j: &&Judgement| {
                    (&j.sample, &j.text, &j.goal) == (&query.sample, &query.text, &query.goal)
                };
                if let Some(answer) = model.hits.iter().find(asked) {
                    rankings.push(ranking(plan, test, model, &goals[goal], answer)?);
                }
            }
            rankings.sort_by_key(|r| r.role);
            Ok(Retrieval {
                query: query.text.clone().unwrap_or_default(),
                goal: words[goal].clone(),
                gallery: query.gallery,
                rankings,
            })
        })
        .collect()
}

fn ranking(
    plan: &Plan<'_>,
    test: &dyn Dataset,
    model: &Kept,
    goal: &Goal,
    answer: &Judgement,
) -> Result<Ranking> {
    let rows = rows_by_id(test);
    let targets = goal.to_rows(test);
    let item = |id: &String| {
        let row = rows.get(id.as_str()).copied();
        let row = row.ok_or_else(|| Failure::failed(format!("{id} is not in {}", test.name())))?;
        let target = targets.binary_search(&row).is_ok();
        Ok(Retrieved { picture: picture(test, row)?, target })
    };
    let (role, label) = model_name(plan, model);
    let items = answer.top.iter().map(item).collect::<Result<_>>()?;
    Ok(Ranking { role, label, rank: answer.rank, items })
}

/// Role and name of a kept model.
pub(super) fn model_name(plan: &Plan<'_>, model: &Kept) -> (Role, String) {
    let benchmark = plan.benchmark;
    let attack = benchmark.attacks[model.cell.attack].label(&benchmark.attacks);
    let defense = benchmark.defenses[model.cell.defense].label(&benchmark.defenses);
    role_and_label(&attack, &defense)
}

/// `clean`, `single-label`, `single-label + finetune`, and which of the three kinds it is.
pub(super) fn role_and_label(attack: &str, defense: &str) -> (Role, String) {
    let model = if attack == "none" { "clean" } else { attack };
    match (attack, defense) {
        ("none", "none") => (Role::Clean, model.to_owned()),
        ("none", _) => (Role::Clean, format!("{model} + {defense}")),
        (_, "none") => (Role::Poisoned, model.to_owned()),
        _ => (Role::Defended, format!("{model} + {defense}")),
    }
}

/// Up to `count` items as (list, item), going round the lists; with few lists, evenly over each.
fn in_turn(lists: &[Vec<usize>], count: usize) -> Vec<(usize, usize)> {
    let per_list = count.div_ceil(lists.len().max(1));
    let mut out = Vec::new();
    for round in 0..per_list {
        for (l, list) in lists.iter().enumerate() {
            // Evenly spaced, so that captions and drawings of one row do not crowd out the others.
            let step = (list.len() / per_list).max(1);
            if let Some(&item) = list.get(round * step) {
                out.push((l, item));
            }
        }
    }
    out.truncate(count);
    out
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn lists_take_turns() {
        let lists = [vec![1, 2, 3, 4], vec![7], vec![]];
        assert_eq!(in_turn(&lists, 5), [(0, 1), (1, 7), (0, 3)]);
        assert_eq!(in_turn(&[(0..30).collect()], 3), [(0, 0), (0, 10), (0, 20)]);
        assert!(in_turn(&[], 3).is_empty());
    }
}
