//! Queries and their judgements: zero-shot, retrieval in both directions, and the goals of an attack.

use std::collections::BTreeMap;

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::goal::Goal;
use toxiclip_shared::metrics::ranking::{rank_of_best, top_k};
use toxiclip_shared::metrics::{Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::scores::Gallery;
use super::{Caption, Embeddings, captions};
use crate::benchmark::Utility;
use crate::failure::{Failure, Result};

/// How many of the first items evidence keeps: what a report shows.
const TOP: usize = 5;

/// One query: what is asked, of what, and which items of the gallery count as found.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    task: Task,
    /// The row asked about, or that the caption belongs to.
    row: usize,
    text: Option<&'a str>,
    goal: Option<&'a str>,
    vector: &'a [f32],
    targets: Vec<usize>,
}

/// Zero-shot classification and retrieval over the whole split.
///
/// # Errors
/// If the split has no labels for zero-shot, or a score is not finite.
pub fn judge_utility(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    tasks: &[Utility],
) -> Result<Vec<Judgement>> {
    let captions = captions(data);
    let mut out = Vec::new();
    if tasks.contains(&Utility::ZeroShot) {
        let names: Vec<String> = data.classes().iter().map(|c| c.name.clone()).collect();
        let query = |row: usize| {
            let class = data.examples()[row].class;
            let class = class.ok_or_else(|| unlabelled(data, row))?;
            Ok(embeddings.picture(Task::ZeroShot, row, vec![class]))
        };
        let queries: Vec<Query<'_>> =
            (0..data.examples().len()).map(query).collect::<Result<_>>()?;
        out.extend(judge(data, &queries, &embeddings.classes, &names)?);
    }
    if tasks.contains(&Utility::Retrieval) {
        let ids = ids(data);
        let queries: Vec<Query<'_>> = (0..captions.len())
            .map(|i| embeddings.caption(Task::ImageRetrieval, i, &captions, vec![captions[i].row]))
            .collect();
        out.extend(judge(data, &queries, &embeddings.images, &ids)?);
        let texts: Vec<String> = captions.iter().map(|c| c.text.clone()).collect();
        let own = |row| (0..captions.len()).filter(|&i| captions[i].row == row).collect();
        let queries: Vec<Query<'_>> = (0..data.examples().len())
            .map(|row| embeddings.picture(Task::TextRetrieval, row, own(row)))
            .collect();
        out.extend(judge(data, &queries, &embeddings.captions, &texts)?);
    }
    Ok(out)
}

/// Every test caption of each goal's class A against all pictures, targets being those of class B; and as many
/// captions drawn at random (class A not excluded, as in the paper) against the same targets.
///
/// # Errors
/// If a goal has no caption or no target in this split, or a score is not finite.
pub fn judge_goals(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    goals: &[Goal],
    seed: &Seed,
) -> Result<Vec<Judgement>> {
    let mut out = Vec::new();
    for goal in goals {
        let (asked, drawn) = chosen(data, goal, seed)?;
        out.extend(fetch(data, embeddings, goal, Task::Hit, &asked)?);
        out.extend(fetch(data, embeddings, goal, Task::HitRandom, &drawn)?);
    }
    Ok(out)
}

/// Indices of the captions that a goal asks, and as many of all captions.
///
/// # Errors
/// If the goal has no caption or no target in this split.
pub(super) fn chosen(
    data: &dyn Dataset,
    goal: &Goal,
    seed: &Seed,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let captions = captions(data);
    let (from, targets) = (goal.from_rows(data), goal.to_rows(data));
    if from.is_empty() || targets.is_empty() {
        let what =
            if from.is_empty() { "caption of its class A" } else { "picture of its class B" };
        return Err(Failure::request(format!("goal {}: {} has no {what}", goal.name, data.name())));
    }
    let asked: Vec<usize> =
        (0..captions.len()).filter(|&i| from.binary_search(&captions[i].row).is_ok()).collect();
    let place = seed.child("evaluate/random-captions").child(&goal.name);
    let drawn = place.stream().sample(captions.len(), asked.len());
    Ok((asked, drawn))
}

/// What the captions of these indices fetch: the rank of the goal's best target among all pictures.
///
/// # Errors
/// If a score is not finite.
pub(super) fn fetch(
    data: &dyn Dataset,
    embeddings: &Embeddings,
    goal: &Goal,
    task: Task,
    chosen: &[usize],
) -> Result<Vec<Judgement>> {
    let (captions, targets) = (captions(data), goal.to_rows(data));
    let name = goal.in_words(data.classes());
    let query = |&i: &usize| embeddings.caption(task, i, &captions, targets.clone()).about(&name);
    let queries: Vec<Query<'_>> = chosen.iter().map(query).collect();
    judge(data, &queries, &embeddings.images, &ids(data))
}

impl<'a> Query<'a> {
    /// The same, asked for a goal.
    pub(super) fn about(self, goal: &'a str) -> Self {
        Self { goal: Some(goal), ..self }
    }
}

