//! How far a model moved the embeddings of the test split from where another has them.

use toxiclip_shared::data::Dataset;
use toxiclip_shared::metrics::{Judgement, Task};

use super::scores::cosine;
use super::{Embeddings, captions};

/// One judgement per test picture and per test caption: 1 − cos between `moved` and `clean`.
///
/// Both must come from trainings of one start: two spaces that have nothing in common have no distance.
pub fn judge_shift(data: &dyn Dataset, clean: &Embeddings, moved: &Embeddings) -> Vec<Judgement> {
    let captions = captions(data);
    let one = |task: Task, row: usize, text: Option<&String>, [a, b]: [&[f32]; 2]| {
        let example = &data.examples()[row];
        Judgement {
            task,
            sample: example.id.clone(),
            content: example.content,
            text: text.cloned(),
            label: example.class.map(|c| c as u32),
            goal: None,
            rank: 0,
            gallery: 1,
            top: Vec::new(),
            scores: Vec::new(),
            cluster: example.id.0.clone(),
            poisoned: None,
            // Rounding can bring the cosine of equal vectors above 1.
            score: Some((1.0 - cosine(a, b)).max(0.0)),
            dropped: None,
        }
    };
    let dim = clean.dim;
    let at = |all: &'_ Embeddings, part: fn(&Embeddings) -> &Vec<f32>, i: usize| -> Vec<f32> {
        part(all)[i * dim..(i + 1) * dim].to_vec()
    };
    let images = (0..data.examples().len()).map(|row| {
        let of = |all| at(all, |e| &e.images, row);
        one(Task::ImageShift, row, None, [&of(clean), &of(moved)])
    });
    let texts = captions.iter().enumerate().map(|(i, caption)| {
        let of = |all| at(all, |e| &e.captions, i);
        one(Task::TextShift, caption.row, Some(&caption.text), [&of(clean), &of(moved)])
    });
    images.chain(texts).collect()
}
