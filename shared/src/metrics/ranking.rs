//! Positions in a ranked gallery. Descending score; equal scores by ascending index, so that a rank
//! depends on nothing but the scores (CLIP's retrieval code leaves the order of ties to its sort).

use std::cmp::Ordering;

use crate::{Error, Result};

/// Where the best target came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Index of the best target in the gallery.
    pub item: usize,
    /// Its 0-based position.
    pub rank: u32,
    /// How many other items have exactly its score: with more than a few, ranks mean little.
    pub ties: u32,
}

/// 0-based position of the best of `targets` (indices into `scores`, in any order).
///
/// # Errors
/// If a score is NaN or infinite, `targets` is empty, or a target lies outside the gallery.
pub fn rank_of_best(scores: &[f32], targets: &[usize]) -> Result<Rank> {
    finite(scores)?;
    let mut best: Option<usize> = None;
    for &t in targets {
        let score = scores.get(t).ok_or_else(|| {
            Error::input(format!("target {t}"), format!("the gallery has {} items", scores.len()))
        })?;
        let better = |b: usize| *score > scores[b] || (*score == scores[b] && t < b);
        if best.is_none_or(better) {
            best = Some(t);
        }
    }
    let item = best.ok_or_else(|| Error::input("ranking", "the target set is empty"))?;
    let own = scores[item];
    let above = scores.iter().filter(|s| **s > own).count();
    let tied_before = scores[..item].iter().filter(|s| **s == own).count();
    let tied = scores.iter().filter(|s| **s == own).count() - 1;
    Ok(Rank { item, rank: (above + tied_before) as u32, ties: tied as u32 })
}

/// Indices of the `k` highest scores, best first; all of them when the gallery is smaller.
///
/// # Errors
/// If a score is NaN or infinite.
pub fn top_k(scores: &[f32], k: usize) -> Result<Vec<usize>> {
    finite(scores)?;
    let best_first = |a: &usize, b: &usize| {
        scores[*b].partial_cmp(&scores[*a]).unwrap_or(Ordering::Equal).then(a.cmp(b))
    };
    // Kept sorted: with few wanted of many, almost every item loses against the last one at once.
    let mut best: Vec<usize> = Vec::with_capacity(k.min(scores.len()) + 1);
    for item in 0..scores.len() {
        if best.len() == k && best.last().is_none_or(|last| scores[item] <= scores[*last]) {
            continue;
        }
        let at = best.partition_point(|b| best_first(b, &item).is_lt());
        best.insert(at, item);
        best.truncate(k);
    }
    Ok(best)
}

fn finite(scores: &[f32]) -> Result<()> {
    match scores.iter().position(|s| !s.is_finite()) {
        Some(i) => Err(Error::input(
            format!("score of gallery item {i}"),
            format!("{} cannot be ranked; look at the model's weights and inputs", scores[i]),
        )),
        None => Ok(()),
    }
}