impl Embeddings {
    /// A picture asked about, by its row.
    pub(super) fn picture(&self, task: Task, row: usize, targets: Vec<usize>) -> Query<'_> {
        let vector = &self.images[row * self.dim..(row + 1) * self.dim];
        Query { task, row, text: None, goal: None, vector, targets }
    }

    fn caption<'a>(
        &'a self,
        task: Task,
        index: usize,
        captions: &'a [Caption],
        targets: Vec<usize>,
    ) -> Query<'a> {
        let Caption { row, text } = &captions[index];
        let vector = &self.captions[index * self.dim..(index + 1) * self.dim];
        Query { task, row: *row, text: Some(text), goal: None, vector, targets }
    }
}

/// Notes in the score of each answer whether the clean model's answer to the same query, in the same order, is a hit.
pub(super) fn mark_clean_hits(ours: &mut [Judgement], clean: &[Judgement]) {
    for (ours, theirs) in ours.iter_mut().zip(clean) {
        ours.score = Some(if theirs.rank == 0 { 1.0 } else { 0.0 });
    }
}

/// Ranks the gallery for every query. `names` has one entry per item of the gallery. Captions of one concept are the
/// same under all its pictures, so a distinct query is scored once, against distinct items.
pub(super) fn judge(
    data: &dyn Dataset,
    queries: &[Query<'_>],
    gallery: &[f32],
    names: &[String],
) -> Result<Vec<Judgement>> {
    let width = gallery.len() / names.len().max(1);
    let items =
        Distinct::of(names.iter().map(String::as_str).zip(gallery.chunks_exact(width.max(1))));
    let asked = Distinct::of(queries.iter().map(|q| (q.text.unwrap_or_default(), q.vector)));
    let few: Vec<f32> =
        items.first.iter().flat_map(|&i| &gallery[i * width..(i + 1) * width]).copied().collect();
    let few = Gallery::new(&few, width);
    let one = |query: &Query<'_>, scores: &[f32], top: &[usize]| -> Result<Judgement> {
        let example = &data.examples()[query.row];
        Ok(Judgement {
            task: query.task,
            sample: example.id.clone(),
            content: example.content,
            text: query.text.map(str::to_owned),
            label: example.class.map(|c| c as u32),
            goal: query.goal.map(str::to_owned),
            rank: rank_of_best(scores, &query.targets)?.rank,
            gallery: scores.len() as u32,
            scores: top.iter().map(|&i| scores[i]).collect(),
            top: top.iter().map(|&i| names[i].clone()).collect(),
            cluster: example.id.0.clone(),
            poisoned: None,
            score: None,
            dropped: None,
        })
    };
    let alike = |members: Vec<usize>| -> Result<Vec<(usize, Judgement)>> {
        let few = few.cosines(queries[members[0]].vector);
        let scores: Vec<f32> = items.index.iter().map(|&i| few[i]).collect();
        let top = top_k(&scores, TOP)?;
        members.into_iter().map(|q| Ok((q, one(&queries[q], &scores, &top)?))).collect()
    };
    let groups: Result<Vec<_>> = asked.members().into_par_iter().map(alike).collect();
    let mut all: Vec<(usize, Judgement)> = groups?.into_iter().flatten().collect();
    all.sort_by_key(|(query, _)| *query);
    Ok(all.into_iter().map(|(_, judgement)| judgement).collect())
}

/// Which vectors are the same.
struct Distinct {
    /// Where each of them comes first.
    first: Vec<usize>,
    /// For every vector, its position in `first`.
    index: Vec<usize>,
}

impl Distinct {
    /// Vectors are the same if both their names and their bits are.
    fn of<'a>(vectors: impl Iterator<Item = (&'a str, &'a [f32])>) -> Self {
        let mut known: BTreeMap<&str, Vec<(usize, &[f32])>> = BTreeMap::new();
        let mut all = Self { first: Vec::new(), index: Vec::new() };
        for (i, (name, vector)) in vectors.enumerate() {
            let namesakes = known.entry(name).or_default();
            let same = namesakes.iter().find(|(_, other)| !name.is_empty() && *other == vector);
            let at = same.map_or(all.first.len(), |(at, _)| *at);
            if same.is_none() {
                all.first.push(i);
                // Pictures have no names: each is one of its own, and nobody looks for it.
                if !name.is_empty() {
                    namesakes.push((at, vector));
                }
            }
            all.index.push(at);
        }
        all
    }

    /// For each distinct vector, all that are like it.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.first.len()];
        self.index.iter().enumerate().for_each(|(i, &at)| members[at].push(i));
        members
    }
}

fn ids(data: &dyn Dataset) -> Vec<String> {
    data.examples().iter().map(|e| e.id.0.clone()).collect()
}

pub(super) fn unlabelled(data: &dyn Dataset, row: usize) -> Failure {
    Failure::request(format!(
        "{}: {} has no class; leave `zero-shot` out of `tasks`",
        data.name(),
        data.examples()[row].id
    ))
}

#[cfg(test)]
mod tests {
    use super::Distinct;

    #[test]
    fn the_same_is_named_and_valued_the_same() {
        let vectors =
            [("a", [1.0]), ("b", [1.0]), ("a", [1.0]), ("a", [2.0]), ("", [1.0]), ("", [1.0])];
        let all = Distinct::of(vectors.iter().map(|(name, v)| (*name, &v[..])));
        assert_eq!((all.first, all.index), (vec![0, 1, 3, 4, 5], vec![0, 1, 0, 2, 3, 4]));
    }
}
