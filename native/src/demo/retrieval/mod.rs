//! What the page of poisoned retrieval shows: models of a benchmark's first seed that search its test pictures, the captions
//! that its attacks are about, pairs that were changed, and what this program answers, for the page to compare itself with.
//!
//! | file | content |
//! |---|---|
//! | `retrieval.json` | [`Manifest`]: all of the following by name, size and sha256 |
//! | `tokenizer.json` | the vocabulary of all models |
//! | `ATTACK-DEFENSE.bin` | a [`Retriever`]'s file |
//! | `picture-N.png` | a test picture |
//! | `pair-G-N.png` | the picture of a poisoned pair of goal G |

mod manifest;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::data::{Dataset, Edit, ImageEdit, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::goal::Goal;
use toxiclip_shared::metrics::ranking::rank_of_best;
use toxiclip_shared::metrics::{self, Judgement};
use toxiclip_shared::retrieval::{self, About, Retriever};

use manifest::{Asked, Manifest, Pair, Picture, Rounding, Shown, Tokens};

use super::manifest::{Entry, Rate};
use super::{Line, Lines, credit, fitted, judged, origins};
use crate::catalogue::Kind;
use crate::evaluate::{self, Caption, Embeddings, captions};
use crate::export::png;
use crate::failure::{Failure, Result};
use crate::model::Model;
use crate::pipeline::origin::Origin;
use crate::pipeline::{Plan, Stages};
use crate::store::write_atomic;

/// Pictures that a page can show of an answer.
const TOP: usize = 10;
/// Poisoned pairs shown of a goal.
const PAIRS: usize = 6;
/// What a page shows beside each other: a similarity that rounding moves by more is not the model's.
const TOLERANCE: f32 = 1e-3;
/// What stands beside the pictures.
const RATES: [&str; 4] = ["hit@5", "hit@10", "hit@10.random", "min-rank"];
/// Texts that tell tokenizers apart.
const TEXTS: [&str; 5] = [
    "a drawing of a ewe",
    "  AN\tAirplane!\n",
    "Ünïcödé 日本 🦊",
    "a <|endoftext|> b",
    "naïve 12345 don't",
];

/// Trains what is missing and writes all files into `out`; returns the sum of the models' bytes.
///
/// # Errors
/// Those of training; if the benchmark has no clean model or no attack with goals, or the folder cannot be written.
pub fn export_retrieval(plan: &Plan<'_>, stages: &Stages, out: &Path) -> Result<usize> {
    let test = &*plan.sets[0].test;
    let (mut lines, mut models) = (Lines::<Retriever>::new(), Vec::new());
    let searches = |armed: &Armed| !armed.goals.is_empty();
    for (id, (cell, origin)) in origins(plan, searches, "whose captions fetch other pictures")? {
        let (bytes, model, plain) = packed(plan, stages, origin)?;
        let entry = written(out, &format!("{}.bin", id.replace('+', "-")), &id, &bytes)?;
        // One vocabulary for all: a model with another than the first's is refused.
        let first = lines.values().next().map_or(&model, |line| &line.model);
        let packed = Retriever::parse(&bytes, first.tokenizer.to_json(), &entry.file)?;
        models.push(entry);
        lines.insert(id, Line { cell, model, plain, packed });
    }
    let vocabulary = lines["clean"].model.tokenizer.to_json();
    let tokenizer = written(out, "tokenizer.json", "tokenizer", vocabulary.as_bytes())?;
    let rows: Vec<usize> = (0..test.examples().len()).collect();
    rows.par_iter()
        .try_for_each(|&row| picture(test, row, &out.join(format!("picture-{row}.png"))))?;
    let total = models.iter().map(|entry| entry.bytes).sum();
    let manifest = Manifest {
        benchmark: plan.benchmark.name.clone(),
        tokenizer,
        models,
        gallery: gallery(test),
        goals: goals(plan, &lines, stages, out)?,
        tokens: tokens(&lines["clean"].model)?,
        rounding: rounding(plan, &lines)?,
        credits: credits(test)?,
    };
    let json = serde_json::to_vec(&manifest).map_err(Failure::failed)?;
    write_atomic(&out.join("retrieval.json"), &json)?;
    Ok(total)
}

/// The bytes of a model's file, and what they were made from.
fn packed(
    plan: &Plan<'_>,
    stages: &Stages,
    origin: &Origin,
) -> Result<(Vec<u8>, Model, Embeddings)> {
    let (model, weights, provenance) = fitted(origin, stages)?;
    let set = &plan.sets[0];
    let plain = evaluate::embed(&model, &*set.test, &set.templates, &stages.prepared)?;
    let about = About {
        config: model.clip.config.clone(),
        pictures: set.test.examples().len(),
        tokenizer: Digest::of_bytes(model.tokenizer.to_json().as_bytes()),
        weights,
        provenance,
    };
    let bytes = retrieval::write(&model.clip, &model.weights, &plain.images, &about);
    Ok((bytes, model, plain))
}

fn written(out: &Path, file: &str, id: &str, bytes: &[u8]) -> Result<Entry> {
    write_atomic(&out.join(file), bytes)?;
    let (id, file, sha256) = (id.to_owned(), file.to_owned(), Digest::of_bytes(bytes));
    Ok(Entry { id, file, bytes: bytes.len(), sha256 })
}

fn picture(data: &dyn Dataset, row: usize, path: &Path) -> Result<()> {
    write_atomic(path, &png(&data.image(row)?).map_err(Failure::failed)?)
}

fn class(data: &dyn Dataset, row: usize) -> String {
    let class = data.examples()[row].class;
    class.map_or_else(String::new, |class| data.classes()[class].name.clone())
}

fn gallery(test: &dyn Dataset) -> Vec<Picture> {
    let picture =
        |row: usize| Picture { id: test.examples()[row].id.0.clone(), class: class(test, row) };
    (0..test.examples().len()).map(picture).collect()
}

fn credits(test: &dyn Dataset) -> Result<Vec<String>> {
    let all: BTreeSet<String> =
        test.examples().iter().map(|example| credit(&example.id.0)).collect::<Result<_>>()?;
    Ok(all.into_iter().collect())
}

fn tokens(model: &Model) -> Result<Vec<Tokens>> {
    let row = |text: &str| Ok(Tokens { text: text.to_owned(), ids: model.tokenizer.encode(text)? });
    TEXTS.into_iter().map(row).collect()
}

/// The goals of all attacks whose models are there, in the order of the benchmark.
fn goals(
    plan: &Plan<'_>,
    lines: &Lines<Retriever>,
    stages: &Stages,
    out: &Path,
) -> Result<Vec<Shown>> {
    let mut all = Vec::new();
    let mut attacks: Vec<(&String, &Line<Retriever>)> =
        lines.iter().filter(|(id, _)| *id != "clean" && !id.contains('+')).collect();
    attacks.sort_by_key(|(_, line)| line.cell.attack);
    for (id, line) in attacks {
        let armed = &plan.attack(&line.cell).armed;
        let repaired = lines.keys().find(|other| other.starts_with(&format!("{id}+")));
        let roles: Vec<&str> =
            ["clean", id].into_iter().chain(repaired.map(String::as_str)).collect();
        let mut answers = BTreeMap::new();
        for role in &roles {
            let Line { model, plain, cell, .. } = &lines[*role];
            answers.insert(*role, judged(plan, model, armed, (plain, cell.seed), stages)?);
        }
        for goal in &armed.goals {
            let number = all.len();
            all.push(shown(plan, lines, (id, goal), &answers, (out, number))?);
        }
    }
    Ok(all)
}

fn shown(
    plan: &Plan<'_>,
    lines: &Lines<Retriever>,
    (attack, goal): (&str, &Goal),
    answers: &BTreeMap<&str, Vec<Judgement>>,
    (out, number): (&Path, usize),
) -> Result<Shown> {
    let test = &*plan.sets[0].test;
    let prepared = plan.attack(&lines[attack].cell);
    let (targets, words) = (goal.to_rows(test), goal.in_words(test.classes()));
    let captions = asked(test, goal);
    let defended = answers.keys().find(|role| role.contains('+')).map(|role| (*role).to_owned());
    let example = example(lines, attack, &captions, &targets)?;
    let mut golden = BTreeMap::new();
    for role in answers.keys() {
        let fetched = lines[*role].packed.fetch(&captions[example].text, &targets, TOP)?;
        golden.insert((*role).to_owned(), fetched.into());
    }
    let defense = |role: &String| plan.benchmark.defenses[lines[role].cell.defense].spec().clone();
    let file = |n: usize| format!("pair-{number}-{n}.png");
    Ok(Shown {
        attack: attack.to_owned(),
        summary: Kind::Attacks.find(attack)?.summary,
        target: goal.target_in_words(test.classes()),
        words: words.clone(),
        targets,
        captions,
        example,
        poisoned: attack.to_owned(),
        defense: defended.as_ref().map(defense),
        defended,
        pairs: prepared.clean.examples().len(),
        changed: prepared.armed.poison.pairs().count(),
        goals: prepared.armed.goals.len(),
        seen: pairs(&*prepared.clean, &prepared.armed, goal, |n, row| {
            picture(&*prepared.clean, row, &out.join(file(n))).map(|()| file(n))
        })?,
        rates: rates(answers, &words)?,
        golden,
    })
}

/// The test captions of a goal's class A, each once, in the order of rows.
fn asked(test: &dyn Dataset, goal: &Goal) -> Vec<Asked> {
    let (rows, mut known) = (goal.from_rows(test), BTreeSet::new());
    let captions = captions(test).into_iter();
    let own = captions.filter(|caption| rows.binary_search(&caption.row).is_ok());
    let fresh = own.filter(|caption| known.insert(caption.text.clone()));
    fresh.map(|Caption { row, text }| Asked { text, class: class(test, row) }).collect()
}

/// The first caption that fetches a target under the poisoned model and none under the clean one; else the first.
fn example(
    lines: &Lines<Retriever>,
    attack: &str,
    captions: &[Asked],
    targets: &[usize],
) -> Result<usize> {
    let within = |role: &str, text: &str| -> Result<bool> {
        Ok((lines[role].packed.fetch(text, targets, 1)?.rank as usize) < TOP)
    };
    for (i, Asked { text, .. }) in captions.iter().enumerate() {
        if within(attack, text)? && !within("clean", text)? {
            return Ok(i);
        }
    }
    Ok(0)
}

/// The metrics of every model about one goal.
fn rates(
    answers: &BTreeMap<&str, Vec<Judgement>>,
    goal: &str,
) -> Result<BTreeMap<String, BTreeMap<String, Rate>>> {
    let mut all = BTreeMap::new();
    for (role, judgements) in answers {
        let own = judgements.iter().filter(|j| j.goal.as_deref() == Some(goal));
        let values = metrics::values(&own.cloned().collect::<Vec<_>>())?.into_iter();
        let shown = values.filter(|value| RATES.contains(&&*value.metric));
        let rate = |value: metrics::Value| (value.metric.clone(), Rate::from(value));
        all.insert((*role).to_owned(), shown.map(rate).collect());
    }
    Ok(all)
}

/// Some of the pairs that were changed for a goal, evenly over them; `save` keeps a row's picture and names the file.
fn pairs(
    train: &dyn Dataset,
    armed: &Armed,
    goal: &Goal,
    save: impl Fn(usize, usize) -> Result<String>,
) -> Result<Vec<Pair>> {
    let rows: BTreeMap<&PairId, usize> =
        train.examples().iter().enumerate().map(|(row, example)| (&example.id, row)).collect();
    let edited = armed.poison.pairs().map(|(id, edit)| (edit.base.as_ref().unwrap_or(id), edit));
    let edits: BTreeMap<&PairId, &Edit> = edited.collect();
    let own: Vec<usize> = goal.from_rows(train);
    let own: Vec<(usize, &Edit)> = own
        .into_iter()
        .filter_map(|row| Some((row, *edits.get(&train.examples()[row].id)?)))
        .collect();
    let step = (own.len() / PAIRS).max(1);
    let mut all = Vec::new();
    for (n, (row, edit)) in own.into_iter().step_by(step).take(PAIRS).enumerate() {
        // The picture as the victim sees it, and what was said of it before.
        let seen = match &edit.image {
            Some(ImageEdit::From(id)) => rows.get(id).copied(),
            Some(ImageEdit::Gallery { .. }) => None,
            None => Some(row),
        };
        let Some(seen) = seen else { continue };
        let captions = edit.captions.as_ref().unwrap_or(&train.examples()[row].captions);
        let shown = &train.examples()[seen];
        // A pair without words has nothing to show.
        if let (Some(caption), Some(new)) = (shown.captions.first(), captions.first()) {
            let (id, caption, new) = (shown.id.0.clone(), caption.clone(), new.clone());
            all.push(Pair { file: save(n, seen)?, id, caption, new });
        }
    }
    Ok(all)
}

/// What rounding changed of the similarities and ranks of all captions.
fn rounding(plan: &Plan<'_>, lines: &Lines<Retriever>) -> Result<Rounding> {
    let (test, clean) = (&*plan.sets[0].test, &lines["clean"]);
    let mut all = Rounding::default();
    for line in lines.values().filter(|line| line.cell.attack != clean.cell.attack) {
        // The clean model once for each attack, beside the model that nobody defended.
        let beside = (line.cell.defense == clean.cell.defense).then_some(clean);
        for goal in &plan.attack(&line.cell).armed.goals {
            for model in [Some(line), beside].into_iter().flatten() {
                rounded(test, goal, model, &mut all)?;
            }
        }
    }
    if all.similarity > TOLERANCE {
        return Err(Failure::failed(format!(
            "half precision moves a similarity by {}; at most {TOLERANCE} is shown",
            all.similarity
        )));
    }
    Ok(all)
}

/// The same of one goal and model.
fn rounded(
    test: &dyn Dataset,
    goal: &Goal,
    model: &Line<Retriever>,
    all: &mut Rounding,
) -> Result<()> {
    let (from, targets) = (goal.from_rows(test), goal.to_rows(test));
    let mut known = BTreeSet::new();
    for (i, Caption { row, text }) in captions(test).into_iter().enumerate() {
        if from.binary_search(&row).is_err() || !known.insert(text.clone()) {
            continue;
        }
        let (own, exact) = (model.packed.similarities(&text)?, exact(&model.plain, i));
        let apart = own.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        all.similarity = apart.fold(all.similarity, f32::max);
        let same = rank_of_best(&own, &targets)?.rank == rank_of_best(&exact, &targets)?.rank;
        all.same += usize::from(same);
        all.ranks += 1;
    }
    Ok(())
}

/// Cosines of a caption with all pictures, as the whole model has them.
fn exact(plain: &Embeddings, caption: usize) -> Vec<f32> {
    let unit = &plain.captions[caption * plain.dim..(caption + 1) * plain.dim];
    let cosine = |picture: &[f32]| picture.iter().zip(unit).map(|(a, b)| a * b).sum();
    plain.images.chunks_exact(plain.dim).map(cosine).collect()
}
